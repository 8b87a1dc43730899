"""One trace for each event, at a collector that listens on this machine (OTLP over HTTP)."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from router.bus.sqlite.sqlite_bus import SqliteBus
from router.contracts import SystemClock
from router.errors import OperatorFault
from router.exchange import Disposition, JournalEntry, Receipt, ReceiptKind
from router.journal.store import Journal
from router.journal.worker import JournalWorker
from router.observe import traces
from router.observe.traces import Traces
from router.wire import journal_record, receipt_record

EVENT, MAIL = "0af7651916cd43dd8448eb211c80319c", "d" * 32
SECRET = "HODA"


class Collector:
    """Keeps every span that it gets."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.resources: dict[str, str] = {}
        self.raw = b""
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
                collector.take(self.path, body)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}/v1/traces"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, path: str, body: bytes) -> None:
        assert path == "/v1/traces"
        self.raw += body
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            self.resources |= {one.key: one.value.string_value for one in resource.resource.attributes}
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


def story() -> tuple[list[JournalEntry], list[Receipt]]:
    """Accepted at 100, decided at 101, one attempt that failed at 102, delivered at 105; the DSN came at 200."""
    entries = [
        JournalEntry(
            event_id=EVENT, kind="received", at=100, feed="sil", ack="AA", source="mllp", size=9, control_id=SECRET,
            sender=SECRET, patients=(SECRET,), documents=(SECRET,),
        ),
        JournalEntry(event_id=EVENT, kind="decided", at=101, feed="sil", pipeline="biologie", digest="a", text=SECRET),
    ]  # fmt: skip
    first = Receipt(
        delivery_id=MAIL, event_id=EVENT, sink="mssante.chu", pipeline="biologie", label=SECRET,
        kind=ReceiptKind.ATTEMPT, ok=False, at=102, attempt=1, code="MSS-421", text=SECRET,
    )  # fmt: skip
    done = replace(
        first, kind=ReceiptKind.DELIVERY, ok=True, at=105, attempt=2, code="", disposition=Disposition.DELIVERED,
        evidence={"message_id": SECRET}, context={"control_id": SECRET},
    )  # fmt: skip
    receipts = [first, done, replace(done, kind=ReceiptKind.DSN, at=200, disposition=None)]
    return entries, receipts


def test_an_event_is_one_trace_from_its_acceptance_to_its_receipts(collector: Collector) -> None:
    """The trace id is the event's id; each stage begins where the one before it ended."""
    made = Traces(collector.endpoint, "qualification")
    made.told(*story())
    made.close()
    assert {span.trace_id.hex() for span in collector.spans} == {EVENT}
    told = [
        (span.name, span.start_time_unix_nano // 10**9, span.end_time_unix_nano // 10**9, span.status.code)
        for span in collector.spans
    ]
    assert told == [
        ("received sil", 100, 100, Status.STATUS_CODE_UNSET),
        ("pipeline biologie", 100, 101, Status.STATUS_CODE_UNSET),
        ("attempt mssante.chu", 101, 102, Status.STATUS_CODE_ERROR),
        ("delivery mssante.chu", 102, 105, Status.STATUS_CODE_UNSET),
        ("dsn mssante.chu", 105, 200, Status.STATUS_CODE_UNSET),
    ]
    root, pipeline, *below = collector.spans
    assert (root.parent_span_id, pipeline.parent_span_id) == (b"", root.span_id)
    assert {span.parent_span_id for span in below} == {pipeline.span_id}
    assert collector.resources["service.name"] == "segur-router"
    attributes = {one.key: one.value.string_value for one in below[0].attributes}
    assert attributes["segur.event"] == EVENT
    assert attributes["segur.code"] == "MSS-421"


def test_no_value_of_a_message_is_in_a_trace(collector: Collector) -> None:
    """Names, identifiers, labels, texts and evidence stay in the journal."""
    made = Traces(collector.endpoint, "qualification")
    made.told(*story())
    made.close()
    assert collector.spans
    assert SECRET.encode() not in collector.raw


def test_a_line_that_is_read_twice_is_the_same_span(collector: Collector) -> None:
    """After a restart the journal reads its last batch again: ids do not change."""
    for _ in range(2):
        made = Traces(collector.endpoint, "qualification")
        made.told(*story())
        made.close()
    ids = [span.span_id for span in collector.spans]
    assert len(ids) == 10
    assert len(set(ids)) == 5


def test_a_share_of_the_events_is_traced_whole(collector: Collector) -> None:
    """The trace id decides, so that no trace is torn."""
    made = Traces(collector.endpoint, "qualification", ratio=0.3)
    for number in range(200):
        event = hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()
        for kind in ("received", "decided"):
            made.told([JournalEntry(event_id=event, kind=kind, at=1, feed="sil", pipeline="p")], [])
    made.close()
    by_trace: dict[bytes, int] = {}
    for span in collector.spans:
        by_trace[span.trace_id] = by_trace.get(span.trace_id, 0) + 1
    assert set(by_trace.values()) == {2}
    assert 20 < len(by_trace) < 120


def test_the_journal_goes_on_without_its_collector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are written, and the end is not waited for, when nobody listens at the address."""
    monkeypatch.setattr(traces, "PATIENCE", 0.5)
    made = Traces("http://127.0.0.1:1/v1/traces", "qualification")
    bus = SqliteBus(tmp_path / "bus.db")
    journal = Journal(f"sqlite:///{tmp_path / 'journal.db'}", SystemClock())
    entries, receipts = story()
    bus.producer("p").publish([*map(journal_record, entries), *map(receipt_record, receipts)])
    worker = JournalWorker(bus, journal, member="journal-0", told=made.told)
    thread = threading.Thread(target=worker.run)
    thread.start()
    end = time.monotonic() + 20
    while not journal.story(EVENT) and time.monotonic() < end:
        time.sleep(0.05)
    worker.stop()
    thread.join(10)
    begun = time.monotonic()
    made.close()
    assert time.monotonic() - begun < 5
    (told,) = journal.story(EVENT)
    assert told.deliveries[0].disposition == "delivered"
    journal.close()
    bus.close()


def test_nothing_is_imported_for_a_site_without_traces() -> None:
    """The journal's process does not load the library; without it, a site that wants traces is told how to get it."""
    code = "import sys, router.runtime.roles.journal; sys.exit('opentelemetry' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_missing_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence with the command, instead of an ImportError."""
    monkeypatch.setattr(traces, "installed", lambda _module: False)
    with pytest.raises(OperatorFault, match=r"pip install 'segur-router\[traces\]'") as fault:
        Traces("http://127.0.0.1:1/v1/traces", "qualification")
    assert fault.value.code == "TRACES"
