"""Where the operator's servers are, as DNS says it (RFC 2782, RFC 6186, RFC 8314; ECO.1.1.9)."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import dns.rcode
import pytest
from pydantic import ValidationError

from router.contracts import Attempt, OwnTurns, SystemClock
from router.contracts.spoken import listening
from router.errors import OperatorFault, Unavailable
from router.simulators.authority import Authority
from router.sinks.mssante.discovery import AGAIN_SECONDS, DOWN_SECONDS, Discovery
from router.sinks.mssante.pace import Pace
from router.sinks.mssante.settings import Mode, SrvConfig
from tests.dns_server import Zone, hosts_are_here, serving
from tests.sinks.mssante_samples import MAILBOX, config, delivery, sink
from tests.sinks.mssante_server import Script, server

SUBMISSION = "_submission._tcp.operateur.fr"


@pytest.fixture
def zone() -> Iterator[Zone]:
    with serving(Zone(records={SUBMISSION: ["10 5 587 smtp1.operateur.fr."]})) as one:
        yield one


class Hands:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def settings(zone: Zone, **changes: Any) -> SrvConfig:
    given = {"domaine": "operateur.fr", "serveurs": [zone.server], "timeout": 0.3, **changes}
    return SrvConfig.model_validate(given)


def asking(
    zone: Zone,
    clock: Hands | None = None,
    *,
    service: Literal["submission", "imap"] = "submission",
    mode: Mode = "starttls",
    host: str = "mail.operateur.fr",
    **changes: Any,
) -> Discovery:
    return Discovery(settings(zone, **changes), service, mode, host, clock or Hands())


# ---------------------------------------------------------------------------------------------- what is asked for


@pytest.mark.parametrize(
    ("service", "mode", "name"),
    [
        ("submission", "starttls", "_submission._tcp.operateur.fr"),
        ("submission", "tls", "_submissions._tcp.operateur.fr"),
        ("imap", "starttls", "_imap._tcp.operateur.fr"),
        ("imap", "tls", "_imaps._tcp.operateur.fr"),
    ],
)
def test_the_mode_says_which_service_is_asked_for(
    zone: Zone, service: Literal["submission", "imap"], mode: Mode, name: str
) -> None:
    """DNS never changes how a connection is encrypted: it is asked for what the site file says."""
    zone.records = {name: ["0 0 4587 smtp.operateur.fr."]}
    (found,) = asking(zone, service=service, mode=mode).places()
    assert (zone.asked, found.address) == ([name], ("smtp.operateur.fr", 4587))


# -------------------------------------------------------------------------------------------------- order, failing


def test_a_lower_priority_number_is_tried_first(zone: Zone) -> None:
    """RFC 2782: whatever the weights and the order of the answer."""
    zone.records[SUBMISSION] = ["20 100 587 b.operateur.fr.", "10 0 587 a.operateur.fr.", "30 9 587 c.operateur.fr."]
    source = asking(zone)
    for _ in range(20):
        assert [one.host[0] for one in source.places()] == ["a", "b", "c"]


def test_within_a_priority_the_weight_says_how_often_one_is_first(zone: Zone) -> None:
    """Three to one, over many draws; the other is always there as the second."""
    zone.records[SUBMISSION] = ["10 75 587 a.operateur.fr.", "10 25 587 b.operateur.fr."]
    source = asking(zone)
    drawn = [[one.host[0] for one in source.places()] for _ in range(1000)]
    assert {frozenset(one) for one in drawn} == {frozenset("ab")}
    assert 650 < Counter(one[0] for one in drawn)["a"] < 850
    assert len(zone.asked) == 1


def test_a_server_that_could_not_be_reached_comes_last_for_a_while(zone: Zone) -> None:
    """Not each mail waits for its time-out; after a minute it is tried again."""
    zone.records[SUBMISSION] = ["10 0 587 a.operateur.fr.", "20 0 587 b.operateur.fr."]
    clock = Hands()
    source = asking(zone, clock)
    source.away(source.places()[0])
    assert [one.host[0] for one in source.places()] == ["b", "a"]
    clock.now += DOWN_SECONDS + 1
    assert [one.host[0] for one in source.places()] == ["a", "b"]


# ------------------------------------------------------------------------------------------------- time to live


def test_an_answer_is_kept_for_its_time_to_live(zone: Zone) -> None:
    """No question before it ends, one after it; the new answer counts."""
    zone.ttl, clock = 60, Hands()
    source = asking(zone, clock)
    source.places()
    zone.records[SUBMISSION] = ["10 5 587 smtp2.operateur.fr."]
    clock.now += 59
    assert source.places()[0].host == "smtp1.operateur.fr" and len(zone.asked) == 1
    clock.now += 2
    assert source.places()[0].host == "smtp2.operateur.fr" and len(zone.asked) == 2


@pytest.mark.parametrize("away", ["silent", "SERVFAIL", "REFUSED"])
def test_while_dns_is_away_the_last_good_answer_serves(zone: Zone, away: str) -> None:
    """However long, with a question every half minute; and the first good answer ends it."""
    clock = Hands()
    source = asking(zone, clock)
    source.places()
    zone.silent, zone.rcode = away == "silent", dns.rcode.NOERROR if away == "silent" else dns.rcode.from_text(away)
    clock.now += 10_000
    assert source.places()[0].host == "smtp1.operateur.fr"
    asked = len(zone.asked)
    clock.now += AGAIN_SECONDS - 1
    assert source.places()[0].host == "smtp1.operateur.fr" and len(zone.asked) == asked
    zone.silent, zone.rcode = False, dns.rcode.NOERROR
    zone.records[SUBMISSION] = ["10 5 587 smtp2.operateur.fr."]
    clock.now += 2
    assert source.places()[0].host == "smtp2.operateur.fr"


def test_dns_that_never_answered_is_waited_for(zone: Zone) -> None:
    """Nobody's fault: the circuit opens, and the next trial asks again."""
    zone.silent = True
    source = asking(zone)
    with pytest.raises(Unavailable, match=f"MSS-DNS at {SUBMISSION}"):
        source.places()
    zone.silent = False
    assert source.places()[0].host == "smtp1.operateur.fr"


