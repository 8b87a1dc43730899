"""A stranger's mail is read in bounded time, once; what is beyond a limit is set aside, unread (promise 11)."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from router.contracts import Unobserved
from router.exchange import Delivery
from router.feedback.attempts import Attempts
from router.feedback.limits import LIMITS
from router.feedback.mime import parse
from router.feedback.reading import digest
from router.feedback.reports import Kind, Place
from router.simulators.authority import Certificates, make_certificates
from tests.feedback.feedback_samples import Station, dsn, letter
from tests.feedback.test_feedback_operator import Ward, play
from tests.feedback.test_feedback_reports import handled
from tests.sinks.mssante_samples import DOCTOR, MAILBOX

REPORT = "Content-Type: multipart/report; report-type=delivery-status; boundary=B\r\nReturn-Path: <>\r\n"
MEGABYTE = 2**20


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("ca"), {"750100125": "Hopital A"}, variants=True)


@pytest.fixture
def station(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Station]:
    monkeypatch.setenv("BAL_PASSWORD", "secret")
    made = Station(tmp_path / "station")
    yield made
    made.close()


@pytest.fixture
def sent(station: Station) -> Delivery:
    return station.sent()


def fields_in_the_report(size: int) -> str:
    return f"{REPORT}\r\n--B\r\nContent-Type: message/delivery-status\r\n\r\n" + "X-A: b\r\n" * (size // 8)


def blocks_in_the_report(size: int) -> str:
    return f"{REPORT}\r\n--B\r\nContent-Type: message/delivery-status\r\n\r\n" + "A: b\r\n\r\n" * (size // 8)


def fields_of_the_mail(size: int) -> str:
    return "X-A: b\r\n" * (size // 8) + REPORT


def fields_of_the_original(size: int) -> str:
    return f"{REPORT}\r\n--B\r\nContent-Type: message/delivery-status\r\n\r\nAction: failed\r\n\r\n--B\r\n" + (
        "Content-Type: text/rfc822-headers\r\n\r\n" + "X-A: b\r\n" * (size // 8)
    )


def a_long_subject(size: int) -> str:
    return "Subject: " + "=?utf-8?q?a?= " * (size // 14) + "\r\n" + REPORT


def a_folded_subject(size: int) -> str:
    return "Subject: a\r\n" + " =?utf-8?q?a\r\n" * (size // 14) + REPORT


def parts_in_parts(size: int) -> str:
    levels = range(size // 60)
    return "".join(f"Content-Type: multipart/mixed; boundary=b{one}\r\n\r\n--b{one}\r\n" for one in levels)


def many_parts(size: int) -> str:
    return "Content-Type: multipart/mixed; boundary=B\r\n\r\n" + "--B\r\n\r\n" * (size // 7)


def lines_that_are_nearly_boundaries(size: int) -> str:
    return "Content-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\n\r\n" + "--BB\r\n" * (size // 6)


def a_boundary_of_dashes(size: int) -> str:
    return f"Content-Type: multipart/mixed; boundary={'-' * 70}\r\n\r\n" + "-" * size


def parameters(size: int) -> str:
    return "Content-Type: multipart/report; " + 'a";' * (size // 3) + "boundary=B\r\n\r\n--B\r\n\r\n"


def many_addresses(size: int) -> str:
    return (
        "Return-Path: <>\r\nFrom: mailer-daemon@x.fr\r\nSubject: undeliverable\r\n\r\nMessage-ID: <a@b>\r\n"
        + "@" * size
    )


def open_tags(size: int) -> str:
    head = "Return-Path: <>\r\nFrom: mailer-daemon@x.fr\r\nSubject: undeliverable\r\nContent-Type: text/html\r\n\r\n"
    return head + "<" * size


def comments(size: int) -> str:
    return f"{REPORT}\r\n--B\r\nContent-Type: message/delivery-status\r\n\r\n\r\nAction: " + "(" * size


def no_line_end(size: int) -> str:
    return "X" * size


HOSTILE = [
    fields_in_the_report, blocks_in_the_report, fields_of_the_mail, fields_of_the_original, a_long_subject,
    a_folded_subject, parts_in_parts, many_parts, lines_that_are_nearly_boundaries, a_boundary_of_dashes, parameters,
    many_addresses, open_tags, comments, no_line_end,
]  # fmt: skip


@pytest.mark.parametrize("make", HOSTILE, ids=lambda make: make.__name__)
@pytest.mark.parametrize("size", [100_000, 8 * MEGABYTE])
def test_no_mail_holds_the_reader(station: Station, make: Callable[[int], str], size: int) -> None:
    """A report part of a million fields, a subject of megabytes, parts within parts: none is read for long."""
    raw = make(size).encode()
    start = time.process_time()
    found = handled(station, raw)
    assert time.process_time() - start < 1.0
    assert found.place is not Place.DONE


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (fields_in_the_report(10_000), f"more than {LIMITS.fields} header fields"),
        (fields_of_the_mail(10_000), f"more than {LIMITS.fields} header fields"),
        (a_long_subject(300_000), f"a header of more than {LIMITS.header_bytes} bytes"),
        (many_parts(7_000), f"more than {LIMITS.parts} parts"),
        (parts_in_parts(6_000), f"parts within parts, deeper than {LIMITS.depth}"),
    ],
    ids=["report", "mail", "subject", "parts", "depth"],
)
def test_what_is_beyond_a_limit_is_set_aside_and_says_which(station: Station, raw: str, why: str) -> None:
    found = handled(station, raw.encode())
    assert (found.kind, found.place, found.why) == (Kind.UNKNOWN, Place.QUARANTINE, why)


def test_a_large_mail_of_a_person_is_still_a_persons(station: Station) -> None:
    """Size alone is no reason: attachments are passed over."""
    raw = letter(From=DOCTOR, Subject="Radios", body="x" * 20 * MEGABYTE)
    assert handled(station, raw).place is Place.HUMAN


def test_reading_is_linear() -> None:
    """Ten times the lines take about ten times as long, at any size a header may have."""

    def seconds(count: int) -> float:
        raw = f"{REPORT}\r\n".encode() + b"--B\r\nContent-Type: text/plain\r\n\r\n" + b"--C\r\n" * count
        start = time.process_time()
        parse(raw)
        return time.process_time() - start

    seconds(1000)
    assert seconds(400_000) < 40 * max(seconds(40_000), 0.002)


# -------------------------------------------------------------------------------------------------- second attempt


class Killed(BaseException):
    """The process ends in the midst of reading."""


def test_a_mail_that_ended_the_process_is_not_read_again(
    station: Station, sent: Delivery, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the second attempt, by a process started anew, it goes to quarantine; the reports behind it are told."""
    poison = letter(Subject="poison", From="x@test-ci-sis.mssante.fr")
    path = station.folder / "mailbox" / "box.reading"

    async def scene(ward: Ward) -> None:
        reports = ward.mailbox._reports
        honest = type(reports).read

        def deadly(self: Any, raw: bytes) -> Any:
            if b"poison" in raw:
                raise Killed
            return honest(self, raw)

        monkeypatch.setattr(type(reports), "read", deadly)
        ward.operator.post.deliver(MAILBOX, poison)
        ward.operator.post.deliver(MAILBOX, dsn(sent.id))
        ward.mailbox._attempts = _never_ending(path)
        with pytest.raises(Killed):
            await asyncio.to_thread(ward.mailbox.poll)
        assert len(ward.operator.mailbox(MAILBOX)) == 2
        ward.mailbox._attempts = Attempts(path)  # the process is started anew
        assert await asyncio.to_thread(ward.mailbox.poll) == 2
        (aside,) = ward.operator.mailbox(MAILBOX, "Quarantaine")
        assert b"poison" in aside
        assert len([*station.bus.scan("receipts")]) == 1
        assert not Attempts(path).unfinished(digest(aside))  # put back by a person, it would be read

    play(station, certificates, scene)


