"""The MSSanté sink in real SMTP conversations (mssante §7, §8.1; cases 4, 12, 15, 16, 19, 20, 24)."""

from __future__ import annotations

import asyncio
import email
import email.policy
import io
import random
import zipfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from router.contracts import Attempt, Outcome, Row
from router.errors import OperatorFault, OutcomeUnknown, Overtaken, Refused, RouterError, Unavailable
from router.exchange import Delivery, State
from router.request import Action
from router.sinks.mssante.sink import MssanteSink
from router.sinks.mssante.smtp import xtext
from tests.cda.cda_samples import cda, n1_body
from tests.sinks.mssante_samples import (
    DOCTOR,
    PATIENT,
    PastDeliveries,
    config,
    delivery,
    destination_of,
    doctor,
    liste,
    order,
    patient_recipient,
    sink,
    tools,
)
from tests.sinks.mssante_server import CUT, Script, server
from tests.sinks.rechecks import Looks
from tests.typed import body_text, present

FIRST = Attempt(1, 1_795_000_000.0)


T = TypeVar("T")


def run(script: Script, work: Callable[[int], Coroutine[Any, Any, T]]) -> T:
    async def main() -> T:
        async with server(script) as port:
            return await work(port)

    return asyncio.run(main())


def send(script: Script, folder: Path, *deliveries: Delivery, using: Any = None, **changes: Any) -> list[Outcome]:
    """Deliver them one after the other through one sink."""

    async def work(port: int) -> list[Outcome]:
        made = sink(folder, port, using=using, **changes)
        try:
            return [await made.deliver(one, FIRST) for one in deliveries]
        finally:
            await made.close()

    return run(script, work)


def fault(script: Script, folder: Path, given: Delivery | None = None, **changes: Any) -> RouterError:
    with pytest.raises(RouterError) as caught:
        send(script, folder, given or delivery(), **changes)
    return caught.value


def commands(script: Script, verb: str) -> list[str]:
    return [line for line in script.commands if line.startswith(verb)]


def test_a_mail_is_submitted_with_its_dsn_and_its_proof_kept(tmp_path: Path) -> None:
    """Envelope as the volet wants it; the outcome holds Message-ID, ENVID and queue id."""
    script, given = Script(), delivery()
    (outcome,) = send(script, tmp_path, given)
    assert commands(script, "MAIL")[0].endswith(f"RET=HDRS ENVID={outcome.evidence['envid']}")
    assert commands(script, "RCPT") == [f"RCPT TO:<{DOCTOR}> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;{DOCTOR}"]
    read = email.message_from_bytes(script.mails[0], policy=email.policy.default)
    assert outcome.evidence["message_id"] == read["Message-ID"]
    assert (outcome.evidence["envid"][:32], outcome.evidence["queue_id"]) == (given.id, "4XyZ1234")
    assert (read["To"], read["Date"].datetime.timestamp()) == (DOCTOR, FIRST.first)
    assert f"SIZE={len(script.mails[0])}" in commands(script, "MAIL")[0]


def test_the_sender_who_wants_no_acknowledgement_still_lets_us_learn_of_failures(tmp_path: Path) -> None:
    """NOTIFY=FAILURE,DELAY (mssante §8.1)."""
    script = Script()
    send(script, tmp_path, delivery(order(ack_reception=False)))
    assert "NOTIFY=FAILURE,DELAY " in commands(script, "RCPT")[0]


def test_nothing_of_dsn_is_said_to_a_server_that_does_not_offer_it(tmp_path: Path) -> None:
    """Case 20; the evidence says that no DSN will come, and the policy may make the submission a proof."""
    script = Script(ehlo="250 relais")
    silent, told = (
        send(script, tmp_path / name, delivery(), z02_sans_dsn=name)[0] for name in ("silence", "soumission")
    )
    assert not [line for line in script.commands if "RET=" in line or "NOTIFY" in line or "SIZE" in line]
    assert (silent.evidence["dsn"], silent.evidence.get("proof")) == ("0", None)
    assert told.evidence["proof"] == "soumission"


