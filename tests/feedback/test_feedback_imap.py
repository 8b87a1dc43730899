"""IMAP servers that say more than was asked, or that never come to an end."""

from __future__ import annotations

import socketserver
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any, cast

import pytest

from router.contracts import SystemClock
from router.errors import Unavailable
from router.feedback.mailbox import Mailbox
from router.feedback.reports import Handled, Kind, Place
from router.sinks.mssante.settings import ImapConfig, TlsConfig
from tests.trickle import PAUSE, trickle

CAPABLE = b"* PREAUTH [CAPABILITY IMAP4rev1 AUTH=PLAIN MOVE UIDPLUS] ready\r\n"


def mailbox(port: int, **settings: Any) -> Mailbox:
    imap = {"host": "127.0.0.1", "port": port, "mode": "plain", "login": {"auth": "aucune"}, **settings}
    unused = cast(Any, SimpleNamespace(publish=lambda _records: ()))
    observer = cast(Any, SimpleNamespace(set=lambda *_, **__: None, count=lambda *_, **__: None))
    return Mailbox(
        "mss",
        ImapConfig.model_validate(imap),
        unused,
        unused,
        tls=TlsConfig.model_construct(),
        user="x@test.mssante.fr",
        clock=SystemClock(),
        observer=observer,
        alert=lambda *_: None,
    )


@contextmanager
def server(fetch: Callable[[Any, bytes], None]) -> Iterator[int]:
    """An IMAP server of one mail. `fetch(write, tag)` answers the FETCH of its body."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                self.wfile.write(CAPABLE)
                for line in self.rfile:
                    self._answer(*line.split(maxsplit=1))

        def _answer(self, tag: bytes, command: bytes) -> None:
            word = command.upper()
            if b"BODY.PEEK" in word:
                fetch(self.wfile.write, tag)
                return
            told = b""
            if b"CAPABILITY" in word:
                told = b"* CAPABILITY IMAP4rev1 AUTH=PLAIN MOVE UIDPLUS\r\n"
            elif b"LIST" in word:
                told = b'* LIST () "/" ' + command.split()[-1] + b"\r\n"
            elif b"SEARCH" in word:
                told = b"* SEARCH 1\r\n"
            elif b"SELECT" in word:
                told = b"* 1 EXISTS\r\n* OK [UIDVALIDITY 1] ok\r\n"
            elif b"FETCH" in word:
                told = b"* 1 FETCH (UID 1 RFC822.SIZE 10)\r\n"
            self.wfile.write(told + tag + b" OK done\r\n")

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield running.server_address[1]
        finally:
            running.shutdown()


def test_a_literal_larger_than_asked_is_not_read() -> None:
    """300 MB where 100 kB were asked: the connection is dropped, and the fault says so."""

    def huge(write: Any, tag: bytes) -> None:
        write(b"* 1 FETCH (UID 1 BODY[]<0> {300000000}\r\n")
        for _ in range(100):
            write(b"x" * 1_000_000)
        write(b")\r\n" + tag + b" OK done\r\n")

    with server(huge) as port:
        tracemalloc.start()
        with pytest.raises(Unavailable) as caught:
            mailbox(port, max_mail_bytes=100_000).poll()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert caught.value.code == "MSS-IMAP-SIZE" and peak < 20_000_000


def test_lines_without_end_are_not_gathered() -> None:
    """Untagged lines for ever in the answer to one command: the connection is dropped after some megabytes."""

    def endless(write: Any, tag: bytes) -> None:
        while True:
            write((b"* OK " + b"x" * 10_000 + b"\r\n") * 100)

    with server(endless) as port, pytest.raises(Unavailable) as caught:
        mailbox(port).poll()
    assert caught.value.code == "MSS-IMAP-SIZE"


def test_a_literal_within_what_was_asked_is_read() -> None:
    """The limit is of what is too much only: a mail of the largest size is read to its end."""
    read: list[bytes] = []

    def whole(write: Any, tag: bytes) -> None:
        write(b"* 1 FETCH (UID 1 BODY[]<0> {1000000}\r\n" + b"x" * 1_000_000 + b")\r\n" + tag + b" OK done\r\n")

    with server(whole) as port:
        box = mailbox(port, max_mail_bytes=1_000_000)

        def kept(raw: bytes) -> Handled:
            read.append(raw)
            return Handled(Kind.UNKNOWN, Place.DONE)

        box._read = kept  # type: ignore[method-assign]
        box.poll()
    assert [len(one) for one in read] == [1_000_000]


@pytest.mark.alone
@pytest.mark.parametrize(
    ("begin", "drop"),
    [(b"", b"a"), (b"", b"*"), (CAPABLE, b"* 1 EXISTS\r\n")],
    ids=["greeting", "star", "lines"],
)
def test_a_server_that_trickles_is_left(begin: bytes, drop: bytes) -> None:
    """A byte, or a line, now and then: the poll ends within ten time-outs."""
    with trickle(begin, drop) as port:
        start = time.monotonic()
        with pytest.raises(Unavailable):
            mailbox(port, timeout=PAUSE * 4).poll()
        assert time.monotonic() - start < PAUSE * 4 * 10 * 2.5