def _never_ending(path: Path) -> Attempts:
    """As a SIGKILL leaves it: the mark of the beginning stays."""

    class Cut(Attempts):
        def _write(self, mark: str) -> None:
            if mark:
                super()._write(mark)

    return Cut(path)


def test_a_reading_that_ended_leaves_no_mark(tmp_path: Path) -> None:
    """Whatever the reader raised: a mail that made it fail was judged, and is elsewhere."""
    path = tmp_path / "a" / "reading"
    with pytest.raises(ValueError, match="x"), Attempts(path).reading("1" * 32):
        assert Attempts(path).unfinished("1" * 32)
        raise ValueError("x")
    assert not Attempts(path).unfinished("1" * 32)


def test_a_file_that_can_not_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with Attempts(tmp_path / "file" / "reading").reading("1" * 32):
        pass


class Gauges:
    """An observer that keeps what was set."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def count(self, measure: str, amount: float = 1, **labels: str) -> None: ...

    def set(self, measure: str, value: float, **labels: str) -> None:
        if measure == "oldest_unread_mail_timestamp_seconds":
            self.seen.append(value)

    def time(self, measure: str, seconds: float, **labels: str) -> None: ...


def test_the_oldest_unread_mail_is_measured(station: Station, certificates: Certificates) -> None:
    """When it arrived, before it is read; the present once the inbox is empty. A stuck reader moves nothing."""

    async def scene(ward: Ward) -> None:
        gauges = Gauges()
        ward.mailbox._observer = gauges
        ward.operator.post.deliver(MAILBOX, letter(Subject="a", From=DOCTOR))
        before = time.time()
        await asyncio.to_thread(ward.mailbox.poll)
        first, last = gauges.seen
        assert before - 60 < first <= last
        assert last >= before

    play(station, certificates, scene)


async def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


def test_a_mailbox_that_can_not_be_read_is_measured(station: Station, certificates: Certificates) -> None:
    """1 while it is read; 0 from the moment its server is away, and a number tells which mailbox of the sink it is."""

    class Health(Unobserved):
        said: ClassVar[list[tuple[float, str]]] = []

        def set(self, measure: str, value: float, **labels: str) -> None:
            if measure == "mailbox_ok":
                self.said.append((value, labels["mailbox"]))

    async def scene(ward: Ward) -> None:
        ward.mailbox._observer = Health()
        ward.mailbox._config = ward.mailbox._config.model_copy(update={"poll_seconds": 0.05})
        thread = threading.Thread(target=ward.mailbox.run, daemon=True)
        thread.start()
        await _until(lambda: (1, "0") in Health.said)
        ward.mailbox._config = ward.mailbox._config.model_copy(update={"port": 1})
        await _until(lambda: Health.said[-1] == (0, "0"))
        ward.mailbox.stop()
        await asyncio.to_thread(thread.join, 10)

    play(station, certificates, scene)