def test_three_recipients_are_three_mails_with_their_own_headers(tmp_path: Path) -> None:
    """Case 4: FIN and the patient's text only on the patient's mail."""
    script = Script()
    bodies = {"body_patient": "Pour vous", "body_professionals": "Confrère"}
    asked: dict[str, Any] = {"no_reply": True, "reply_to": DOCTOR, **bodies}
    given = [
        delivery(order(recipient=one, **asked))
        for one in (doctor(), patient_recipient(), doctor("labo@hopital-a.mssante.fr"))
    ]
    send(script, tmp_path, *given)
    mails = [email.message_from_bytes(raw, policy=email.policy.default) for raw in script.mails]
    assert [mail["To"] for mail in mails] == [DOCTOR, PATIENT, "labo@hopital-a.mssante.fr"]
    assert [mail["X-MSS-MES"] for mail in mails] == [None, "FIN", None]
    assert [mail["Reply-To"] for mail in mails] == [DOCTOR, None, DOCTOR]
    assert [body_text(mail).strip() for mail in mails] == ["Confrère", "Pour vous", "Confrère"]
    assert len({mail["Message-ID"] for mail in mails}) == 3
    assert script.connections == 1


def test_a_retry_is_the_same_mail(tmp_path: Path) -> None:
    """Case 24: same Message-ID, same Date, same bytes at the second attempt, from another process."""
    script = Script()
    send(script, tmp_path / "a", delivery())
    send(script, tmp_path / "b", delivery())
    assert script.mails[0] == script.mails[1]


@pytest.mark.parametrize(
    ("answers", "kind", "code", "circuit"),
    [
        ({"RCPT": ["550 5.1.1 no such user"]}, Refused, "MSS-550", None),
        ({"RCPT": ["452 4.2.2 full"]}, Unavailable, "MSS-422", False),
        ({"RCPT": ["450 busy"]}, Unavailable, "MSS-450", False),
        ({"CONNECT": ["421 too many"]}, Unavailable, "MSS-421", True),
        ({"CONNECT": [CUT]}, Unavailable, "MSS-101", True),
        ({"MAIL": [CUT]}, Unavailable, "MSS-101", True),
        ({"RCPT": [CUT]}, Unavailable, "MSS-442", True),
        ({"DATA": [CUT]}, Unavailable, "MSS-442", True),
        ({"DATA": ["554 no"]}, Refused, "MSS-554", None),
        ({"BODY": ["554 5.7.1 spam"]}, Refused, "MSS-541", None),
        ({"BODY": [CUT]}, OutcomeUnknown, "MSS-442", None),
        ({"MAIL": ["530 authenticate"]}, OperatorFault, "MSS-530", None),
    ],
)
def test_each_failure_is_told_for_what_it_is(
    tmp_path: Path, answers: dict[str, list[str]], kind: type[RouterError], code: str, circuit: bool | None
) -> None:
    """Case 19, on the wire."""
    found = fault(Script(answers=answers), tmp_path)
    assert (type(found), found.code) == (kind, code)
    if circuit is not None:
        assert found.circuit is circuit  # type: ignore[attr-defined]


def test_a_server_that_is_not_there_opens_the_circuit(tmp_path: Path) -> None:
    """Connection refused is nobody's message."""

    async def work() -> None:
        async with server(Script()) as port:
            free = port
        await sink(tmp_path, free).deliver(delivery(), FIRST)

    with pytest.raises(Unavailable) as caught:
        asyncio.run(work())
    assert (caught.value.code, caught.value.circuit) == ("MSS-111", True)


def test_a_mail_larger_than_the_server_says_is_not_begun(tmp_path: Path) -> None:
    """Case 15: refused from EHLO's SIZE, before MAIL."""
    script = Script(ehlo="250-relais\r\n250 SIZE 5000")
    assert fault(script, tmp_path).code == "MSS-523"
    assert not commands(script, "MAIL")


LARGE = cda(n1_body(b"%PDF-" + random.Random(1).randbytes(200_000)))


@pytest.mark.parametrize("how", ["announced", "at the end"])
def test_a_mail_that_is_too_large_leaves_without_its_copy(tmp_path: Path, how: str) -> None:
    """The document arrives in its archive; the reader and whoever looks at the delivery are told what is missing."""
    script = Script(ehlo="250-relais\r\n250 SIZE 400000")
    if how == "at the end":
        script = Script(answers={"BODY": ["552 5.3.4 too big"]})
    given = order((LARGE,), body_professionals="Cher confrère")
    (outcome,) = send(script, tmp_path, delivery(given, (LARGE,)))
    (raw,) = script.mails
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    assert [part.get_filename() for part in mail.iter_attachments()] == ["IHE_XDM.ZIP"]
    said = body_text(mail)
    assert said.startswith("Cher confrère") and "n'est pas jointe" in said and "trop volumineux" in said
    assert "trop gros" in outcome.evidence["copy"] and "sans copie PDF" in outcome.text
    with zipfile.ZipFile(io.BytesIO(present(next(iter(mail.iter_attachments()))).get_content())) as archive:
        assert b"copie PDF" not in archive.read("README.TXT")


