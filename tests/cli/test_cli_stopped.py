"""Commands on a stopped router say that it is not running, and since when: not that it is late or slow."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from router.config.site import Site
from router.contracts import Row, out_topic
from router.exchange import Delivery, JournalEntry, Origin, State
from router.runtime.site_services import SiteServices
from router.runtime.supervisor.workers import last_state
from router.runtime.tenure import Tenure
from router.wire import delivery_record, journal_record
from tests.cli.cli import Said, command

SITE = """\
environment: qualification
data: var
feeds: {sil: {kind: relay, mllp: {port: 2575}}}
sinks: {hl7.dpi: {type: hl7, host: 127.0.0.1, port: 2675}}
"""
CAUSE = "d" * 32
STOPPED = 1_700_000_000.0


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """One message in the journal, one that only the bus holds, and one dead letter. No router."""
    path = tmp_path / "router.yaml"
    path.write_text(SITE)
    services = SiteServices(Site(path))
    services.journal.write([_received("MSG1")], [])
    services.bus.consumer("journal", ["journal"], member="journal-0").close()
    services.bus.producer("gateway-0").publish([journal_record(_received("MSG2"))])
    made = Delivery(
        id=CAUSE, event_id="e" * 64, sink="hl7.dpi", destination="hl7", key="k", lane="k:hl7", payload=b"MSH",
        origin=Origin("in.sil", 0, 0), feed="sil", pipeline="relais", label="dpi", created=1.0,
    )  # fmt: skip
    (at,) = services.bus.producer("test").publish([delivery_record(made, out_topic("hl7.dpi"))])
    row = Row(delivery=made, partition=at.partition, sequence=at.offset, bytes_at=at, state=State.DEAD, code="HL7-AE")
    services.ledger().open([row])
    services.close()
    return path


def _received(name: str) -> JournalEntry:
    return JournalEntry(event_id=name * 8, kind="received", at=time.time() - 6000, feed="sil", control_id=name)


def _ran(site: Path, *statuses: str, at: float = STOPPED) -> None:
    """What a supervisor leaves behind that ended then, its workers in these states."""
    file = site.parent / "var" / "run" / "state.json"
    file.parent.mkdir(exist_ok=True)
    workers: list[dict[str, Any]] = [
        {"role": "sinks", "slot": n, "status": status, "pid": 0, "since": at, "restarts": 0, "last_exit": None}
        for n, status in enumerate(statuses)
    ]
    file.write_text(json.dumps({"pid": 2**22 + 1, "started": at - 60, "workers": workers}))
    os.utime(file, (at, at))


def _said(site: Path, *words: str, language: str = "en") -> Said:
    found = command(*words, "--site", str(site), "--lang", language)
    return Said(found.code, " ".join(found.out.split()), " ".join(found.err.split()))


def test_explain_says_that_the_router_is_stopped(site: Path) -> None:
    """Since when, in both languages, and not that the journal is so many seconds late."""
    _ran(site, "stopped", "stopped")
    page = _said(site, "explain", "MSG1").out
    assert "Nothing goes on: the router is not running: it was stopped on 14/11/2023" in page
    assert "the bus still holds what the journal has not read" in page
    assert " late" not in page
    assert (
        "Rien n'avance : le routeur ne tourne pas : arrêté le 14/11/2023"
        in _said(site, "explain", "MSG1", language="fr").out
    )
    unknown = _said(site, "explain", "MSG2")
    assert (unknown.code, "the router is not running" in unknown.err, " late" in unknown.err) == (1, True, False)
    assert json.loads(command("explain", "MSG1", "--json", "--site", str(site)).out)[0]["running"] is False


def test_a_router_that_was_killed_is_told_from_one_that_was_stopped(site: Path) -> None:
    """Workers that were running at its last sign of life: it did not drain."""
    _ran(site, "stopped", "running")
    assert "killed or with its machine" in _said(site, "explain", "MSG1").out


def test_a_router_that_never_ran_is_told_too(site: Path) -> None:
    """There is no date to tell."""
    assert "none has run on this data folder yet" in _said(site, "explain", "MSG1").out


def test_while_the_router_runs_nothing_is_said_of_it(site: Path) -> None:
    """The lock of the data folder is held, whatever an earlier run has left."""
    _ran(site, "stopped")
    running = Tenure(site.parent / "var")
    assert "not running" not in _said(site, "explain", "MSG1").out
    running.end()


def test_dead_letters_of_a_stopped_router(site: Path) -> None:
    """`ls` says that it is stopped; `replay --wait` gives the order and does not wait for who is not there."""
    _ran(site, "stopped")
    page = _said(site, "dlq", "ls").out
    assert "1 × HL7-AE" in page and "the router is not running" in page
    begun = time.monotonic()
    ordered = _said(site, "dlq", "replay", CAUSE, "--yes", "--wait", "--timeout", "30")
    assert time.monotonic() - begun < 20
    assert "the order waits on the bus until the router starts: the router is not running" in ordered.out
    assert ordered.code == 1
    given_up = _said(site, "dlq", "discard", CAUSE, "--reason", "vu", "--yes")
    assert "the order waits on the bus until the router starts" in given_up.out
    plain = _said(site, "dlq", "replay", CAUSE, "--yes", "--decide-again")
    assert "--wait" not in plain.out


def test_a_supervisor_gives_signs_of_life(site: Path) -> None:
    """What the state file says outlives the process that wrote it."""
    _ran(site, "running")
    found = last_state(site.parent / "var" / "run" / "state.json")
    assert found is not None
    assert (found.written, found.started, found.drained, found.workers[0].name) == (
        STOPPED, STOPPED - 60, False, "sinks-0"
    )  # fmt: skip
    assert last_state(site) is None
