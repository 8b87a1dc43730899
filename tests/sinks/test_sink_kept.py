"""What sinks keep between two deliveries (sessions, links, an archive), and what they give up, which must be cut."""

from __future__ import annotations

import asyncio
import base64
import io
import random
import threading
import zipfile
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest

from router.contracts import Attempt
from router.errors import RouterError
from router.hl7.mllp import frame
from router.request import Action
from router.sinks.hl7.settings import Hl7Config
from router.sinks.hl7.sink import Hl7Sink
from router.sinks.mssante.mail import Written
from router.sinks.mssante.settings import MssanteConfig
from router.sinks.mssante.smtp import Envelope, Submission
from tests.cda.cda_samples import cda, n1_body
from tests.sinks.mssante_samples import INS, config, delivery, doctor, order, patient, sink, tools
from tests.sinks.mssante_server import EHLO, Script, server
from tests.sinks.test_sink_hl7 import TRY, Watching, ack, meeting, play
from tests.sinks.test_sink_hl7 import delivery as relayed
from tests.typed import part_bytes

FIRST = Attempt(1, 1_795_000_000.0)


def test_a_link_that_gave_the_answer_of_another_message_is_not_used_again() -> None:
    """One ACK too many must not make every later message of that connection look unanswered."""
    extra = ["0"]

    async def answering(control: str, writer: asyncio.StreamWriter) -> None:
        while extra:
            writer.write(frame(ack("AA", extra.pop())))  # e.g. an application ACK that comes late
        await asyncio.sleep(0.02)
        writer.write(frame(ack("AA", control)))

    async def story() -> None:
        async with meeting(answering, connections=1) as (sink, _):
            found = await asyncio.gather(
                *(sink.deliver(relayed(str(one)), TRY) for one in range(1, 9)), return_exceptions=True
            )
        failed = [one.code for one in found if isinstance(one, RouterError)]
        assert failed == ["HL7-ACK-ID"]

    play(story())


def test_a_session_is_not_shared_by_two_mailboxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `login.user` we log in as the sending mailbox: what that session sends must be of that mailbox."""
    monkeypatch.setenv("BAL_PASSWORD", "secret")
    script = Script(ehlo=f"{EHLO}".replace("250 8BITMIME", "250-8BITMIME\r\n250 AUTH PLAIN"))
    made = MssanteConfig.model_validate(
        {**config().model_dump(), "login": {"auth": "plain", "password": {"env": "BAL_PASSWORD"}}}
    )

    async def main() -> None:
        script.answers["AUTH"] = ["235 Ok"] * 9
        async with server(script) as port:
            talk = Submission(made.model_copy(update={"port": port}), monotonic=lambda: 0.0)
            for rank, mailbox in enumerate(("a@hopital-a.mssante.fr", "b@hopital-b.mssante.fr")):
                envelope = Envelope(mailbox, "dr@x.mssante.fr", f"{rank:032x}", notify_success=False)
                await talk.send(envelope, Written((b"Subject: x\r\n\r\nx\r\n",)), lambda: None)
            await talk.close()

    asyncio.run(main())
    session, sent = "", []
    for line in script.commands:
        if line.startswith("AUTH PLAIN"):
            session = base64.b64decode(line.split()[2]).split(b"\0")[1].decode()
        elif line.startswith("MAIL FROM:"):
            sent.append((session, line.split("<")[1].split(">")[0]))
    assert [mailbox for mailbox, _ in sent] == [mailbox for _, mailbox in sent]


NO_INS = (('<id root="1.2.250.1.213.1.4.10" extension="279035121518989"/>', ""),)


def metadata_of(mail: bytes) -> str:
    for part in message_from_bytes(mail, policy=policy.default).walk():
        if (part.get_filename() or "").upper() == "IHE_XDM.ZIP":
            with zipfile.ZipFile(io.BytesIO(part_bytes(part))) as archive:
                return archive.read("IHE_XDM/SUBSET01/METADATA.XML").decode()
    raise AssertionError("no archive")


def test_an_ins_that_was_withdrawn_leaves_in_no_archive_made_before(tmp_path: Path) -> None:
    """D2: the register is asked at each sending; the archive of the document's other recipients must follow."""
    script, document = Script(), cda(change=NO_INS)
    ours: Any = {"documents": (document,)}
    first = delivery(order((document,)), **ours)
    later = delivery(
        order((document,), recipient=doctor("b@hopital-a.mssante.fr"), patient=patient(qualified=False)), **ours
    )

    async def main() -> None:
        async with server(script) as port:
            made = sink(tmp_path, port)
            for one in (first, later):
                await made.deliver(one, FIRST)
            await made.close()

    asyncio.run(main())
    assert INS.value in metadata_of(script.mails[0])
    assert "X-MSS-INS: N" in script.mails[1].decode("ascii", "replace")
    assert INS.value not in metadata_of(script.mails[1])


