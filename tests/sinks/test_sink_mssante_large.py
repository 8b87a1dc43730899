"""A large mail on its connection: little of it in memory, whatever the server does meanwhile."""

from __future__ import annotations

import asyncio
import base64
import random
import tracemalloc
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from router.cda.oids import PDF_COPY_CODE, PDF_COPY_SECTION
from router.errors import OutcomeUnknown, Refused
from router.sinks.mssante.contents import Packer
from router.sinks.mssante.mail import Attachment, Written, build
from router.sinks.mssante.smtp import Accepted, Envelope, Submission
from tests.cda.cda_samples import cda, n3_body, section
from tests.sinks.mssante_samples import STRUCTURE, config, order
from tests.sinks.test_sink_mssante_mail import a_mail

ENVELOPE = Envelope("a@hopital-a.mssante.fr", "dr@x.mssante.fr", "0" * 32, notify_success=False)
SIZE = 6_000_000
GOING = "250 2.0.0 Ok: queued as 4XyZ1234"

Read = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


def large() -> Written:
    content = random.Random(1).randbytes(SIZE)
    return build(a_mail(attachments=(Attachment("a.zip", "application/zip", content),)))


async def _serve(read: Read, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    answers = {"EHLO": "250-relais\r\n250-SIZE 90000000\r\n250 DSN", "DATA": "354 go"}
    writer.write(b"220 relais\r\n")
    while line := await reader.readline():
        verb = line[:4].decode().upper()
        writer.write(f"{answers.get(verb, '250 Ok')}\r\n".encode())
        if verb == "DATA":
            await read(reader, writer)
            break
    writer.close()


def submit(mail: Written, read: Read) -> Accepted:
    """What comes of it; `read` is the server from its 354 on."""

    async def main() -> Accepted:
        listener = await asyncio.start_server(lambda *pair: _serve(read, *pair), "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        made = config(port).model_copy(update={"data_timeout": 5.0})
        submission = Submission(made, monotonic=lambda: 0.0)
        try:
            return await submission.send(ENVELOPE, mail, lambda: None)
        finally:
            await submission.close()
            listener.close()

    return asyncio.run(main())


def test_a_large_mail_is_written_as_fast_as_it_is_read() -> None:
    """A server that reads slowly costs some hundred KB of memory, not the mail; it gets each of its bytes."""
    mail, got = large(), []

    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tracemalloc.start()
        size = 0
        while size < mail.size + 3:
            piece = await reader.read(1 << 20)
            size += len(piece)
            got.append(hash(piece))
            if size < 3_000_000:
                await asyncio.sleep(0.01)
        got.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        writer.write(f"{GOING}\r\n".encode())

    assert submit(mail, read).queue_id == "4XyZ1234"
    assert got[-1] < 3_000_000
    assert mail.size == sum(map(len, mail)) > SIZE * 4 / 3


def test_the_pieces_of_a_mail_are_its_bytes_however_often_they_are_asked_for() -> None:
    """In turn, one by one, by their numbers."""
    mail = large()
    assert b"".join(mail) == b"".join(mail[:]) == b"".join(mail[number] for number in range(len(mail)))
    assert base64.encodebytes(random.Random(1).randbytes(SIZE)).replace(b"\n", b"\r\n") in b"".join(mail)


@pytest.mark.parametrize("reads_on", [True, False])
def test_a_server_that_refuses_before_the_end_is_heard(reads_on: bool) -> None:
    """Whether or not it reads the rest: its answer counts, not the time-out, and the rest is no command to it."""
    after: list[bytes] = []

    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1_000_000)
        writer.write(b"552 5.3.4 too big\r\n")
        await writer.drain()
        while reads_on and (piece := await reader.read(1 << 20)):
            after.append(piece)
        await asyncio.sleep(0.1)

    with pytest.raises(Refused) as told:
        submit(large(), read)
    assert told.value.code == "MSS-523"
    assert sum(map(len, after)) < SIZE
    assert not any(word in b"".join(after[-1:])[-50:] for word in (b"RSET", b"QUIT"))


@pytest.mark.parametrize("said", ["", f"{GOING}\r\n"])
def test_a_mail_that_was_cut_has_an_unknown_outcome(said: str) -> None:
    """Also where the server says that it took a mail whose end it has not read."""

    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1_000_000)
        writer.write(said.encode())
        await asyncio.sleep(0.05)
        writer.transport.abort()

    with pytest.raises(OutcomeUnknown):
        submit(large(), read)


def test_an_archive_and_its_copy_are_made_without_further_copies() -> None:
    """At the peak there is the PDF, the archive and what deflate gives back once: not twice the document."""
    pdf = b"%PDF-1.7\n" + random.Random(2).randbytes(SIZE)
    document = cda(n3_body(section(PDF_COPY_CODE, PDF_COPY_SECTION, pdf)))
    given, held = order((document,)), memoryview(document)
    tracemalloc.start()
    made = Packer(config()).pack(given, [held], STRUCTURE, "e" * 64)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [one.media_type for one in made.attachments] == ["application/zip", "application/pdf"]
    assert peak < len(pdf) + 2.4 * len(made.attachments[0].content)
