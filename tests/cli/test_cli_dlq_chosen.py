"""What an operator narrows stays narrow, whatever name he gives; a topic made anew keeps the order of time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from typer.testing import CliRunner

from router.cli.dead_letters import chosen
from router.cli.main import app
from router.config.site import Site
from router.contracts import Header, Outgoing, dlq_topic
from router.engine.dead_letters.listing import Filter
from router.engine.delivery.supersession_rules import overtaken_by
from router.exchange import JournalEntry, State
from router.runtime.site_services import SiteServices
from tests.contracts.ledger_contract import row

SITE = """\
environment: qualification
data: {data}
limits: {{partitions: {partitions}}}
feeds: {{sil: {{kind: relay, mllp: {{port: 2575}}}}, ris: {{kind: relay, mllp: {{port: 2576}}}}}}
sinks: {{hl7.a: {{type: hl7, host: 127.0.0.1, port: 2675}}, hl7.b: {{type: hl7, host: 127.0.0.1, port: 2676}}}}
"""


def test_the_filters_hold_for_a_message_named_by_its_msh_10(tmp_path: Path) -> None:
    site = tmp_path / "router.yaml"
    site.write_text(SITE.format(data=tmp_path / "var", partitions=2))
    services = SiteServices(Site(site))
    try:
        ledger = services.ledger()
        for name, sink, feed in (("d1", "hl7.a", "sil"), ("d2", "hl7.b", "ris")):
            one = row(name, sink=sink)
            one = replace(one, delivery=replace(one.delivery, event_id=f"event-{name}", feed=feed), state=State.DEAD)
            ledger.open([one])
            entry = JournalEntry(
                event_id=f"event-{name}", kind="decided", at=1.0, feed=feed, control_id="42",
                deliveries=((name, sink, "x"),),
            )  # fmt: skip
            services.journal.write([entry], [])
        assert [one.delivery_id for one in chosen(services, ledger, Filter(id="42", sink="hl7.a"))] == ["d1"]
        assert [one.delivery_id for one in chosen(services, ledger, Filter(id="42", feed="sil"))] == ["d1"]
    finally:
        services.close()
    said = CliRunner().invoke(app, ["dlq", "replay", "42", "--sink", "hl7.a", "--dry-run", "--site", str(site)])
    assert said.output.strip().startswith("1 would be done"), said.output


def test_a_topic_made_anew_keeps_the_order_of_time(tmp_path: Path) -> None:
    """Offsets begin at 0 again: what the ledger knows of before is earlier than what comes now, in any partition."""
    site = tmp_path / "router.yaml"
    site.write_text(SITE.format(data=tmp_path / "var", partitions=2))
    services = SiteServices(Site(site))
    _ = services.bus
    dead = row("dead", 4000, sink="hl7.a", state=State.DEAD)
    dead = replace(dead, delivery=replace(dead.delivery, strict=False))
    gone = row("gone", 5000, sink="hl7.a", state=State.DONE)
    services.ledger().open([dead, gone])
    services.close()
    site.write_text(SITE.format(data=tmp_path / "var", partitions=3))
    done = CliRunner().invoke(app, ["topics", "migrate", "out.hl7.a", "--site", str(site)])
    assert (done.exit_code, "1 of 1" in done.output) == (0, True), done.output
    services = SiteServices(Site(site))
    try:
        new = row("new", 3, sink="hl7.a")
        new = replace(new, delivery=replace(new.delivery, action="delete"))
        before = services.ledger().lineage("hl7.a", "l-1")
        assert overtaken_by(replace(new, state=State.DEAD), before) is None
        found = next(one for one in before if one.delivery.id == "dead")
        assert overtaken_by(found, [new]) is new
    finally:
        services.close()


def test_what_still_waits_is_not_given_up_by_the_name_of_its_message(tmp_path: Path) -> None:
    """A colleague has just replayed the dead letter: the other's `discard MSH-10` must not take the whole message."""
    site = tmp_path / "router.yaml"
    site.write_text(SITE.format(data=tmp_path / "var", partitions=2))
    services = SiteServices(Site(site))
    try:
        _ = services.bus
        for name, sink, state in (("d1", "hl7.a", State.READY), ("d2", "hl7.b", State.WAITING)):
            one = row(name, sink=sink, state=state)
            services.ledger().open([replace(one, delivery=replace(one.delivery, event_id="event"))])
        entry = JournalEntry(
            event_id="event", kind="decided", at=1.0, feed="sil", control_id="42",
            deliveries=(("d1", "hl7.a", "x"), ("d2", "hl7.b", "y")),
        )  # fmt: skip
        services.journal.write([entry], [])
    finally:
        services.close()
    words = ["dlq", "discard", "42", "--reason", "r", "--dry-run", "--site", str(site)]
    said = CliRunner().invoke(app, words)
    assert "would be done" not in said.output or "0 would be done" in said.output, said.output
    words[2] = "d2"  # by its own name it can be
    assert "1 would be done" in CliRunner().invoke(app, words).output