def test_a_mail_that_is_too_large_is_refused_where_the_site_wants_both(tmp_path: Path) -> None:
    """`trop_gros: refuser`: Z02 `N` 523, as for an archive that is too large by itself."""
    script = Script(ehlo="250-relais\r\n250 SIZE 400000")
    given = delivery(order((LARGE,)), (LARGE,))
    assert fault(script, tmp_path / "a", given, trop_gros="refuser").code == "MSS-523"
    assert fault(Script(ehlo="250-relais\r\n250 SIZE 100000"), tmp_path / "b", given).code == "MSS-523"
    assert script.mails == []


def test_mon_espace_sante_has_its_own_limit(tmp_path: Path) -> None:
    """Case 15: a mail that a doctor may get is too large for a patient."""
    script, limits = Script(), {"max_patient_mail_bytes": 100_000, "max_mail_bytes": 1_000_000}
    document = cda(n1_body(b"%PDF-" + random.Random(1).randbytes(200_000)))
    to_patient = delivery(order((document,), recipient=patient_recipient()), (document,))
    assert fault(script, tmp_path / "a", to_patient, **limits).code == "MSS-523"
    assert not script.commands
    assert send(script, tmp_path / "b", delivery(order((document,)), (document,)), **limits)


def test_a_domain_outside_the_liste_blanche_gets_nothing(tmp_path: Path) -> None:
    """Case 16, promise 6: refused after one refresh, without a word to the server."""
    script = Script()
    assert fault(script, tmp_path, delivery(order(recipient=doctor("dr@ailleurs.fr")))).code == "MSS-510"
    assert not script.commands


def test_a_domain_that_has_just_entered_the_liste_blanche_is_found_by_the_refresh(tmp_path: Path) -> None:
    """Case 16: the refused domain is asked for once more."""
    script, using = Script(), tools(tmp_path)
    (tmp_path / "source.xml").write_text(liste("test-ci-sis.mssante.fr", "nouveau.fr", generated="2026-11-24T04:00:00"))
    assert send(script, tmp_path, delivery(order(recipient=doctor("dr@nouveau.fr"))), using=using)


def test_a_deletion_told_to_a_patient_carries_no_document(tmp_path: Path) -> None:
    """D1: the notice alone; to a professional the last version goes, with the request to delete it (case 12)."""
    script = Script()
    made = [delivery(order(recipient=one, action=Action.DELETE)) for one in (patient_recipient(), doctor())]
    send(script, tmp_path, *made)
    to_patient, to_doctor = (email.message_from_bytes(raw, policy=email.policy.default) for raw in script.mails)
    assert not list(to_patient.iter_attachments())
    assert (to_patient["X-MSS-CODECDA"], to_patient["X-MSS-INS"]) == (None, None)
    assert not to_patient["Subject"].startswith("XDM/")
    assert "supprimer" in body_text(to_patient)
    assert next(part.get_filename() for part in to_doctor.iter_attachments()) == "IHE_XDM.ZIP"
    assert fault(Script(), tmp_path / "r", made[0], suppression_patient="retenir").code == "MSS-554"


def test_a_new_version_refers_to_what_this_recipient_got_before(tmp_path: Path) -> None:
    """References holds the Message-IDs of every mail of the document to the same address, oldest first (RFC 5322)."""

    def row(identity: str, destination: str, document: str, state: State = State.DONE) -> Row:
        made = delivery(
            id=identity, event_id=identity, destination=destination, lineage="L", document=document, payload=b""
        )
        return Row(
            delivery=made, partition=0, sequence=int(document[1:]), bytes_at=made.origin, state=state,
            evidence={"message_id": f"<{identity}@x>"},
        )  # fmt: skip

    mine = destination_of(DOCTOR)
    past = PastDeliveries(
        [row("a", mine, "v1"), row("b", "mss:other", "v1"), row("c", mine, "v0"), row("d", mine, "v1", State.DEAD)]
    )
    script = Script()
    given = delivery(order(action=Action.REPLACE), lineage="L", document="v2", replaces="v1")
    send(script, tmp_path, given, using=tools(tmp_path, past=past))
    assert email.message_from_bytes(script.mails[0])["References"] == "<c@x> <a@x>"


def test_a_kept_connection_that_the_server_closed_is_replaced_silently(tmp_path: Path) -> None:
    """Nothing was sent yet: no failure, no wait."""
    script = Script(answers={"MAIL": ["250 Ok", CUT]})
    assert len(send(script, tmp_path, delivery(), delivery(event_id="f" * 64))) == 2
    assert (script.connections, len(script.mails)) == (2, 2)


