"""Hostile mails through the reader of reports: `python benchmarks/reader/mails.py --count 100000 --seed 1`.

Three sorts. Reports that are false (of another mail, of another recipient, by another reader), mutated: none becomes
a proof. True failures with bytes put in that say nothing: none becomes a success. True reports wrapped in MIME that
a stranger made up (parts in parts, boundaries and charsets of no sort, another null return path further down): none
counts. A finding is also whatever is raised, and a mail that takes longer than a second.
"""

from __future__ import annotations

import argparse
import base64
import quopri
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks.reader.fuzz import SLOW, mutated
from router.exchange import Delivery
from router.feedback.answers import UNTOLD
from router.feedback.proofs import Proofs
from router.feedback.reports import Reports
from router.sinks.mssante.settings import FeedbackRules
from tests.feedback.feedback_samples import NOW, SINK, Station, dsn, letter, mdn

STRANGER = "secretariat@test-ci-sis.mssante.fr"
PERSON = f"Return-Path: <{STRANGER}>\r\nFrom: {STRANGER}\r\n".encode()
OTHER = "0" * 32
KO = "automatic-action/MDN-sent-automatically; processed"
TOKENS = (
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b"\r\n\r\n",
        b"\n\n",
        b"--B\r\n",
        b"--B--\r\n",
        b"\x00",
        b"\xff",
        b"\xc3",
        b"\xef\xbb\xbf",
    ),
    *(b"(", b")", b";", b"<>", b'"', b"\\", b"=?utf-8?q?", b"=?x?b?====?=", b"=\r\n", b"boundary*0*=utf-8''%00", b"; "),
    *(
        b"Content-Type: multipart/mixed; boundary=B\r\n",
        b"Content-Type: message/rfc822\r\n\r\n",
        b"Return-Path: <>\r\n",
    ),
    *(b"Content-Type: message/delivery-status\r\n\r\n", b"Action: delivered\r\n", b"Status: 2.0.0\r\n", b"\r\n \r\n\t"),
    *(b"Content-Transfer-Encoding: base64\r\n", b"Disposition: a/b;displayed\r\n", b"Auto-Submitted: auto-replied\r\n"),
)
_EMPTY = tuple(one for one in TOKENS if not one.startswith((b"Action", b"Status", b"Disposition")))
BOUNDARIES = ("B", "b.+*?[(", "-" * 70, "=_x", "B B", "é", "B" * 200, "", "--", "\\Q", "'", "a/b:c")
CHARSETS = (
    "utf-8",
    "us-ascii",
    "utf-7",
    "utf-16",
    "iso-2022-jp",
    "idna",
    "rot13",
    "base64",
    "x" * 500,
    "",
    "\\",
    "zlib",
)
TYPES = (
    *("text/plain", "text/html", "text/rfc822-headers", "message/rfc822", "message/global", "message/delivery-status"),
    *(
        "message/global-delivery-status",
        "message/disposition-notification",
        "message/partial",
        "application/pdf",
        "x",
        "",
    ),
)
REPORT_TYPES = ("delivery-status", "disposition-notification", "x", "")


@dataclass
class Report:
    """What a run found. `findings`: (seed of the mail, what happened); `places`: where the mails went."""

    mails: int = 0
    places: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    findings: list[tuple[str, str]] = field(default_factory=list)


def lies(sent: Delivery) -> list[bytes]:
    """Reports that prove nothing of our delivery."""
    return [
        dsn(OTHER, "failed", status="5.1.1"),
        dsn(sent.id, recipient=STRANGER),
        mdn(OTHER, KO),
        mdn(sent.id, KO, reader=STRANGER, sender=STRANGER),
        letter(From=STRANGER, Subject="[KO Integration][902] x", body="902"),
    ]


def failures(sent: Delivery) -> list[bytes]:
    """Reports that say that our mail was not delivered, or not taken."""
    return [
        dsn(sent.id, "failed", status="5.1.1", diagnostic="smtp; 550 5.1.1 unknown"),
        mdn(sent.id, f"{KO}/error", error="902^Identifiant^applicationErrorCondition| E^Error^errorSeverity"),
    ]


def inserted(base: bytes, chance: random.Random) -> bytes:
    """Noise and tokens that say nothing put in, nothing taken out: what a report says still stands in it somewhere."""
    data = bytearray(base)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(data) + 1)
        data[at:at] = chance.choice((*_EMPTY, chance.randbytes(4))) * chance.choice((1, 1, 1, 100))
    return bytes(data)


def wrapped(report: bytes, chance: random.Random) -> bytes:
    """A person's mail that holds a report somewhere, in MIME that no program would write."""
    return PERSON + b"MIME-Version: 1.0\r\n" + _multipart(report, chance, chance.randint(0, 12))


