"""How many bytes of messages the gateway holds, and who may go on reading when that is too many.

Every connection has a `Share`: bytes of the message it is receiving, bytes of those in work. They count at three
levels: the peer (one address on one feed; its connections that have brought a message, and those that have not, apart),
the feed, the gateway. A level that is full asks its own connections to stop reading, so that what one peer holds
stops nobody else. Three rules keep everything moving:

- Work ends by itself. When nothing at a level is in work, only unfinished messages, one may go on, the leader: the
  one whose message began first. So memory stays at the limit plus one message.
- A sender that holds little may read on for a while, also at a full level: a short message waits for nobody.
- A sender that sends almost nothing while a level is full gives way, the oldest first: its connection is ended. What
  waits in the sockets of the others is read little by little, or nobody would know who of them is silent.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from router.contracts import Observer

OF_A_FEED, OF_A_PEER = 1 / 2, 1 / 4
"""The part of the gateway's budget that one feed, and one peer on it, may hold."""
LITTLE: Final = 32 * 1024
"""Bytes up to which a message is received also at a full level."""
_RESERVE: Final = 1 / 4
"""The part of a limit that such messages may take beyond it."""
WINDOW: Final = 1.0
"""Seconds over which a sender's progress is looked at."""
STEADY: Final = 16 * 1024
"""A sender with so many bytes in that time, or so many that wait to be read, is not silent."""
_SIP: Final = 1 / 8
"""At each look so large a part of a limit is read from the connections that were asked to stop."""
_RELIEF: Final = 3 / 4
"""Silent connections are closed until a level holds no more than this part of its limit."""


def _nothing() -> int:
    return 0


def _stay() -> None:
    """For those whose bytes are all there: they never give way."""


class Share:
    """What one connection holds. `pause` and `resume` are called when it must stop or may go on reading.

    pending:  bytes that wait to be read from it, asked while it is paused
    give_way: end the connection and `leave`: it is silent and others need its place
    """

    __slots__ = (
        "_given",
        "_levels",
        "_pause",
        "_quota",
        "_resume",
        "arrived",
        "give_way",
        "heard",
        "paused",
        "pending",
        "receiving",
        "since",
        "working",
    )

    def __init__(
        self,
        levels: tuple[_Level, ...],
        pause: Callable[[], None],
        resume: Callable[[], None],
        pending: Callable[[], int],
        give_way: Callable[[], None],
    ) -> None:
        self._levels, self._pause, self._resume = levels, pause, resume
        self.pending, self.give_way = pending, give_way
        self.receiving = self.working = self.arrived = 0
        self.heard = self.since = 0.0
        """When the last bytes came, and when the present look at its progress began."""
        self._quota = 0
        self.paused = self._given = False

    def hold(self, receiving: int) -> None:
        """Say how many bytes of an unfinished message are now held (0 between messages)."""
        if receiving == self.receiving:
            return
        if not self.receiving or receiving < self.receiving:  # another message
            self.arrived, self._quota = receiving, 0
            self.heard = self.since = time.monotonic()
        else:
            self.arrived += receiving - self.receiving
            self.heard = time.monotonic()
            self._quota = max(0, self._quota - receiving + self.receiving)
        self._change(receiving - self.receiving, 0)

    def work(self, amount: int) -> None:
        """A whole message of so many bytes is now in work."""
        self._change(0, amount)

    def done(self, amount: int) -> None:
        """That message is answered."""
        self._change(0, -amount)

    def leave(self) -> None:
        """The connection is gone: what it was receiving is free again (what is in work is freed by `done`)."""
        for level in self._levels:
            level.shares.pop(self, None)
        self._change(-self.receiving, 0)

    def look(self) -> None:
        """Stop reading or go on, as the levels are now."""
        blocked = any(level.full and level.leader is not self for level in self._levels)
        little = self._quota or self.receiving + self.working < LITTLE
        paused = blocked and not (little and not any(level.brimming for level in self._levels))
        if paused != self.paused:
            self.paused = paused
            (self._pause if paused else self._resume)()

    def silent(self, now: float) -> bool:
        """Whether, in the middle of a message, it sent almost nothing of late. Begins a new look at it when not.

        What waits in its socket counts as sent. When that is little, it is read first: it may be all that lacks.
        """
        if not self.receiving or now - self.since < WINDOW:
            return False
        waiting = self.pending() if self.paused else 0
        if not waiting and now - self.heard >= WINDOW:
            return True
        if self.arrived + waiting < STEADY and (self._given or not waiting):
            return True
        self.arrived, self.since, self._given = 0, now, False
        return False

    def sip(self, most: int) -> int:
        """Let it receive up to `most` of the bytes that wait, though it was asked to stop; returns how many."""
        quota = min(self.pending(), most) if self.paused else 0
        if quota:
            self._quota, self._given = quota, True
            self.look()
        return quota

    def trust(self, level: _Level) -> None:
        """It has brought a message: from now on it counts among those of its peer that have."""
        old = self._levels[-1]
        if old is level:
            return
        old.shares.pop(self, None)
        old.change(self, -self.receiving, -self.working, left=True)
        self._levels = (*self._levels[:-1], level)
        level.shares[self] = None
        level.change(self, self.receiving, self.working)
        self.look()

    def _change(self, receiving: int, working: int) -> None:
        self.receiving += receiving
        self.working += working
        for level in self._levels:
            level.change(self, receiving, working)
        self.look()


