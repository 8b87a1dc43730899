"""`segur-router status`: of a stopped router, of one that runs, of one in trouble."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from router.cli import status_screen
from router.cli.output import console
from router.cli.status import _print
from router.config.site import Site
from router.contracts import Row, out_topic
from router.exchange import Delivery, JournalEntry, Origin, State
from router.language import in_language
from router.observe.readings import Reading
from router.runtime.presence import Presence
from router.runtime.site_services import SiteServices
from router.runtime.status.gather import Gatherer, yesterday
from router.runtime.status.judge import judged
from router.runtime.status.views import CertificateView, MailboxView, ProcessReport, SinkView, Status, WorkerView
from router.runtime.tenure import Tenure
from router.wire import delivery_record
from tests.cli.cli import command

SITE = """\
environment: qualification
data: var
admin: {port: 0}
structures:
  "750100125": {name: A, source_oid: "1.2", ipp_oid: "1.3", mailbox: pfi@a.test.mssante.fr, mssante: mssante.a}
feeds:
  sil: {kind: relay, mllp: {port: 2575}}
  gam: {kind: adt, mllp: {port: 2576}}
sinks:
  hl7.dpi: {type: hl7, host: 127.0.0.1, port: 1}
  mssante.a: {type: mssante, host: 127.0.0.1, mode: plain, imap: {host: 127.0.0.1, mode: plain}}