def _multipart(report: bytes, chance: random.Random, depth: int) -> bytes:
    boundary = chance.choice(BOUNDARIES)
    line = b"--" + boundary.encode() + chance.choice((b"", b"", b" ", b"\t ")) + chance.choice((b"\r\n", b"\n"))
    children = [_leaf(chance) for _ in range(chance.choice((0, 1, 3, 30)))]
    children.insert(chance.randint(0, len(children)), _multipart(report, chance, depth - 1) if depth > 0 else report)
    end = line.rstrip() + b"--\r\n" if chance.random() < 0.7 else b""
    return _head(boundary, chance) + b"\r\n".join(line + child for child in children) + b"\r\n" + end


def _head(boundary: str, chance: random.Random) -> bytes:
    quoted = chance.choice((f'boundary="{boundary}"', f"boundary={boundary}", f"boundary*=utf-8''{boundary}"))
    said = f"multipart/{chance.choice(('report', 'mixed', 'x'))}; report-type={chance.choice(REPORT_TYPES)}; {quoted}"
    return f"Content-Type: {said}\r\n".encode() + chance.choice((b"\r\n", b"\n", b"X: y\r\n\r\n"))


def _leaf(chance: random.Random) -> bytes:
    """A part of any type, whose bytes need not be what its header says."""
    content = b"".join(chance.choice(TOKENS) for _ in range(chance.randint(0, 20))) + chance.randbytes(20)
    encoding = chance.choice(("base64", "quoted-printable", "7bit", "x-uuencode", ""))
    if encoding == "base64" and chance.random() < 0.5:
        content = base64.encodebytes(content)
    elif encoding == "quoted-printable" and chance.random() < 0.5:
        content = quopri.encodestring(content)
    head = f"Content-Type: {chance.choice(TYPES)}; charset={chance.choice(CHARSETS)}; name*1*=''%ff\r\n"
    return head.encode() + f"Content-Transfer-Encoding: {encoding}\r\n\r\n".encode() + content


def run(count: int, seed: int, folder: Path, seconds: float | None = None) -> Report:
    """So many mails; each can be made again from `seed` and its number. Stops early after `seconds`."""
    report, started, station = Report(), time.perf_counter(), Station(folder)
    try:
        sent, rules = station.sent(), {SINK: FeedbackRules()}
        reader = Reports(station.correlator(), Proofs(station.ledger), rules, admits=lambda name: name.endswith(".fr"))
        for number in range(count):
            place = f"{seed}/{number}"
            raw, wrong = _one(sent, random.Random(place))
            _read(reader, raw, wrong, place, report)
            if seconds is not None and time.perf_counter() - started > seconds:
                break
    finally:
        station.close()
    return report


def _one(sent: Delivery, chance: random.Random) -> tuple[bytes, Callable[[bool], bool]]:
    """A mail, and whether a proof that it gave (True: of success) is wrong."""
    sort = chance.randrange(3)
    if sort == 0:
        return mutated(chance.choice(lies(sent)), chance, TOKENS), lambda ok: True
    if sort == 1:
        return inserted(chance.choice(failures(sent)), chance), lambda ok: ok
    return wrapped(chance.choice([dsn(sent.id), mdn(sent.id, KO), *failures(sent)]), chance), lambda ok: True


def _read(reader: Reports, raw: bytes, wrong: Callable[[bool], bool], place: str, report: Report) -> None:
    begun = time.perf_counter()
    try:
        found = reader.handle(raw, NOW)
    except Exception as error:
        report.findings.append((place, f"{type(error).__name__}: {error}"))
    else:
        report.places[found.place.name] += 1
        told = [one.ok for one in found.receipts if one.code not in UNTOLD]
        report.findings += [(place, f"it proved {'a success' if ok else 'a failure'}") for ok in told if wrong(ok)]
    took = time.perf_counter() - begun
    report.mails, report.slowest = report.mails + 1, max(report.slowest, took)
    if took > SLOW:
        report.findings.append((place, f"slow: {took:.2f} s"))


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--count", type=int, default=100_000, help="mails")
    arguments.add_argument("--seed", type=int, default=1)
    options = arguments.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        report = run(options.count, options.seed, Path(folder))
    rate = report.mails / (time.perf_counter() - started)
    told = ", ".join(f"{place} {count}" for place, count in sorted(report.places.items()))
    print(f"{report.mails} mails, {rate:.0f}/s, slowest {report.slowest * 1000:.1f} ms; {told}")
    for where, what in report.findings[:50]:
        print(f"finding at {where}: {what}")
    print(f"fuzz: {len(report.findings)} findings")
    return 1 if report.findings else 0


if __name__ == "__main__":
    raise SystemExit(main())
