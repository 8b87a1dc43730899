"""Notifications between the processes of one machine, in shared memory. A process that waits for a topic sleeps.

The memory is one page of counters. After a commit, the writer raises the counter of each topic it wrote to, the
counter of the topic's family (`in` of `in.sil`) and the common counter. It wakes the processes that sleep on these
counters (futex(2)), and no others. Where the system has no futex, a process that waits looks at the counters every few
milliseconds. A notification is a hint only: readers also look at the tables from time to time, so a notification that
was missed costs a moment and loses nothing.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

from router.futex import WORDS, SharedPage

_COMMON: Final = 0


class Notifier:
    """See the module. `ring` by one process at a time: it is called while the turn to write is held."""

    def __init__(self, path: Path) -> None:
        """Raises OSError when the file can't be opened or has no room on its disk."""
        self._page = SharedPage(path)
        self.count, self.sleep, self.close = self._page.count, self._page.sleep, self._page.close

    def ring(self, topics: Iterable[str]) -> None:
        """Tell who waits for these topics that something was written."""
        for word in {_COMMON, *(word for topic in topics for word in (_word(topic), _family(topic)))}:
            self._page.change(word)
            self._page.wake(word)

    def sign(self, name: str) -> Sign:
        """A word of its own, on which nobody sleeps."""
        return Sign(self._page, _word(name))

    def listener(self, topics: Collection[str]) -> NotifierListener:
        """What hears of these topics, and of as few others as may be."""
        words = {_word(topic) for topic in topics}
        if len(words) > 1:
            words = {_family(topic) for topic in topics}
        return NotifierListener(self, words.pop() if len(words) == 1 else _COMMON, [_word(topic) for topic in topics])


class Sign:
    """A counter that any process changes and any process looks at. Two changes at once may count as one."""

    def __init__(self, page: SharedPage, word: int) -> None:
        self._page = page
        self._word = word

    def count(self) -> int:
        """Its present count."""
        return self._page.count(self._word)

    def change(self) -> None:
        """Give it another count."""
        self._page.change(self._word)


class NotifierListener:
    """Listens for a consumer's topics. One thread."""

    def __init__(self, notifier: Notifier, word: int, topics: Collection[int]) -> None:
        self._notifier = notifier
        self._word = word
        self._topics = tuple(topics)

    def listen(self) -> tuple[int, ...]:
        """The counters as they are now. Ask for them before you look at the tables, and give them to `wait`."""
        return tuple(map(self._notifier.count, self._topics))

    def wait(self, heard: tuple[int, ...], seconds: float) -> bool:
        """Sleep until something was written to our topics since `heard` (True), or for so many seconds."""
        until = time.monotonic() + seconds
        while True:
            common = self._notifier.count(self._word)
            if self.listen() != heard:
                return True
            left = until - time.monotonic()
            if left <= 0:
                return False
            self._notifier.sleep(self._word, common, left)


def _word(name: str) -> int:
    return 1 + zlib.crc32(name.encode()) % (WORDS - 1)


def _family(topic: str) -> int:
    """The word of all topics with the same beginning; a full stop keeps it apart from a topic of that name."""
    return _word(f"{topic.partition('.')[0]}.")
