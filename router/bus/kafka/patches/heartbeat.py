"""A heart-beat counts from the moment of its question, not of its answer.

An answer proves that we were a member when the question was sent, not when the answer is read: after a freeze
(SIGSTOP, a suspended machine) an old answer may still lie in the socket. kafka-python (3.0.12) notes only when it was
read. It also counts anew (`Heartbeat.last_reset`) as soon as any broker says where the coordinator is, which proves
nothing of us; that is its first question after a freeze. When the answer says that another member has our name, it
stops its heart-beats and reports nothing.
"""

from __future__ import annotations

from typing import Any, Final

from kafka import KafkaConsumer as RawConsumer
from kafka.coordinator.heartbeat import Heartbeat
from kafka.errors import FencedInstanceIdError

_NEVER: Final = float("-inf")
_OVERDUE: Final = 0.1
"""Seconds that a poll may wait though a heart-beat is due: the last one may be without answer. The client (3.0.12) asks
itself again at once then, and leaves something behind each time: a hundred megabytes in ten seconds of silence."""


class Beat(Heartbeat):  # type: ignore[misc]
    """The client's own, which also remembers when the question was sent whose answer came last."""

    _asked = _NEVER
    proven = _NEVER
    """Monotonic time at which the broker certainly held us for a member: it answered a heart-beat, or a join."""
    fenced = False
    """Another joined under our name: we are no member any more, and will not be one again."""

    def sent_heartbeat(self) -> None:
        super().sent_heartbeat()
        self._asked = self.last_send

    def received_heartbeat(self) -> None:
        super().received_heartbeat()
        self.proven = self._asked

    def joined(self, asked: float) -> None:
        """The broker gave us our share; `asked`: when we sent for it."""
        self.proven = max(self.proven, asked)


def watch(raw: RawConsumer) -> Beat:
    """Make the heart of this client remember; before its first beat, and before it joins."""
    coordinator = raw._coordinator
    heart: Beat = coordinator.heartbeat
    heart.__class__ = Beat
    process_share, process_beat = coordinator._process_sync_group_response, coordinator._handle_heartbeat_response

    def share(response: Any, send_time: float) -> Any:
        found = process_share(response, send_time)
        heart.joined(send_time)
        return found

    def beat(response: Any, send_time: float) -> Any:
        try:
            return process_beat(response, send_time)
        except FencedInstanceIdError:
            heart.fenced = True
            raise

    coordinator._process_sync_group_response, coordinator._handle_heartbeat_response = share, beat
    due = coordinator.time_to_next_poll
    coordinator.time_to_next_poll = lambda: max(_OVERDUE, due())
    return heart