def test_a_delivery_s_own_id_means_no_other_one(tmp_path: Path) -> None:
    """It was delivered meanwhile: the refusal says so, and its neighbour of the same message is left alone."""
    site = tmp_path / "router.yaml"
    site.write_text(SITE.format(data=tmp_path / "var", partitions=2))
    services = SiteServices(Site(site))
    try:
        ledger = services.ledger()
        for name, sink, state in (("d1", "hl7.a", State.DONE), ("d2", "hl7.b", State.DEAD)):
            one = row(name, sink=sink, state=state)
            ledger.open([replace(one, delivery=replace(one.delivery, event_id="event"))])
        entry = JournalEntry(
            event_id="event", kind="decided", at=1.0, feed="sil", control_id="42",
            deliveries=(("d1", "hl7.a", "x"), ("d2", "hl7.b", "y")),
        )  # fmt: skip
        services.journal.write([entry], [])
        assert [one.delivery_id for one in chosen(services, ledger, Filter(id="d1"))] == ["d1"]
    finally:
        services.close()


def test_a_refused_message_is_found_by_its_msh_10(tmp_path: Path) -> None:
    """A message that the gateway refused has no delivery; its dead letter answers to its MSH-10 all the same."""
    site = tmp_path / "router.yaml"
    site.write_text(SITE.format(data=tmp_path / "var", partitions=2))
    services = SiteServices(Site(site))
    try:
        ledger = services.ledger()
        for event, control_id in (("e1", "42"), ("e2", "43")):
            headers = {Header.ID: event, Header.CODE: "R45", Header.PLACE: "PID^1^32", Header.FEED: "sil"}
            services.bus.producer(event).publish([Outgoing(dlq_topic("intake"), event, b"bytes", headers)])
            entry = JournalEntry(event_id=event, kind="received", at=1.0, feed="sil", control_id=control_id)
            services.journal.write([entry], [])
        assert [one.event_id for one in chosen(services, ledger, Filter(id="42"))] == ["e1"]
        assert chosen(services, ledger, Filter(id="42", feed="ris")) == []
    finally:
        services.close()


def test_a_delivery_that_was_made_is_shown_as_such(tmp_path: Path) -> None:
    """`dlq show` of a message that arrived says so, and gives no advice; the order asks another question."""
    site = tmp_path / "router.yaml"
    site.write_text(SITE.format(data=tmp_path / "var", partitions=2))
    services = SiteServices(Site(site))
    try:
        _ = services.bus
        services.ledger().open([row("d1", sink="hl7.a", state=State.DONE)])
    finally:
        services.close()
    shown = CliRunner().invoke(app, ["dlq", "show", "d1", "--site", str(site)]).output
    assert "delivered" in shown and "to do" not in shown, shown
    asked = CliRunner().invoke(app, ["dlq", "replay", "d1", "--site", str(site)], input="n\n").output
    assert "1 delivery, no dead letter" in asked, asked


def test_who_gives_a_code_for_an_id_is_told_how_to_ask_by_code(tmp_path: Path) -> None:
    """A code is no identifier: the sentence names the command that finds its causes, and that command finds them."""
    site = tmp_path / "router.yaml"
    site.write_text(SITE.format(data=tmp_path / "var", partitions=2))
    services = SiteServices(Site(site))
    try:
        _ = services.bus
        services.ledger().open([replace(row("d1", sink="hl7.a", state=State.DEAD), code="HL7-AE")])
    finally:
        services.close()
    said = CliRunner().invoke(app, ["dlq", "show", "HL7-AE", "--site", str(site)])
    assert (said.exit_code, "`segur-router dlq ls --code HL7-AE`" in " ".join(said.output.split())) == (1, True), (
        said.output
    )
    assert "HL7-AE" in CliRunner().invoke(app, ["dlq", "ls", "--code", "HL7-AE", "--site", str(site)]).output
