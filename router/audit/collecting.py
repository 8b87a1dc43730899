"""Hands the audit, and the traces of IHE transactions, to the collector.

The tables are the queue; a mark says how far it was sent.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from typing import Final

from router.audit.atna import Messages
from router.audit.chain import AuditRow
from router.audit.event import Action, AuditEvent
from router.audit.settings import CollectorConfig
from router.audit.syslog import Connection, message
from router.audit.traces import TraceStore
from router.audit.trail import SYSTEM, AuditTrail
from router.contracts import Alert, Clock
from router.errors import OperatorFault, Unavailable

log = logging.getLogger(__name__)

_AT_ONCE: Final = 100
_PAUSE: Final = 1.0
_MOST: Final = 60.0


class Collecting:
    """A thread of the journal's process. While the collector is away it waits, and nothing is lost."""

    def __init__(
        self,
        config: CollectorConfig,
        environment: str,
        trail: Callable[[], AuditTrail],
        traces: Callable[[], TraceStore],
        *,
        clock: Clock,
        alert: Alert,
    ) -> None:
        self._messages = Messages(config, environment)
        self._connection = Connection(config)
        self._trail = trail
        self._traces = traces
        self._clock = clock
        self._alert = alert
        self._host = socket.getfqdn()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit-collector", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=5)
        self._connection.close()

    def once(self) -> int:
        """Send what waits, at most a batch of each; returns how many rows and lines are behind it now.

        Raises `Unavailable`, `OperatorFault`: what was sent until then is marked as sent.
        """
        return self._rows() + self._lines()

    def _rows(self) -> int:
        trail, done = self._trail(), 0
        last = None
        try:
            for row in trail.unsent(_AT_ONCE):
                self._send(self._made(row))
                last, done = row, done + 1
        finally:
            if last is not None:
                trail.sent(last)
        return done

    def _lines(self) -> int:
        traces, last, done = self._traces(), 0, 0
        try:
            for line in traces.unsent(_AT_ONCE):
                if (made := self._messages.of_trace(line)) is not None:
                    self._send(made)
                last, done = line.number, done + 1
        finally:
            if last:
                traces.sent(last)
        return done

    def _made(self, row: AuditRow) -> bytes:
        """A row of which no message can be made holds up no other: one that says so stands for it."""
        try:
            return self._messages.of_row(row)
        except Exception as error:
            code = f"BUG-{type(error).__name__}"
            self._alert("audit-collector", {"code": code, "place": f"row {row.number}"})
            event = AuditEvent(at=self._clock.now(), who=SYSTEM, action=Action.NOTED, kind="audit", detail=code)
            return self._messages.of_row(AuditRow(row.number, event, row.mac))

    def _send(self, made: bytes) -> None:
        self._connection.send(message(made, self._clock.now(), self._host))

    def _run(self) -> None:
        pause, told = _PAUSE, False
        while not self._stop.wait(pause):
            try:
                more = self.once()
                pause, told = (0.0 if more >= _AT_ONCE else _PAUSE), False
                continue
            except OperatorFault as fault:
                if not told:
                    self._alert("audit-collector", {"code": fault.code, "place": fault.place, "text": fault.text})
                told = True
            except Unavailable as fault:
                log.warning("the audit waits for its collector: %s", fault.code)
            except Exception as error:  # a thread that ended would leave every later row unsent
                self._alert("audit-collector", {"code": f"BUG-{type(error).__name__}", "place": "collector"})
            pause = min(max(pause, _PAUSE) * 2, _MOST)
