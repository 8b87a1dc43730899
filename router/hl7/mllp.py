"""MLLP release 1, without any I/O: `VT message FS CR` (HL7 v2 transport specification; hl7-input §7.1).

Real senders write junk between frames, forget the CR, write LF or NUL in its place, write VT twice, cut frames
anywhere. None of that loses a message: FS ends a frame only before CR, before the next VT, or when the sender then
stays silent (the caller says so with `settle`), so that a stray FS inside a message can't cut it short.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

START: Final = 0x0B
END: Final = 0x1C
CR: Final = 0x0D
BEFORE: Final = b"\x0b"
AFTER: Final = b"\x1c\r"
"""They stand before and behind a message."""
_VT: Final = b"\x0b"
_FS: Final = b"\x1c"
_FILL: Final = b"\x00\t\n\r "
"""What senders write after an FS, or between two frames, without meaning anything by it."""
_MOST_FILL: Final = 8
"""Bytes of it after an FS; with more of them the FS is content."""

HEAD: Final = 4096
"""Bytes kept of a frame that is too big: enough for its MSH, so that it can be answered."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole message, without its framing. `odd`: its end was not FS CR."""

    data: bytes = field(repr=False)
    odd: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Oversize:
    """A frame beyond the limit: its first bytes and its size. `fatal`: it doesn't end, close the connection."""

    head: bytes = field(repr=False)
    size: int
    fatal: bool


Event = Frame | Oversize


def frame(message: bytes) -> bytes:
    """The message in its frame."""
    return BEFORE + message + AFTER


class Decoder:
    """Cuts a stream of bytes into messages.

    limit: bytes a message may have; a bigger one is read and thrown away, and told as `Oversize` at its end.
    hard_limit: bytes after which we stop waiting for that end (default: four times the limit).
    keep_outside: bytes kept of what stands outside of frames, the last ones (`outside`).
    """

    def __init__(self, limit: int, hard_limit: int | None = None, *, keep_outside: int = 0) -> None:
        self._limit, self._hard, self._keep = limit, hard_limit or 4 * limit, keep_outside
        self.stray = 0
        """Bytes outside of frames so far that are more than line ends, blanks and NUL."""
        self.outside = b""
        self._buffer = bytearray()
        self._inside = False
        self._scanned = 0
        self._skipped = 0
        self._head = b""

    @property
    def held(self) -> int:
        """Bytes in memory."""
        return len(self._buffer)

    @property
    def inside(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._inside

    @property
    def unfinished(self) -> bytes:
        """What is there of a message that has begun and not ended."""
        return bytes(self._buffer) if self._inside else b""

    @property
    def undecided(self) -> bool:
        """Whether it ends with an FS (or fill behind one) that no CR follows: after a short silence, `settle`."""
        return self._inside and _end_without_cr(self._buffer) >= 0

    def feed(self, data: bytes | bytearray | memoryview) -> list[Event]:
        """Take what arrived, return what it completed, in order."""
        self._buffer += data
        return list(self._events())

    def settle(self) -> list[Event]:
        """The sender is silent after an FS: take it as the end."""
        if not self.undecided:
            return []
        end = _end_without_cr(self._buffer)
        return [self._finish(end, len(self._buffer) - end)]

    def _events(self) -> Iterator[Event]:
        while True:
            if not self._inside and not self._enter():
                return
            end = self._find_end()
            if end >= 0:
                yield self._finish(end, 2 if self._buffer[end + 1 : end + 2] == b"\r" else 1)
                continue
            if len(self._buffer) + self._skipped > self._limit:
                self._discard()
                if self._skipped > self._hard:
                    yield self._finish(len(self._buffer), 0, fatal=True)
            return

    def _enter(self) -> bool:
        """Skip to the next VT (and over VTs that follow it); whatever stands before it is junk."""
        at = self._buffer.find(_VT)
        if at:
            self._skip(self._buffer if at < 0 else self._buffer[:at])
        if at < 0:
            self._buffer.clear()
            return False
        while at < len(self._buffer) and self._buffer[at] == START:
            at += 1
        del self._buffer[:at]
        self._inside, self._scanned = True, 0
        return True

    def _skip(self, junk: bytearray) -> None:
        """Count what no frame holds, and keep the end of it."""
        self.stray += len(junk.translate(None, _FILL + _FS))
        if self._keep:
            self.outside = (self.outside + junk)[-self._keep :]

    def _find_end(self) -> int:
        """Index of the FS that ends the frame, or -1. Each byte is searched once."""
        buffer = self._buffer
        if not self._skipped and not self._head:
            while buffer and buffer[0] == START:  # the second VT came in a later packet
                del buffer[0]
        end = buffer.find(_FS, self._scanned)
        while end >= 0:
            after = end + 1
            if buffer[after : after + 1] == b"\r":
                return end
            while after < len(buffer) and after - end <= _MOST_FILL and buffer[after] in _FILL:
                after += 1
            if after == len(buffer):
                self._scanned = end
                return -1
            if buffer[after] == START:
                return end
            end = buffer.find(_FS, end + 1)
        self._scanned = len(buffer)
        return -1

    def _discard(self) -> None:
        """Too big: keep the head, forget the rest but a possible last FS and the fill behind it."""
        buffer = self._buffer
        if not self._head:
            self._head = bytes(buffer[:HEAD])
        last = _end_without_cr(buffer)
        keep = len(buffer) - last if last >= 0 else 0
        self._skipped += len(buffer) - keep
        del buffer[: len(buffer) - keep]
        self._scanned = 0

    def _finish(self, end: int, width: int, *, fatal: bool = False) -> Event:
        buffer = self._buffer
        size = self._skipped + end
        event: Event
        if self._skipped or size > self._limit:
            event = Oversize(self._head or bytes(buffer[: min(HEAD, end)]), size, fatal)
        else:
            with memoryview(buffer) as view:
                event = Frame(bytes(view[:end]), bytes(view[end : end + 2]) != b"\x1c\r")
        if end + width >= len(buffer):
            self._buffer = bytearray()
        else:
            del buffer[: end + width]
        self._inside, self._scanned, self._skipped, self._head = False, 0, 0, b""
        return event


def _end_without_cr(buffer: bytearray) -> int:
    """Index of the FS behind which nothing but fill stands, or -1."""
    tail = bytes(buffer[-_MOST_FILL - 1 :]).rstrip(_FILL)
    return len(buffer) - min(len(buffer), _MOST_FILL + 1) + len(tail) - 1 if tail.endswith(_FS) else -1
