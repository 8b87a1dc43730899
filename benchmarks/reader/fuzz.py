"""Mutated frames through framing, reader, addresses, base64 and acknowledgement: nothing may escape but `Malformed`."""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks.reader.messages import small, with_document
from router.errors import Invalid, Malformed
from router.hl7 import ack, base64
from router.hl7.ack import Err
from router.hl7.header import Unreadable
from router.hl7.message import Message
from router.hl7.mllp import Decoder, Frame, frame

SLOW = 1.0
Tokens = tuple[bytes, ...]
_NOW = datetime(2026, 1, 2, 3, 4, 5)
_TOKENS: Tokens = (
    *(b"|", b"^", b"~", b"\\", b"&", b"\r", b"\n", b"\r\n", b"\x0b", b"\x1c", b"\x1c\r", b"\x00", b"\xff", b"\xc3"),
    *(b"MSH|", b"MSH|^~\\&|", b"FHS|", b"PID|", b"OBX|1|ED|||^TEXT^XML^Base64^QUJD", b"=", b'""'),
    *(b"\\X0D0A\\", b"\\.br\\", b"\\XC3A9\\", b"\\E\\", "˜".encode(), "é".encode(), b"\xef\xbb\xbf"),
    *(b"8859/15", b"KOI8", b"UNICODE UTF-8"),
)
_PATHS = ("MSH-1", "MSH-9.2", "MSH-10", "PID-3[PI].1", "PID-5.1.1", "OBX[*]-3.1", "OBX[DESTDMP]-5.1", "PRT[RCT]-15.4")


@dataclass
class Report:
    """What a run found. `findings`: (seed of the frame, what happened)."""

    frames: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    findings: list[tuple[str, str]] = field(default_factory=list)


def mutated(base: bytes, chance: random.Random, tokens: Tokens = _TOKENS) -> bytes:
    """One to eight mutations: flips, cuts, copies, moves and tokens that mean something to the reader (HL7's)."""
    data = bytearray(base)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(data) + 1)
        until = min(len(data), at + chance.choice((1, 1, 2, 8, 64, 512)))
        chance.choice(_MUTATIONS)(data, at, until, chance, tokens)
    return bytes(data)


def _flip(data: bytearray, at: int, until: int, chance: random.Random, _: Tokens) -> None:
    for place in range(at, until):
        data[place] = chance.randrange(256)


def _cut(data: bytearray, at: int, until: int, _: random.Random, __: Tokens) -> None:
    del data[at:until]


def _copy(data: bytearray, at: int, until: int, chance: random.Random, _: Tokens) -> None:
    to = chance.randrange(len(data) + 1)
    data[to:to] = data[at:until]


def _token(data: bytearray, at: int, _: int, chance: random.Random, tokens: Tokens) -> None:
    data[at:at] = chance.choice(tokens) * chance.choice((1, 1, 1, 3))


def _truncate(data: bytearray, at: int, _: int, chance: random.Random, __: Tokens) -> None:
    if chance.random() < 0.2:
        del data[at:]


def _header(data: bytearray, _: int, __: int, chance: random.Random, tokens: Tokens) -> None:
    """The beginning is where it hurts most: the MSH, or a mail's own header."""
    place = chance.randrange(min(len(data), 120) + 1)
    data[place : place + chance.randint(0, 2)] = chance.choice(tokens)


_MUTATIONS: tuple[Callable[[bytearray, int, int, random.Random, Tokens], None], ...] = (
    _flip, _cut, _copy, _token, _token, _truncate, _header,
)  # fmt: skip


def exercised(data: bytes) -> str:
    """What the gateway does with a frame, and more; returns MSA-1. Raises whatever goes wrong."""
    errors: list[Err] = []
    message: Message | None
    try:
        message = read = Message.parse(data)
    except Unreadable as fault:
        message = Message.glimpse(data)
        errors.append(Err(fault.condition, fault.place, text=fault.text))
    else:
        errors += _read_all(read)
    code: ack.Code = "AE" if errors else "AA"
    answer = ack.build(code, message, errors, now=_NOW, control_id="1")
    told = ack.parse_ack(answer)
    if told.code != code or b"\x0b" in answer or b"\x1c" in answer or b"\n" in answer:
        raise AssertionError("the answer does not say what it was told to")
    if answer.count(b"\r") != 2 + len(errors[: ack.MAX_ERRORS]):
        raise AssertionError("something of the message broke out into the answer")
    return code


def _read_all(message: Message) -> list[Err]:
    errors = []
    for path in _PATHS:
        message.texts(path) if "*" in path else message.text(path)
    for segment in message:
        for number in range(1, min(len(segment), 40) + 1):
            segment.texts(str(number))
    for obx in [one for one in message.segments("OBX")[:3] if one.text("2") == "ED"]:
        try:
            base64.decode_obx(obx)
        except Malformed as fault:
            errors.append(Err("102", fault.place))
        base64_or_not(obx.raw("5.5"))
    try:
        changed = message.with_text("MSH-6", "a|b^c")
    except Invalid:
        return errors
    if changed.text("MSH-6") != "a|b^c" and message.separators.escape:
        raise AssertionError("a value that was written is not read back")
    return errors


def base64_or_not(field_: memoryview) -> None:
    try:
        base64.decode_tolerant(field_)
    except Malformed:
        return


def run(count: int, seed: int, seconds: float | None = None) -> Report:
    """So many frames; each can be made again from `seed` and its number. Stops early after `seconds`."""
    bases = [small(), with_document(4000), with_document(20_000)]
    report, started = Report(), time.perf_counter()
    decoder = Decoder(1 << 20)
    for number in range(count):
        chance = random.Random(f"{seed}/{number}")
        data = mutated(chance.choices(bases, (6, 3, 1))[0], chance)
        begun = time.perf_counter()
        try:
            _through_framing(decoder, data, report)
        except Exception as error:
            report.findings.append((f"{seed}/{number}", f"{type(error).__name__}: {error}"))
            decoder = Decoder(1 << 20)
        took = time.perf_counter() - begun
        report.frames, report.slowest = report.frames + 1, max(report.slowest, took)
        if took > SLOW:
            report.findings.append((f"{seed}/{number}", f"slow: {took:.2f} s"))
        if seconds is not None and begun - started > seconds:
            break
    return report


def _through_framing(decoder: Decoder, data: bytes, report: Report) -> None:
    """Whatever was in the frame, a whole message after it is still found."""
    report.answers[exercised(data)] += 1
    events = decoder.feed(frame(data)) + decoder.feed(frame(b"next"))
    last = events[-1]
    if not isinstance(last, Frame) or last.data != b"next":
        raise AssertionError("the frame after it was lost")


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--count", type=int, default=100_000, help="frames")
    arguments.add_argument("--seed", type=int, default=1)
    options = arguments.parse_args()
    started = time.perf_counter()
    report = run(options.count, options.seed)
    rate = report.frames / (time.perf_counter() - started)
    told = ", ".join(f"{code} {count}" for code, count in sorted(report.answers.items()))
    print(f"{report.frames} frames, {rate:.0f}/s, slowest {report.slowest * 1000:.1f} ms; answers: {told}")
    for where, what in report.findings[:50]:
        print(f"finding at {where}: {what}")
    print(f"fuzz: {len(report.findings)} findings")
    return 1 if report.findings else 0


if __name__ == "__main__":
    raise SystemExit(main())