def test_a_refused_recipient_does_not_spoil_the_connection_for_the_next(tmp_path: Path) -> None:
    """RSET, then the next mail on the same connection."""
    script = Script(answers={"RCPT": ["550 5.1.1 no"]})

    async def work(port: int) -> None:
        made = sink(tmp_path, port)
        with pytest.raises(Refused):
            await made.deliver(delivery(), FIRST)
        await made.deliver(delivery(event_id="f" * 64), FIRST)
        await made.close()

    run(script, work)
    assert (script.connections, len(commands(script, "RSET")), len(script.mails)) == (1, 1, 1)


@pytest.mark.parametrize("fatal", [1, 2])
def test_a_mail_that_was_overtaken_while_it_waited_does_not_leave(tmp_path: Path, fatal: int) -> None:
    """One last look when a connection is free, one before DATA; the connection serves the next mail."""
    script, looks = Script(), Looks(fatal)

    async def work(port: int) -> None:
        made = sink(tmp_path, port)
        with pytest.raises(Overtaken):
            await made.deliver(delivery(), looks.attempt)
        assert (looks.count, script.mails, commands(script, "DATA")) == (fatal, [], [])
        await made.deliver(delivery(event_id="f" * 64), FIRST)
        await made.close()

    run(script, work)
    assert (script.connections, len(script.mails)) == (1, 1)


def test_no_more_connections_than_configured(tmp_path: Path) -> None:
    """Twenty deliveries at once, two connections."""
    script = Script()

    async def work(port: int) -> None:
        made = sink(tmp_path, port)
        await asyncio.gather(*(made.deliver(delivery(event_id=f"{n:064d}"), FIRST) for n in range(20)))
        await made.close()

    run(script, work)
    assert (script.most_open, len(script.mails)) == (2, 20)


def test_a_silent_server_costs_the_time_out_and_no_more(tmp_path: Path) -> None:
    """A server that never answers RCPT: unavailable after `timeout`."""

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 relais\r\n")
        await reader.read()
        writer.close()

    async def work() -> None:
        listener = await asyncio.start_server(mute, "127.0.0.1", 0)
        made = sink(tmp_path, listener.sockets[0].getsockname()[1], timeout=0.2)
        try:
            await made.deliver(delivery(), FIRST)
        finally:
            listener.close()

    with pytest.raises(Unavailable):
        asyncio.run(work())


def test_the_probe_fails_as_a_delivery_would(tmp_path: Path) -> None:
    """It passes on a server that answers, and is unavailable on one that closes."""

    async def work(port: int) -> None:
        await sink(tmp_path, port).probe()

    run(Script(), work)
    with pytest.raises(Unavailable):
        run(Script(answers={"CONNECT": ["421 no"]}), work)


@pytest.mark.parametrize(
    "changes", [{"redirect_all_mail": "a@b.fr"}, {"keep": "/tmp/x"}, {"mode": "plain"}, {"nil": "", "mode": "plain"}]
)
def test_production_refuses_what_only_qualification_may_do(tmp_path: Path, changes: dict[str, Any]) -> None:
    """D9: the sink doesn't open."""
    with pytest.raises(OperatorFault):
        MssanteSink("mssante.chu", config(**changes), tools(tmp_path, environment="production"))


def test_qualification_can_redirect_and_keep_every_mail(tmp_path: Path) -> None:
    """Everything goes to one address, and can be opened as .eml."""
    script, given = Script(), delivery()
    send(script, tmp_path, given, redirect_all_mail="essai@hopital-a.mssante.fr", keep=str(tmp_path / "kept"))
    assert commands(script, "RCPT")[0].startswith("RCPT TO:<essai@hopital-a.mssante.fr>")
    assert (tmp_path / "kept" / f"{given.id}.eml").read_bytes() == script.mails[0]


def test_the_context_names_no_patient(tmp_path: Path) -> None:
    """What travels with receipts: enough to answer, nothing of the patient."""
    made: MssanteSink = sink(tmp_path, 1)
    context = made.context(delivery(order(recipient=patient_recipient())))
    assert (context["leg"], context["rank"], context["control_id"]) == ("mss", "3", "015")
    assert not [value for value in context.values() if "279035121518989" in value or "PAT-TROIS" in value]


@pytest.mark.parametrize(("plain", "coded"), [("a+b@x.fr", "a+2Bb@x.fr"), ("a=b@x.fr", "a+3Db@x.fr"), ("é", "+C3+A9")])
def test_orcpt_is_written_as_xtext(plain: str, coded: str) -> None:
    """RFC 3461 §4."""
    assert xtext(plain) == coded