directory: {liste_blanche: {source: liste.xml}}
"""
NOW = time.time()
ROLES = ("gateway", "pipelines", "sinks", "feedback", "journal")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "router.yaml"
    path.write_text(SITE)
    return path


@pytest.fixture
def used(site: Path) -> Path:
    """Three messages, four deliveries not made (one has no row yet), two dead letters, a supervisor that drained."""
    services = SiteServices(Site(site))
    times = {"M1": NOW - 60, "M2": NOW - 120, "M3": NOW - 30_000}
    services.journal.write([_received(name, at) for name, at in times.items()], [])
    ledger, producer = services.ledger(), services.bus.producer("test")
    states = (State.READY, State.WAITING, State.WAITING, State.DEAD, State.DEAD)
    for number, state in enumerate(states):
        made = _delivery(number)
        (at,) = producer.publish([delivery_record(made, out_topic("hl7.dpi"))])
        code = "" if state is State.READY else "HL7-CONNECT" if state is State.WAITING else "HL7-AE"
        row = Row(delivery=made, partition=at.partition, sequence=at.offset, bytes_at=at, state=state, code=code,
                  text="refusé", updated=NOW - (200_000 if number == 3 else 10))  # fmt: skip
        ledger.open([row])
    producer.publish([delivery_record(_delivery(9), out_topic("hl7.dpi"))])
    services.close()
    _state(site, "stopped", since=NOW - 600)
    return site


def _received(name: str, at: float) -> JournalEntry:
    return JournalEntry(event_id=name * 16, kind="received", at=at, feed="sil", control_id=name, ack="AA")


def _delivery(number: int) -> Delivery:
    return Delivery(
        id=f"{number}" * 32, event_id="e" * 64, sink="hl7.dpi", destination="hl7", key=f"k{number}", lane="k:hl7",
        payload=b"MSH", origin=Origin("in.sil", 0, number), feed="sil", pipeline="relais", label="dpi",
        created=NOW - 7200 - number,
    )  # fmt: skip


def _state(site: Path, status: str, since: float) -> None:
    file = site.parent / "var" / "run" / "state.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    workers = [
        {"role": role, "slot": 0, "status": status, "pid": 0, "since": since, "restarts": 0, "last_exit": None}
        for role in ROLES
    ]
    file.write_text(json.dumps({"pid": os.getpid(), "started": since, "workers": workers}))
    os.utime(file, (since, since))


def test_a_site_that_never_ran_is_looked_at_without_leaving_a_trace(site: Path) -> None:
    """It ends with 3, says so, and makes neither a folder nor a database."""
    said = command("status", "--site", str(site), "--lang", "en")
    assert said.code == 3
    assert "the router is not running: none has run on this data folder yet" in said.out
    assert [path.name for path in site.parent.iterdir()] == ["router.yaml"]


def test_a_stopped_router_says_what_the_disk_holds(used: Path) -> None:
    """Since when it is stopped, what was not delivered, and the dead letters by cause; exit code 3."""
    said = command("status", "--site", str(used), "--lang", "en")
    page = " ".join(said.out.split())
    assert said.code == 3
    assert re.search(r"the router is not running: it was stopped on [\d/]+ [\d:]+ \(\d+ min ago\)", page)
    assert "on the disk: 0 events not decided, 4 deliveries not made, 2 dead letters" in page
    assert "2 not resolved, 1 of them since yesterday" in page
    assert "1 × HL7-AE hl7.dpi" in page and "segur-router dlq ls" in page
    assert "circuit open" not in page
    french = command("status", "--site", str(used), "--lang", "fr").out
    assert "le routeur ne tourne pas : arrêté le" in " ".join(french.split())


def test_the_same_facts_are_there_for_programs(used: Path) -> None:
    """Every number of the screen, and the exit code, as JSON."""
    said = command("status", "--site", str(used), "--json")
    found = said.json
    sink = found["sinks"][0]
    assert (said.code, found["exit"], found["presence"]["state"]) == (3, 3, "stopped")
    assert (sink["name"], sink["waiting"], sink["unread"], sink["circuit"]) == ("hl7.dpi", 4, 1, "unknown")
    assert sink["reasons"] == {"HL7-CONNECT": 2}
    assert sink["oldest"] == pytest.approx(NOW - 7202)
    sil = found["feeds"][0]
    assert (sil["hour"], sil["day"], sil["last"]) == (2, 3, pytest.approx(NOW - 60))
    assert found["dead_letters"]["total"] == 2
    assert found["dead_letters"]["since"] == yesterday(found["at"])
    assert [one["what"] for one in found["attention"]] == ["dead letters"]


@pytest.fixture
def gathered(used: Path) -> Iterator[Status]:
    """What is gathered while somebody holds the data folder, as a router does."""
    running = Tenure(used.parent / "var")
    _state(used, "running", since=NOW - 60)
    gatherer = Gatherer(Site(used))
    yield gatherer.gather()
    gatherer.close()
    running.end()


def test_a_running_router_is_known_by_its_lock(gathered: Status) -> None:
    """Its workers are listed; one that does not say that it works yet is starting; so is what nobody reads told."""
    assert (gathered.presence.state, gathered.presence.since) == ("here", NOW - 60)
    (report,) = gathered.processes
    assert [(worker.name, worker.status) for worker in report.workers] == [(f"{role}-0", "starting") for role in ROLES]
    assert {(one.what, one.subject) for one in gathered.attention} >= {
        ("dead letters", ""), ("sink", "hl7.dpi"), ("directory", "liste blanche")
    }  # fmt: skip


def _fine(status: Status) -> Status:
    """The same site with nothing wrong."""
    workers = tuple(WorkerView(f"{role}-0", role, "running", NOW - 9e5, 0, None) for role in ROLES)
    report = ProcessReport("m", "0.2.0", NOW - 9e5, workers)
    sinks = tuple(SinkView(one.name, one.type, "closed", 0, 0, 0, 0, 0, None, {}) for one in status.sinks)
    assert status.directory is not None and status.dead_letters is not None
    return replace(
        status,
        at=NOW,
        presence=Presence("here", NOW - 9e5, workers=tuple(f"{role}-0" for role in ROLES)),
        processes=(report,),
        sinks=sinks,
        directory=replace(status.directory, liste_blanche_age=3600.0, domains=9000),
        dead_letters=replace(status.dead_letters, total=0, recent=()),
        mailboxes=(MailboxView("mssante.a", True, None, 0),),
        disk=None,
        attention=(),
    )


def _judged(status: Status) -> list[tuple[str, str]]:
    return [(one.what, one.subject) for one in judged(status, (), ROLES).attention]


def test_what_waits_for_a_person(gathered: Status) -> None:
    """Each trouble alone is told, under the name of what it is about; a site that is well says nothing."""
    fine = _fine(gathered)
    assert _judged(fine) == []
    mail, sink = fine.sinks[1], fine.sinks[0]
    worker = fine.processes[0].workers[2]
    box = fine.mailboxes[0]

    def with_worker(**changes: object) -> Status:
        changed = tuple(replace(one, **changes) if one is worker else one for one in fine.processes[0].workers)  # type: ignore[arg-type]
        return replace(fine, processes=(replace(fine.processes[0], workers=changed),))

    assert fine.directory is not None and fine.dead_letters is not None
    stopped = Presence("stopped", NOW - 60)
    cases = {
        ("sink", "hl7.dpi"): [
            replace(fine, sinks=(replace(sink, circuit="open", waiting=3, reasons={"HL7-CONNECT": 3}), mail)),
            replace(fine, sinks=(replace(sink, waiting=1, oldest=NOW - 3601), mail)),
        ],
        ("held", "mssante.a"): [
            replace(fine, sinks=(sink, replace(mail, waiting=3, reasons={"UNKNOWN-HELD": 3}))),
            replace(fine, presence=stopped, sinks=(sink, replace(mail, waiting=3, reasons={"UNKNOWN-HELD": 3}))),
        ],
        ("mailbox", "mssante.a"): [
            replace(fine, mailboxes=(replace(box, readable=False),)),
            replace(fine, mailboxes=(replace(box, oldest_unread=NOW - 3601),)),
        ],
        ("worker", "sinks-0"): [
            with_worker(status="waiting", last_exit=1),
            with_worker(restarts=1, since=NOW - 30),
        ],
        ("role", "journal"): [
            replace(
                fine,
                presence=replace(fine.presence, workers=("pipelines-0", "sinks-0", "feedback-0")),
                processes=(replace(fine.processes[0], workers=fine.processes[0].workers[:4]),),
            )
        ],
        ("journal", ""): [replace(fine, journal_behind=601.0)],
        ("pipelines", ""): [replace(fine, pipelines_refused=1)],
        ("site", ""): [replace(fine, site_changed=True)],
        ("dead letters", ""): [replace(fine, dead_letters=replace(fine.dead_letters, total=1))],
        ("impact", ""): [replace(fine, work_entries=2)],
        ("directory", "liste blanche"): [
            replace(fine, directory=replace(fine.directory, liste_blanche_age=8 * 86_400.0)),
            replace(fine, directory=replace(fine.directory, liste_blanche_age=None)),
        ],
    }
    for expected, troubled in cases.items():
        for one in troubled:
            assert _judged(one) == [expected], one
    calm = [
        replace(fine, sinks=(replace(sink, waiting=1, oldest=NOW - 3500), mail)),
        with_worker(restarts=4, since=NOW - 3600),
        replace(fine, journal_behind=30.0),
        replace(fine, presence=replace(fine.presence, workers=None)),
    ]
    assert [_judged(one) for one in calm] == [[], [], [], []]


def test_every_part_of_the_screen_fits_into_80_columns(gathered: Status, used: Path) -> None:
    """In both languages, with a sink whose circuit is open and a worker that falls."""
    fine = _fine(gathered)
    worker = replace(fine.processes[0].workers[0], status="waiting", restarts=3, last_exit=1)
    report = replace(fine.processes[0], workers=(worker, *fine.processes[0].workers[1:]))
    sink = replace(fine.sinks[0], circuit="open", waiting=12, oldest=NOW - 90, reasons={"HL7-CONNECT": 12})
    bad = judged(replace(gathered, processes=(report,), sinks=(sink, fine.sinks[1])), (), ROLES)
    words = {"en": ("OPEN", "3 restarts", "For a person"), "fr": ("OUVERT", "3 redémarrages", "Pour une personne")}
    for language, expected in words.items():
        with in_language(language), console.capture() as caught:
            console.width = 80
            for line in status_screen.screen(bad, used):
                _print(line)
        page = caught.get()
        lines = [line for line in page.splitlines() if "→" not in line]  # a command is not folded: it is copied
        assert [line for line in lines if len(line.rstrip()) > 80] == []
        assert all(word in page for word in expected), page


def test_measures_of_several_processes_are_joined(used: Path) -> None:
    """A circuit that one process has open is open; what is in flight adds up."""
    from router.runtime.status.processes import Measured

    def said(circuit: float, in_flight: float) -> ProcessReport:
        labels = {"sink": "s"}
        return ProcessReport(
            "m", "", 0.0, (), (Reading("circuit_open", labels, circuit), Reading("in_flight", labels, in_flight))
        )

    reports = [said(0.0, 2.0), said(1.0, 3.0)]
    measured = Measured(reports)
    assert measured.total("in_flight", sink="s") == 5
    assert measured.total("in_flight", sink="t") is None
    assert max(one.value for one in measured.of("circuit_open", sink="s")) == 1
    assert (measured.most("in_flight"), measured.most("site_file_changed")) == (3, 0)


def test_a_database_that_is_away_is_told_and_hides_nothing_else(used: Path) -> None:
    """The ledger's file is no database: its part is missing, the others are there, and a person is asked to look."""
    for file in used.parent.glob("var/ledger.db*"):
        file.unlink()
    (used.parent / "var" / "ledger.db").write_text("no database" * 200)
    running = Tenure(used.parent / "var")
    said = command("status", "--site", str(used), "--json")
    running.end()
    found = said.json
    assert said.code == 1
    assert found["feeds"][0]["day"] == 3 and found["sinks"][0]["waiting"] is None
    assert "ledger" in {one["what"] for one in found["unseen"]}
    assert ("unseen", "ledger") in {(one["what"], one["subject"]) for one in found["attention"]}


def test_an_address_that_does_not_answer_is_told(used: Path) -> None:
    """`--at` asks other machines; who does not answer is not counted as well."""
    said = command("status", "--site", str(used), "--at", "127.0.0.1:1", "--json")
    assert {one["what"] for one in said.json["unseen"]} == {"127.0.0.1:1"}
    assert command("status", "--site", str(used), "--at", "nowhere", "--lang", "en").code == 2


def test_a_certificate_that_has_ended_is_said_to_have_ended(gathered: Status, used: Path) -> None:
    """Not as a number of days below zero."""
    ended = replace(gathered, certificates=(CertificateView("dmp.a/auth", gathered.at - 1.6 * 86_400),))
    with in_language("en"), console.capture() as caught:
        for line in status_screen.screen(ended, used):
            _print(line)
    assert "Certificates dmp.a/auth has ended" in caught.get()


def test_doctor_says_that_the_router_is_not_running(used: Path) -> None:
    """Its last line: what looks well is not at work all the same."""
    done = command("--lang", "en", "doctor", "--only", "disk", "--site", str(used))
    assert "the router is not running" in done.out.splitlines()[-1], done.out
