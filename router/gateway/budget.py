"""How many bytes of messages the gateway holds, and who may go on reading when that is too many.

Every connection has a `Share`: bytes of the message it is receiving, bytes of those in work. Beyond the limit
all are asked to stop reading. Work ends by itself; but when nothing is in work, only unfinished messages, one
may go on, the leader: the one whose message began first. So the memory stays at the limit plus one message,
and something always goes on. A leader that is silent gives its place away.
"""

from __future__ import annotations

from collections.abc import Callable

from router.contracts import Observer


class Share:
    """What one connection holds. `pause` and `resume` are called when it must stop or may go on reading."""

    __slots__ = ("_budget", "_pause", "_resume", "moved", "paused", "receiving", "working")

    def __init__(self, budget: Budget, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self._budget, self._pause, self._resume = budget, pause, resume
        self.receiving = self.working = 0
        self.paused = self.moved = False

    def hold(self, receiving: int) -> None:
        """Say how many bytes of an unfinished message are now held (0 between messages)."""
        self.moved = True
        self._budget._change(self, receiving - self.receiving, 0)

    def work(self, amount: int) -> None:
        """A whole message of so many bytes is now in work."""
        self._budget._change(self, 0, amount)

    def done(self, amount: int) -> None:
        """That message is answered."""
        self._budget._change(self, 0, -amount)

    def leave(self) -> None:
        """The connection is gone: what it was receiving is free again (what is in work is freed by `done`)."""
        self._budget._leave(self)

    def _set(self, paused: bool) -> None:
        if paused != self.paused:
            self.paused = paused
            (self._pause if paused else self._resume)()


class Budget:
    """The byte budget of one gateway. Belongs to its event loop."""

    def __init__(self, limit: int, observer: Observer) -> None:
        self._limit, self._observer = limit, observer
        self._shares: dict[Share, None] = {}
        self._begun: dict[Share, None] = {}
        self._leader: Share | None = None
        self.held = 0
        self._working = 0

    @property
    def full(self) -> bool:
        return self.held >= self._limit

    def join(self, pause: Callable[[], None], resume: Callable[[], None]) -> Share:
        """A share for a new connection; paused from the start when the budget is full."""
        share = Share(self, pause, resume)
        self._shares[share] = None
        if self.full:
            share._set(True)
        return share

    def tick(self) -> None:
        """Called every second or so: a leader that received nothing since the last time gives its place away."""
        self._observer.set("bytes_held", self.held, stage="gateway")
        leader = self._leader
        if leader is None or not self.full:
            return
        if not leader.moved:
            self._begun.pop(leader, None)
            self._begun[leader] = None
            leader._set(True)
            self._leader = None
            self._lead()
        if self._leader is not None:
            self._leader.moved = False

    def _change(self, share: Share, receiving: int, working: int) -> None:
        was_full = self.full
        share.receiving += receiving
        share.working += working
        self._working += working
        self.held += receiving + working
        if share.receiving:
            self._begun.setdefault(share)
        else:
            self._begun.pop(share, None)
            if self._leader is share:
                self._leader = None
        if self.full:
            if not was_full:
                for other in self._shares:
                    other._set(True)
            elif share is not self._leader:
                share._set(True)
            self._lead()
        elif was_full:
            self._leader = None
            for other in self._shares:
                other._set(False)

    def _lead(self) -> None:
        """Let the oldest unfinished message go on, if nothing else would."""
        if self._leader is None and self._begun and not self._working:
            self._leader = next(iter(self._begun))
            self._leader.moved = True
            self._leader._set(False)

    def _leave(self, share: Share) -> None:
        self._shares.pop(share, None)
        self._change(share, -share.receiving, 0)