def test_a_domain_that_is_looked_up_again_holds_up_no_deletion(tmp_path: Path) -> None:
    """The source of the liste blanche takes its time to answer about one bad address; other mails go on."""
    using = tools(tmp_path)
    gate = threading.Event()
    using.directory.liste_blanche.retest = lambda _domain: gate.wait(5)  # type: ignore[method-assign, assignment]

    async def main() -> None:
        async with server(Script()) as port:
            made = sink(tmp_path, port, using=using)
            stranger = delivery(order(recipient=doctor("x@ailleurs.fr")))
            asking = asyncio.create_task(made.deliver(stranger, FIRST))
            await asyncio.sleep(0.1)
            given = delivery(order(action=Action.DELETE), lineage="set", document="doc")
            try:
                await asyncio.wait_for(made.deliver(given, FIRST), 2)
            finally:
                gate.set()
                with pytest.raises(RouterError):
                    await asking
                await made.close()

    asyncio.run(main())


def test_a_mail_that_was_abandoned_is_cut_and_not_sent_on(tmp_path: Path) -> None:
    """The partition goes to another worker in the middle of a large mail: what still waits here must not leave later,
    behind what the next owner sends (a deletion, perhaps)."""
    reading, taken, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
    body = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 relais\r\n")
        while line := await reader.readline():
            if line.startswith(b"DATA"):
                writer.write(b"354 go\r\n")
                taken.set()
                await reading.wait()
                try:
                    while not body.endswith(b"\r\n.\r\n") and (piece := await reader.read(1 << 16)):
                        body.extend(piece)
                finally:
                    ended.set()
                    writer.close()
                return
            writer.write(b"250 Ok\r\n")

    async def main() -> None:
        listener = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 14)
        documents = (cda(n1_body(b"%PDF-1.4\n" + random.Random(1).randbytes(12_000_000) + b"\n%%EOF\n")),)
        made = sink(tmp_path, listener.sockets[0].getsockname()[1])
        sending = asyncio.create_task(made.deliver(delivery(order(documents), documents), FIRST))
        await asyncio.wait_for(taken.wait(), 10)
        await asyncio.sleep(1)
        sending.cancel()  # as `Attempts.drain` does once its patience is over
        await asyncio.gather(sending, return_exceptions=True)
        reading.set()
        await asyncio.wait_for(ended.wait(), 30)
        await made.close()
        listener.close()

    asyncio.run(main())
    assert not body.endswith(b"\r\n.\r\n")


@pytest.mark.parametrize("how", ["late", "abandoned"])
def test_a_message_that_was_given_up_is_cut_and_not_sent_on(how: str) -> None:
    """A partner that does not read: what is repeated, and what follows, must not be overtaken by the old connection."""
    reading, ended, got = asyncio.Event(), asyncio.Event(), bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reading.wait()
        try:
            while piece := await reader.read(1 << 16):
                got.extend(piece)
        finally:
            ended.set()
            writer.close()

    async def story() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 14)
        port = server.sockets[0].getsockname()[1]
        timeout = 0.3 if how == "late" else 30
        sink = Hl7Sink("hl7.sil", Hl7Config(host="127.0.0.1", port=port, timeout=timeout), Watching())
        sending = asyncio.create_task(sink.deliver(relayed("1", 16_000_000), TRY))
        await asyncio.sleep(1)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        reading.set()
        await asyncio.wait_for(ended.wait(), 15)
        await sink.close()
        server.close()

    play(story())
    assert not got.endswith(b"\x1c\r")
