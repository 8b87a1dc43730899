"""What senders do that gets no answer: counted each time, told to a person once a minute for each feed and peer.

Never a value of a message: the feed, the peer's address, what happened, how many bytes.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Final, Literal

from router.contracts import Alert, Observer

Why = Literal["unfinished", "cut", "gave-way", "odd-end", "outside", "answer-unread", "unsent"]

#: What the operator reads.
SENTENCES: Final[dict[Why, str]] = {
    "unfinished": "a message began and did not end in time: its connection was closed, nothing of it was taken",
    "cut": "the sender closed in the middle of a message: nothing of it was taken",
    "gave-way": "an unfinished message made room for other senders: its connection was closed",
    "odd-end": "a message did not end with FS CR: it was taken all the same",
    "outside": "bytes outside of any frame (VT … FS CR) were thrown away",
    "answer-unread": "the sender does not read its answers: its connection was closed",
    "unsent": "the sender was gone before its answer: when it sends again it gets the stored one",
}

#: What a refused message is worth to a person, by the name of the alert (decisions D1).
ALERTS: Final = {
    "deletion-downgraded": "a deletion was refused: the identity is not qualified, and the DMP may hold the document. "
    "Withdraw it: segur-router withdraw DOCUMENT --reason …",
}

_QUIET: Final = 60.0
"""For so many seconds the same complaint about the same peer is only counted."""
_HABIT: Final = 3600.0
"""The same for a complaint about something that a sender does with each message."""
_MOST: Final = 1000
"""The most peers that are remembered."""


class Complaints:
    """Shared by the listeners of one gateway."""

    def __init__(self, alert: Alert, observer: Observer) -> None:
        self.alert, self._observer = alert, observer
        self._told: OrderedDict[tuple[str, ...], float] = OrderedDict()

    def say(self, why: Why, feed: str, peer: str, size: int = 0) -> None:
        """Something of `size` bytes went wrong with this peer."""
        self._observer.count("frames_odd_total", feed=feed, why=why)
        if self._quiet(why, feed, peer):
            return
        facts = {"feed": feed, "peer": peer, "code": why, "text": SENTENCES[why]}
        self.alert("frame-odd", facts | ({"bytes": str(size)} if size else {}))

    def refused(self, what: str, feed: str, event_id: str, code: str) -> None:
        """A message was refused that a person must hear of: told each time, because each is another document."""
        self.alert(what, {"feed": feed, "event_id": event_id, "code": code, "text": ALERTS.get(what, "")})

    def turned_away(self, feed: str, peer: str, *, limit: int, for_another: bool = False) -> None:
        """A connection was refused, or ended for another, because there are as many as there may be."""
        why = "ended" if for_another else "refused"
        self._observer.count("connections_turned_away_total", feed=feed, why=why)
        if not self._quiet("turned-away", feed, peer):
            text = f"{limit} connections are open: one of this peer was {why}"
            self.alert("connections-full", {"feed": feed, "peer": peer, "text": text})

    def _quiet(self, *key: str) -> bool:
        """Whether a person was told lately; else he is told now."""
        now = time.monotonic()
        told = self._told.get(key)
        if told is not None and now - told < (_HABIT if key[0] == "odd-end" else _QUIET):
            return True
        self._told[key] = now
        self._told.move_to_end(key)
        if len(self._told) > _MOST:
            self._told.popitem(last=False)
        return False