class _Level:
    """What one peer, one feed or the whole gateway holds."""

    def __init__(self, limit: int) -> None:
        self.limit = max(1, limit)
        self.receiving = self.working = 0
        self.full = self.brimming = False
        self.shares: dict[Share, None] = {}
        self._begun: dict[Share, None] = {}
        self.leader: Share | None = None

    @property
    def held(self) -> int:
        return self.receiving + self.working

    def change(self, share: Share, receiving: int, working: int, *, left: bool = False) -> None:
        """Count, and tell the connections when that makes a difference to them. `left`: it counts elsewhere now."""
        before = self.full, self.brimming, self.leader
        self.receiving += receiving
        self.working += working
        if share.receiving and not left:
            self._begun.setdefault(share)
        else:
            self._begun.pop(share, None)
            if self.leader is share:
                self.leader = None
        self.full, self.brimming = self.held >= self.limit, self.held >= self.limit * (1 + _RESERVE)
        if not self.full:
            self.leader = None
        elif self.leader is None and self._begun and not self.working:
            self.leader = next(iter(self._begun))
        if before[:2] != (self.full, self.brimming):
            for other in list(self.shares):
                other.look()
        elif self.leader is not before[2]:
            for one in (before[2], self.leader):
                if one is not None:
                    one.look()

    def relieve(self, now: float) -> None:
        """While it is full of unfinished messages, those whose senders are silent give way, the oldest first."""
        if not self.full or self.receiving < self.limit * (1 - _RELIEF):
            return
        silent = [share for share in self._begun if share.silent(now)]
        for share in silent:
            if self.held <= self.limit * _RELIEF:
                return
            if share.receiving:
                share.give_way()
        left = int(self.limit * _SIP)
        for share in list(self._begun):
            if left <= 0 or self.brimming or not self.full:
                return
            left -= share.sip(left)


class Budget:
    """The byte budget of one gateway. Belongs to its event loop."""

    def __init__(self, limit: int, observer: Observer) -> None:
        self._limit, self._observer = limit, observer
        self._whole = _Level(limit)
        self._parts: dict[tuple[str, ...], _Level] = {}

    @property
    def held(self) -> int:
        return self._whole.held

    @property
    def full(self) -> bool:
        return self._whole.full

    def join(
        self,
        pause: Callable[[], None],
        resume: Callable[[], None],
        *,
        feed: str = "",
        peer: str = "",
        pending: Callable[[], int] = _nothing,
        give_way: Callable[[], None] = _stay,
    ) -> Share:
        """A share for a new connection of `peer` on `feed`."""
        levels = [self._whole]
        if feed:
            levels.append(self._part(OF_A_FEED, feed))
        if peer:
            levels.append(self._part(OF_A_PEER, feed, peer, "new"))
        share = Share(tuple(levels), pause, resume, pending, give_way)
        for level in levels:
            level.shares[share] = None
        share.look()
        return share

    def trust(self, share: Share, feed: str, peer: str) -> None:
        """This connection has brought a message that was accepted."""
        share.trust(self._part(OF_A_PEER, feed, peer, "known"))

    def tick(self) -> None:
        """Called every half second or so: who is silent gives way where there is need; empty levels are forgotten."""
        self._observer.set("bytes_held", self.held, stage="gateway")
        now = time.monotonic()
        for key, level in list(self._parts.items()):
            level.relieve(now)
            if not level.shares and not level.held:
                del self._parts[key]
        self._whole.relieve(now)

    def _part(self, part: float, *key: str) -> _Level:
        return self._parts.setdefault(key, _Level(int(self._limit * part)))
