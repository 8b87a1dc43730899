"""`segur-router send`: hand messages to a listener over MLLP and show each answer."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from router.cli.address import host_and_port
from router.cli.output import Exit, console, fail, said, show_json
from router.hl7.ack import parse_ack
from router.hl7.message import Message
from router.hl7.mllp import Decoder, Frame, frame
from router.language import _, translated
from router.terminal.rows import Rows
from router.tls import client_context

_SUFFIXES = (".hl7", ".er7", ".txt")


@dataclass(frozen=True)
class Answer:
    """One file and what the listener said of it."""

    file: str
    control_id: str
    ack: str
    errors: list[str]


def add_to(app: typer.Typer) -> None:
    app.command()(send)


def send(
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders of .hl7 / .er7 files.", exists=True)],
    to: Annotated[str, typer.Option(help="host:port of the listener.", envvar="SEGUR_MLLP")] = "127.0.0.1:2575",
    ca: Annotated[Path | None, typer.Option(help="Trust this CA: turns TLS on.", exists=True)] = None,
    cert: Annotated[Path | None, typer.Option(help="Client certificate and key, PEM.", exists=True)] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for each ACK.")] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Send messages over MLLP and show each ACK. Ends with 1 when one of them is not AA."""
    files = [file for path in paths for file in _files(path)]
    if not files:
        fail(_("no .hl7 or .er7 file in what you named"))
    host, port = host_and_port(to)
    context = _context(ca, cert)
    try:
        answers = asyncio.run(_send_all(files, host, port, context, timeout))
    except ConnectionRefusedError:
        fail(
            _(
                "no answer from {to}: nobody listens there. `segur-router run` listens once it says that it is ready; "
                "`--to HOST:PORT` names another listener",
                to=to,
            ),
            Exit.AWAY,
        )
    except (OSError, asyncio.IncompleteReadError) as error:
        why = translated(getattr(error, "strerror", None) or type(error).__name__)
        fail(_("no answer from {to}: {why}", to=to, why=why), Exit.AWAY)
    except TimeoutError:
        fail(_("no ACK from {to} within {seconds} s", to=to, seconds=f"{timeout:g}"), Exit.AWAY)
    if as_json:
        show_json([asdict(answer) for answer in answers])
    else:
        _table(answers).show(console)
    raise typer.Exit(Exit.GOOD if all(answer.ack == "AA" for answer in answers) else Exit.BAD)


def _files(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*") if file.suffix in _SUFFIXES) if path.is_dir() else [path]


def _context(ca: Path | None, cert: Path | None) -> ssl.SSLContext | None:
    if ca is None:
        return None
    try:
        return client_context(ca, cert)
    except ssl.SSLError as error:
        names = ", ".join(str(path) for path in (ca, cert) if path is not None)
        fail(_("{names} holds no certificate that can be used ({reason})", names=names, reason=error.reason))


async def _send_all(
    files: list[Path], host: str, port: int, context: ssl.SSLContext | None, timeout: float
) -> list[Answer]:
    reader, writer = await asyncio.wait_for(asyncio.open_connection(host, port, ssl=context), timeout)
    decoder = Decoder(limit=2**20)
    answers = []
    try:
        for file in files:
            writer.write(frame(file.read_bytes()))
            await writer.drain()
            ack = await asyncio.wait_for(_one_frame(reader, decoder), timeout)
            answers.append(_answer(file, ack))
    finally:
        writer.close()
    return answers


async def _one_frame(reader: asyncio.StreamReader, decoder: Decoder) -> bytes:
    while True:
        data = await reader.read(65536)
        if not data:
            raise asyncio.IncompleteReadError(b"", None)
        for found in decoder.feed(data):
            if isinstance(found, Frame):
                return found.data


def _answer(file: Path, ack: bytes) -> Answer:
    parsed = parse_ack(ack)
    message = Message.parse(ack)
    errors = []
    for segment in message.segments("ERR"):
        where = bytes(segment.raw("2")).decode("ascii", "replace")
        parts = (where, segment.text("3.1"), segment.text("5.1"), segment.text("8") or segment.text("3.2"))
        errors.append(" ".join(part for part in parts if part))
    return Answer(file.name, parsed.control_id, parsed.code, errors)


def _why(error: str) -> str:
    """The codes of an ERR as they are, its sentence in our language when it is one of ours."""
    words = error.split(" ")
    known = (number for number in range(len(words)) if translated(" ".join(words[number:])) != " ".join(words[number:]))
    start = next(known, len(words))
    return said(" ".join([*words[:start], translated(" ".join(words[start:]))]).strip())


def _table(answers: list[Answer]) -> Rows:
    table = Rows(_("File"), "MSH-10", "ACK", _("Why"))
    for answer in answers:
        colour = "green" if answer.ack == "AA" else "red" if answer.ack == "AE" else "yellow"
        why = "\n".join(map(_why, answer.errors))
        table.add(said(answer.file), said(answer.control_id), f"[{colour}]{said(answer.ack)}[/]", why)
    return table
