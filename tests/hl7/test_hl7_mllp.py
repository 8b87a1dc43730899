"""MLLP framing: whatever the cuts and the junk, the same messages come out, in order."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.hl7.mllp import Decoder, Event, Frame, Oversize, frame

contents = st.binary(max_size=40).map(lambda data: data.translate(None, b"\x0b\x1c"))
junk = st.binary(max_size=10).map(lambda data: data.translate(None, b"\x0b"))


def fed(decoder: Decoder, data: bytes, size: int) -> list[Event]:
    return [event for at in range(0, len(data), size) for event in decoder.feed(data[at : at + size])]


@given(st.lists(st.tuples(junk, contents.filter(bool)), max_size=6), st.integers(1, 50))
def test_frames_survive_any_cut_and_any_junk(parts: list[tuple[bytes, bytes]], size: int) -> None:
    """Bytes between frames are ignored and a cut at any byte changes nothing."""
    stream = b"".join(noise + frame(message) for noise, message in parts)
    assert fed(Decoder(1000), stream, size) == [Frame(message) for _, message in parts]


@given(st.integers(1, 9))
def test_E44_vt_twice_and_fs_without_cr(size: int) -> None:
    """A doubled VT is one; an FS before the next VT ends its frame though the CR is missing."""
    stream = b"\x0b\x0bone\x1c\x0b\x0b\x0btwo\x1c\r\x0b\x1c\r"
    assert fed(Decoder(100), stream, size) == [Frame(b"one"), Frame(b"two"), Frame(b"")]


def test_E44_fs_without_cr_then_silence() -> None:
    """An FS that nothing follows is an end only once the caller says that the sender is silent."""
    decoder = Decoder(100)
    assert decoder.feed(b"\x0bone\x1c") == [] and decoder.undecided
    assert decoder.settle() == [Frame(b"one")]
    assert decoder.feed(b"\r\x0btwo\x1c\r") == [Frame(b"two")]
    assert not decoder.undecided and decoder.settle() == []


@pytest.mark.parametrize("end", [b"\x1c\n", b"\x1c\x00", b"\x1c", b"\x1c\r", b"\x1c\n\r", b"\x1c \n\x00"])
@pytest.mark.parametrize("size", [1, 2, 100])
def test_whatever_end_a_sender_writes_its_message_is_told(end: bytes, size: int) -> None:
    """FS and then LF, NUL, blanks or nothing ends a frame at the next VT or once the sender is silent."""
    decoder = Decoder(100)
    events = fed(decoder, b"\x0bone" + end + b"\x0btwo" + end, size)
    events += decoder.settle()
    assert events == [Frame(b"one"), Frame(b"two")]
    assert [event.odd for event in events if isinstance(event, Frame)] == [end != b"\x1c\r"] * 2
    assert decoder.held == 0 and decoder.stray == 0


def test_an_fs_before_much_fill_is_content() -> None:
    """A run of blanks behind an FS is no end, and costs no second look at each byte."""
    decoder = Decoder(4 << 20)
    started = time.perf_counter()
    decoder.feed(b"\x0bone\x1c")
    for _ in range(300):
        decoder.feed(b"\x00" * 10_000)
    assert not decoder.undecided and time.perf_counter() - started < 1.0
    assert [len(event.data) for event in decoder.feed(b"\x1c\r") if isinstance(event, Frame)] == [3_000_004]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_oversize_frame_with_an_odd_end_ends_too(size: int) -> None:
    """FS LF behind a frame beyond the limit, then silence: told like any other."""
    decoder = Decoder(50)
    assert fed(decoder, b"\x0b" + b"x" * 100 + b"\x1c\n", size) == []
    (told,) = decoder.settle()
    assert isinstance(told, Oversize) and told.size == 100


def test_what_stands_outside_of_frames_is_counted() -> None:
    """A message without framing is not a silence: its bytes are counted, and kept for who wants them."""
    decoder = Decoder(100, keep_outside=10)
    decoder.feed(b"\r\n\x00")
    assert decoder.stray == 0
    decoder.feed(b"MSH|^~\\&|A\r")
    decoder.feed(b"MSA|AA|1\r\x0bx\x1c\r")
    assert decoder.stray == 18 and decoder.outside == b"\rMSA|AA|1\r"


def test_an_fs_inside_a_message_does_not_cut_it() -> None:
    """FS followed by anything but CR or VT is content, so that a message is never taken for whole by half."""
    assert Decoder(100).feed(b"\x0bone\x1ctwo\x1c\r") == [Frame(b"one\x1ctwo")]


@given(st.integers(1, 70))
def test_an_oversize_frame_is_told_and_the_next_is_read(size: int) -> None:
    """A frame beyond the limit is thrown away as it comes; its head is kept, and the stream goes on."""
    events = fed(Decoder(50), frame(b"MSH" + b"x" * 97) + frame(b"next"), size)
    assert [type(event) for event in events] == [Oversize, Frame]
    told = events[0]
    assert isinstance(told, Oversize)
    assert (told.size, told.fatal, told.head[:4]) == (100, False, b"MSHx")


def test_an_endless_frame_is_fatal_and_holds_little_memory() -> None:
    """Beyond the hard limit nothing more is awaited; meanwhile only the head is held."""
    decoder = Decoder(1000, hard_limit=100_000)
    events: list[Event] = []
    decoder.feed(b"\x0bMSH")
    while not events:
        events = decoder.feed(b"y" * 5000)
        assert decoder.held < 10_000
    assert isinstance(events[0], Oversize) and events[0].fatal


def test_a_big_frame_in_small_chunks_is_linear() -> None:
    """20 MB in chunks of 64 KB take well under a second: no byte is searched twice."""
    message = b"z" * 20_000_000
    decoder, started = Decoder(32 << 20), time.perf_counter()
    assert fed(decoder, frame(message), 65536) == [Frame(message)]
    assert time.perf_counter() - started < 1.0
    assert decoder.held == 0