# ------------------------------------------------------------------------------------------------- wrong answers


@pytest.mark.parametrize(
    ("records", "text"),
    [
        (None, "aucun enregistrement SRV"),
        ([], "aucun enregistrement SRV"),
        (["0 0 0 ."], "n'offre pas ce service"),
        (["0 0 0 smtp.operateur.fr."], "n'offre pas ce service"),
        (["0 0 587 smtp.ailleurs.fr."], "smtp.ailleurs.fr est hors du domaine"),
        (["0 0 587 faux-operateur.fr."], "faux-operateur.fr est hors du domaine"),
        (["0 0 587 smtp.operateur.fr.", "1 0 587 smtp.ailleurs.fr."], "smtp.ailleurs.fr est hors du domaine"),
        ([r"0 0 587 \027[31m.ailleurs.fr."], "est hors du domaine"),
    ],
    ids=["no name", "no record", "not offered", "port 0", "elsewhere", "looks alike", "one of two", "escapes"],
)
@pytest.mark.parametrize("known", [False, True])
def test_an_answer_that_can_not_be_used_is_the_operators(
    zone: Zone, records: list[str] | None, text: str, known: bool
) -> None:
    """With the name that was asked for, and why; also when an earlier answer was good."""
    clock = Hands()
    source = asking(zone, clock)
    if known:
        source.places()
        clock.now += 10_000
    if records is None:
        del zone.records[SUBMISSION]
    else:
        zone.records[SUBMISSION] = records
    with pytest.raises(OperatorFault, match=text) as caught:
        source.places()
    assert (caught.value.code, caught.value.place) == ("MSS-SRV", SUBMISSION)
    assert "\x1b" not in str(caught.value)


def test_a_server_elsewhere_is_allowed_by_name_or_by_domain(zone: Zone) -> None:
    """`cibles`: there the certificate may bear the host that DNS names; a server of the domain never does so."""
    zone.records[SUBMISSION] = [
        "1 0 587 smtp.operateur.fr.",
        "2 0 587 relais.hebergeur.fr.",
        "3 0 587 a.nuage.fr.",
    ]
    found = asking(zone, cibles=["relais.hebergeur.fr", "nuage.fr"]).places()
    own = ("mail.operateur.fr", "operateur.fr")
    assert [one.names for one in found] == [own, (*own, "relais.hebergeur.fr"), (*own, "a.nuage.fr")]


@pytest.mark.parametrize("wrong", ["dns.operateur.fr", "10.0.0.1#0", "10.0.0.1#x", "10.0.0.1#70000", ""])
def test_a_dns_server_is_written_as_an_address(wrong: str) -> None:
    with pytest.raises(ValidationError, match="no address of a DNS server"):
        SrvConfig.model_validate({"domaine": "operateur.fr", "serveurs": [wrong]})


# ----------------------------------------------------------------------------------------------- real connections


