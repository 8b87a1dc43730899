"""`explain` says how late the journal is: an operator must know whether the end of the story is missing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from router.cli.main import app
from router.config.site import Site
from router.exchange import JournalEntry
from router.journal.worker import JournalWorker
from router.runtime.site_services import SiteServices
from router.runtime.tenure import Tenure
from router.wire import journal_record

SITE = """\
environment: qualification
data: var
feeds: {sil: {kind: relay, mllp: {port: 2575}}}
sinks: {hl7.sil: {type: hl7, host: 127.0.0.1, port: 2675}}
"""


PATIENCE = 60.0


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "router.yaml"
    path.write_text(SITE)
    return path


def _received(name: str) -> JournalEntry:
    return JournalEntry(event_id=name * 8, kind="received", at=time.time(), feed="sil", control_id=name)


def _explain(site: Path, name: str, language: str = "fr") -> str:
    return CliRunner().invoke(app, ["explain", name, "--site", str(site), "--lang", language]).output


@contextmanager
def _journal(services: SiteServices) -> Iterator[None]:
    """What the journal's role does, until the end of the block."""
    worker = JournalWorker(services.bus, services.journal, member="journal-0")
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join()


def test_explain_says_how_late_the_journal_is(site: Path) -> None:
    """Up to date while it reads; late, and how much, once records wait for it; also of an id it doesn't know yet."""
    services = SiteServices(Site(site))
    try:
        producer = services.bus.producer("gateway-0")
        with _journal(services):
            producer.publish([journal_record(_received("MSG1"))])
            deadline = time.monotonic() + PATIENCE
            while "Journal à jour." not in (page := _explain(site, "MSG1")) and time.monotonic() < deadline:
                time.sleep(0.1)
            assert "Message MSG1 du flux sil" in page
            assert page.splitlines()[-2] == "Journal à jour."
        producer.publish([journal_record(_received("MSG2"))])
        running = Tenure(services.site.data)
        assert "de retard : la suite n'y est pas encore." in _explain(site, "MSG1")
        assert "the journal is" in _explain(site, "MSG2", "en")
        running.end()
    finally:
        services.close()
