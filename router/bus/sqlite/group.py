"""Consumer groups of the embedded bus: who is alive, and who owns which partition, by file locks alone.

Each member holds the lock of its member file; each owner holds the lock of the partition's file. A member
counts the living, works out its quota per topic, lets go of what exceeds it and takes what is free. Nobody
needs to agree with anybody: two owners are impossible, and a dead member's locks are free at once.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from router.bus.sqlite.notifier import Sign
from router.contracts import Partition
from router.locks import FileLock, file_name, is_held

_LOOK_SECONDS: Final = 0.1
"""A member that dies says nothing: the others see it when they look."""
_ALONE_SECONDS: Final = 2.0
"""Who is alone waits for nobody's death, and who joins gives a sign."""
_HUNGRY_SECONDS: Final = 0.02


class Membership:
    """One member's place in a group: `share` says what to let go of and what was taken. One thread."""

    def __init__(self, folder: Path, group: str, member: str, topics: Mapping[str, int], joined: Sign) -> None:
        """topics: number of partitions of each topic subscribed
        joined: changes whenever a member has joined the group
        """
        self._folder = folder / file_name(group)
        self._members = self._folder / "members"
        self._members.mkdir(parents=True, exist_ok=True)
        self._name = file_name(member)
        self._topics = dict(topics)
        self._seat = FileLock(self._members / self._name)
        self._locks: dict[Partition, FileLock] = {}
        self._look_at = 0.0
        self._joined = joined
        self._seen = joined.count()

    @property
    def partitions(self) -> frozenset[Partition]:
        return frozenset(self._locks)

    def due(self) -> bool:
        """Whether it is time to look at the group again."""
        return time.monotonic() >= self._look_at or self._joined.count() != self._seen

    def next_look(self) -> float:
        """Seconds until then."""
        return max(0.0, self._look_at - time.monotonic())

    def surplus(self) -> tuple[dict[str, int], list[Partition]]:
        """The present quota per topic, and the partitions held beyond it."""
        self._look_at = time.monotonic() + _LOOK_SECONDS
        seated = self._seated()
        self._seen = self._joined.count()  # before the look: who joins after it is seen at the next
        if not seated:
            return {}, []
        quotas, alone = self._quotas()
        if alone:
            self._look_at = time.monotonic() + _ALONE_SECONDS
        return quotas, [
            partition
            for topic, quota in quotas.items()
            for partition in sorted(p for p in self._locks if p.topic == topic)[quota:]
        ]

    def take(self, quotas: Mapping[str, int]) -> None:
        """Take free partitions up to the quotas; those taken stay ours even when one of them raises OSError."""
        for topic, quota in quotas.items():
            held = sum(1 for partition in self._locks if partition.topic == topic)
            for number in range(self._topics[topic]):
                if held >= quota:
                    break
                if self._try(Partition(topic, number)):
                    held += 1
            if held < quota:
                self._look_at = time.monotonic() + _HUNGRY_SECONDS

    def release(self, partition: Partition) -> None:
        lock = self._locks.pop(partition, None)
        if lock is not None:
            lock.release()

    def leave(self) -> None:
        """Let go of everything, the seat last."""
        for partition in list(self._locks):
            self.release(partition)
        self._seat.release()

    def _seated(self) -> bool:
        """Whether the seat is ours; a predecessor that still lives keeps it, and we wait."""
        if self._seat.held:
            return True
        if not self._seat.try_take():
            self._look_at = time.monotonic() + _HUNGRY_SECONDS
            return False
        try:
            self._seat.write(json.dumps(sorted(self._topics)).encode())
        except OSError:
            self._seat.release()  # who is seated and has not said what it reads is counted by nobody
            raise
        self._joined.change()
        return True

    def _try(self, partition: Partition) -> bool:
        if partition in self._locks:
            return False
        lock = FileLock(self._folder / f"{file_name(partition.topic)}.{partition.number}.lock")
        if not lock.try_take():
            return False
        self._locks[partition] = lock
        return True

    def _quotas(self) -> tuple[dict[str, int], bool]:
        """A fair number of partitions per topic, which differs by one at most between members; whether we are alone."""
        living: dict[str, list[str]] = {topic: [self._name] for topic in self._topics}
        alone = True
        for file in self._members.iterdir():
            if file.name != self._name and is_held(file):
                alone = False
                for topic in _subscribed(file):
                    if topic in living:
                        living[topic].append(file.name)
        quotas = {}
        for topic, names in living.items():
            each, left = divmod(self._topics[topic], len(names))
            rank = (sorted(names).index(self._name) + zlib.crc32(topic.encode())) % len(names)
            quotas[topic] = each + (rank < left)
        return quotas, alone


def readers(folder: Path, topic: str) -> list[str]:
    """Names of the living members, of any group, that read this topic. Raises OSError."""
    return [file.name for file in folder.glob("*/members/*") if is_held(file) and topic in _subscribed(file)]


def living(folder: Path, group: str) -> list[str]:
    """Names of the living members of a group, in order. Raises OSError."""
    members = (folder / file_name(group) / "members").glob("*")
    return sorted(unquote(file.name) for file in members if is_held(file))


def _subscribed(file: Path) -> list[str]:
    """The topics a living member reads; none while it is still writing them down."""
    with suppress(ValueError, OSError):
        return [str(topic) for topic in json.loads(file.read_bytes())]
    return []


Callback = Callable[[frozenset[Partition]], None]