@pytest.fixture
def known_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every host of the operator is this machine."""
    hosts_are_here(monkeypatch, "operateur.fr")


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def discovered(zone: Zone, **changes: Any) -> dict[str, Any]:
    """Of a sink: nobody listens where `host` is."""
    return {"host": "mail.operateur.fr", "decouverte_srv": settings(zone, **changes), "mailbox": MAILBOX}


@pytest.mark.usefixtures("known_names")
def test_a_mail_leaves_by_the_server_that_dns_names(zone: Zone, tmp_path: Path) -> None:
    """The first server is down, the next one takes the mail; the traces keep the name of the site file."""

    async def story() -> None:
        script = Script()
        async with server(script) as port:
            zone.records[SUBMISSION] = [f"1 0 {closed_port()} a.operateur.fr.", f"2 0 {port} b.operateur.fr."]
            made = sink(tmp_path, 587, **discovered(zone))
            with listening(time.time) as said:
                await made.deliver(delivery(), Attempt(1, SystemClock().now()))
            await made.close()
        assert len(script.mails) == 1
        assert {one.server for one in said} == {"mail.operateur.fr:587"}

    asyncio.run(story())


def test_what_dns_answers_changes_no_count(zone: Zone) -> None:
    """The pace of the operator and the identity of the inbox are those of the configured names."""
    imap = {"host": "mail.operateur.fr", "port": 143, "mode": "plain", "login": {"auth": "aucune"}}
    plain = config(587, host="mail.operateur.fr", imap=imap)
    asked = config(587, imap=imap, **discovered(zone))
    paces = [Pace(one, OwnTurns(), SystemClock().monotonic) for one in (plain, asked)]
    assert paces[0]._server == paces[1]._server == "smtp|mail.operateur.fr:587"
    inboxes = [one.imap.account(MAILBOX, one.tls) for one in (plain, asked) if one.imap]
    assert inboxes[0] == inboxes[1]


@pytest.mark.usefixtures("known_names")
def test_a_fault_of_dns_is_the_probes_too(zone: Zone, tmp_path: Path) -> None:
    """The circuit of the sink stays open while DNS has no usable answer, and closes with the first one."""

    async def story() -> None:
        async with server(Script()) as port:
            made = sink(tmp_path, 587, **discovered(zone))
            zone.records.clear()
            with pytest.raises(OperatorFault, match="MSS-SRV"):
                await made.probe()
            zone.records[SUBMISSION] = [f"0 0 {port} smtp.operateur.fr."]
            await made.probe()
            await made.close()

    asyncio.run(story())


# ------------------------------------------------------------------------------------------------- certificates


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@dataclass
class Secured:
    """Connects to an SMTP server with TLS at once, whose certificate bears some names."""

    folder: Path
    authority: Authority
    zone: Zone
    script: Script = field(default_factory=Script)

    def probe(self, bears: str, *, of: Authority | None = None, times: int = 1, **changes: Any) -> None:
        """Raises what the sink raises. of: who issued the certificate; default: whom we trust"""
        issued = (of or self.authority).issue(bears, "server", hosts=(bears,))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*issued.write(self.folder, "server"))
        (self.folder / "ca.pem").write_bytes(self.authority.pem())

        async def story() -> None:
            async with server(self.script, context) as port:
                self.zone.records["_submissions._tcp.operateur.fr"] = [f"0 0 {port} smtp1.operateur.fr."]
                tls = {"ca": self.folder / "ca.pem"}
                given = discovered(self.zone, **changes) | {"mode": "tls", "tls": tls, "idle_seconds": 0}
                made = sink(self.folder, 465, **given)
                try:
                    for _ in range(times):
                        await made.probe()
                finally:
                    await made.close()

        asyncio.run(story())


@pytest.fixture
def secured(known_names: None, tmp_path: Path, authority: Authority, zone: Zone) -> Secured:
    return Secured(tmp_path, authority, zone)


@pytest.mark.parametrize("bears", ["mail.operateur.fr", "operateur.fr"])
def test_the_certificate_bears_a_name_that_the_site_wrote(secured: Secured, bears: str) -> None:
    """The configured host or the domain that was asked (RFC 6186 §6, RFC 7817 §3), whatever server DNS names.

    The name that was right is tried first from then on: one connection, not two.
    """
    secured.probe(bears, times=3)
    assert secured.script.connections == 3


@pytest.mark.parametrize("bears", ["smtp1.operateur.fr", "autre.operateur.fr", "ailleurs.fr"])
def test_a_name_that_only_dns_says_is_not_enough(secured: Secured, bears: str) -> None:
    """Nobody signed the answer: a certificate of the server that it names proves nothing."""
    with pytest.raises(OperatorFault, match="MSS-TLS"):
        secured.probe(bears)
    assert secured.script.commands == []


def test_a_name_that_the_site_allowed_is_enough(secured: Secured) -> None:
    """`cibles` names the server: a person said that it is the operator's."""
    secured.probe("smtp1.operateur.fr", cibles=["smtp1.operateur.fr"])


def test_another_authority_is_not_asked_for_other_names(secured: Secured) -> None:
    """A certificate that nobody we trust has issued ends it at once."""
    with pytest.raises(OperatorFault, match="MSS-TLS"):
        secured.probe("mail.operateur.fr", of=Authority("AUTRE"))
    assert secured.script.commands == []
