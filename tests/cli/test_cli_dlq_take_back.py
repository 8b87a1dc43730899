"""`dlq take-back` proposes only what can be taken back, and says of a refused message that its discard is final."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from router.config.site import Site
from router.contracts import DISCARDED, Header, Outgoing, dlq_topic
from router.engine.dead_letters.listing import groups
from router.exchange import JournalEntry, State
from router.runtime.site_services import SiteServices
from tests.cli.cli import command
from tests.contracts.ledger_contract import row

SITE = """\
environment: qualification
data: {data}
feeds: {{sil: {{kind: relay, mllp: {{port: 2575}}}}}}
sinks: {{hl7.a: {{type: hl7, host: 127.0.0.1, port: 2675}}}}
"""


@pytest.fixture
def site(tmp_path: Path) -> tuple[Path, str]:
    """(site file, cause of two messages that the gateway refused); message 50: one delivery discarded, one made."""
    path = tmp_path / "router.yaml"
    path.write_text(SITE.format(data=tmp_path / "var"))
    services = SiteServices(Site(path))
    try:
        ledger = services.ledger()
        discarded = row("d1", sink="hl7.a", state=State.SUPERSEDED, code=DISCARDED, updated=time.time())
        for one in (replace(discarded, evidence={"before": "dead"}), row("d2", sink="hl7.a", state=State.DONE)):
            ledger.open([replace(one, delivery=replace(one.delivery, event_id="event", strict=False))])
        deliveries = (("d1", "hl7.a", "x"), ("d2", "hl7.a", "y"))
        both = JournalEntry(
            event_id="event", kind="decided", at=1.0, feed="sil", control_id="50", deliveries=deliveries
        )
        services.journal.write([both], [])
        for event, control_id in (("e1", "42"), ("e2", "43")):
            headers = {Header.ID: event, Header.CODE: "R45", Header.PLACE: "PID^1^32", Header.FEED: "sil"}
            services.bus.producer(event).publish([Outgoing(dlq_topic("intake"), event, b"bytes", headers)])
            entry = JournalEntry(event_id=event, kind="refused", at=1.0, feed="sil", control_id=control_id, code="R45")
            services.journal.write([entry], [])
        cause = groups(services.bus, ledger)[0].cause
    finally:
        services.close()
    return path, cause


def _take_back(path: Path, id_: str, typed: str = "") -> tuple[int, str]:
    said = command("--lang", "en", "dlq", "take-back", id_, "--reason", "r", "--site", str(path), typed=typed)
    return said.code, " ".join((said.out + said.err).split())


def test_only_what_can_be_taken_back_is_proposed(site: tuple[Path, str]) -> None:
    """Of a message with a discarded delivery and one that was made: one."""
    code, told = _take_back(site[0], "50", "y\n")
    assert "Take 1 discard back?" in told and "1 ordered, 0 refused" in told and code == 0, told


def test_what_was_never_discarded_is_not_asked_about(site: tuple[Path, str]) -> None:
    """The refusal, with its reason; no question before it."""
    code, told = _take_back(site[0], "d2")
    assert code == 1 and "?" not in told and "1 refused" in told, told


@pytest.mark.parametrize("by", ["cause", "42", "e1"])
def test_the_discard_of_a_refused_message_is_final(site: tuple[Path, str], by: str) -> None:
    """By its cause, its MSH-10 or its event: a sentence in place of a question."""
    code, told = _take_back(site[0], site[1] if by == "cause" else by)
    assert code == 1 and "?" not in told and "its discard is final" in told, told


def test_a_discard_that_is_final_says_so_before_it_is_confirmed(site: tuple[Path, str]) -> None:
    """With the number of those that can't be taken back."""
    said = command("--lang", "en", "dlq", "discard", site[1], "--reason", "r", "--site", str(site[0]), typed="n\n")
    told = " ".join((said.out + said.err).split())
    assert "2 were refused before they became deliveries: that can't be taken back. Give up 2 dead letters?" in told
