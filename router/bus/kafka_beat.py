"""Heart-beats by what they prove.

An answer proves that we were a member when it was asked for, not when it is read: after a freeze (SIGSTOP, a suspended
machine) an old one may still lie in the socket. kafka-python (3.0.12) notes only when it was read.
"""

from __future__ import annotations

from typing import Final

from kafka import KafkaConsumer as RawConsumer
from kafka.coordinator.heartbeat import Heartbeat

_NEVER: Final = float("-inf")


class Beat(Heartbeat):  # type: ignore[misc]
    """The client's own, which also remembers when the question was sent whose answer came last."""

    _asked = _NEVER
    proven = _NEVER
    """Monotonic time at which the broker certainly held us for a member, by heart-beats."""

    def sent_heartbeat(self) -> None:
        super().sent_heartbeat()
        self._asked = self.last_send

    def received_heartbeat(self) -> None:
        super().received_heartbeat()
        self.proven = self._asked


def watch(raw: RawConsumer) -> Beat:
    """Make the heart of this client remember; before its first beat."""
    heart: Beat = raw._coordinator.heartbeat
    heart.__class__ = Beat
    return heart
