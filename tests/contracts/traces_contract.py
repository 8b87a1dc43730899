"""What the traces promise on each database. A subclass gives the fixture `url` (an empty database)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

from router.audit.traces import TraceStore
from router.contracts import SystemClock
from router.exchange import JournalEntry, Receipt, ReceiptKind, Spoken

START: Final = 1_790_000_000.0


def said(number: int, **facts: Any) -> Spoken:
    known = {"protocol": "smtp", "server": "smtp.example:465", "author": "labo@chu.mssante.fr", "action": "RCPT"}
    return Spoken(at=START + number, **{**known, **facts})


def receipt(*spoken: Spoken, **facts: Any) -> Receipt:
    known: dict[str, Any] = {"delivery_id": "d" * 32, "event_id": "e" * 64, "sink": "mssante.chu", "label": "a@b.fr"}
    return Receipt(kind=ReceiptKind.DELIVERY, ok=True, at=START, spoken=spoken, **{**known, **facts})


class TracesContract:
    """Every promise, one test each."""

    @pytest.fixture
    def traces(self, url: str) -> Iterator[TraceStore]:
        traces = TraceStore(url, SystemClock())
        yield traces
        traces.close()

    def test_what_was_said_is_kept_once_with_what_it_was_about(self, traces: TraceStore) -> None:
        """A batch that is read again adds nothing; a mail's line knows its Message-ID."""
        sent = receipt(said(1), said(2, answer="MSS-550", ok=False), evidence={"message_id": "<m@x>"})
        moved = said(3, protocol="imap", action="MOVE")
        entry = JournalEntry(event_id="traces", kind="traces", at=START, spoken=(moved,))
        for _ in range(2):
            traces.keep([entry], [sent])
        lines = {line.spoken.at - START: line for line in traces.every(None, None)}
        assert sorted(lines) == [1, 2, 3]
        assert (lines[1].delivery_id, lines[1].label, lines[1].sink) == ("d" * 32, "a@b.fr", "mssante.chu")
        assert lines[1].spoken.facts == {"message_id": "<m@x>"} and lines[1].spoken.ok
        assert (lines[2].spoken.answer, lines[2].spoken.ok) == ("MSS-550", False)
        assert (lines[3].spoken.action, lines[3].event_id) == ("MOVE", "")

    def test_the_commands_of_one_mail_are_one_line(self, traces: TraceStore) -> None:
        """With every answer; the connection, and a second mail on it, have their own."""
        told = [("CONNECT", "250"), ("MAIL", "250 2.1.0"), ("RCPT", "250 2.1.5"), ("DATA", "354 250 2.0.0"),
                ("MAIL", "250 2.1.0"), ("RCPT", "MSS-550")]  # fmt: skip
        spoken = [
            said(n, action=action, answer=answer, ok=answer != "MSS-550") for n, (action, answer) in enumerate(told)
        ]
        traces.keep([], [receipt(*spoken)])
        assert [(line.spoken.action, line.spoken.answer, line.spoken.ok) for line in traces.every(None, None)] == [
            ("CONNECT", "250", True),
            ("MAIL RCPT DATA", "250 2.1.0 / 250 2.1.5 / 354 250 2.0.0", True),
            ("MAIL RCPT", "250 2.1.0 / MSS-550", False),
        ]

    def test_the_lines_of_a_period_are_read_page_by_page(self, traces: TraceStore) -> None:
        """The end is left out."""
        traces.keep([], [receipt(*(said(number) for number in range(10)))])
        assert [line.spoken.at - START for line in traces.every(START + 2, START + 5)] == [2, 3, 4]
        first = traces.lines(limit=4)
        assert len(traces.lines(after=first[-1].number, limit=99)) == 6

    def test_old_lines_go_and_what_the_collector_lacks_stays(self, traces: TraceStore) -> None:
        """Without a collector age alone decides."""
        traces.keep([], [receipt(*(said(number) for number in range(4)))])
        first, *_ = traces.unsent()
        traces.sent(first.number)
        assert traces.waiting() == (3, START + 1)
        assert traces.purge(START + 3, collected=True) == 1
        assert traces.purge(START + 3) == 2 and len(traces.lines()) == 1
