"""`segur-router send`: hand messages to a listener over MLLP and show each answer."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from router.cli.address import host_and_port
from router.cli.output import Exit, console, fail, said, show_json
from router.language import _, translated
from router.terminal.rows import Rows

if TYPE_CHECKING:
    from router.cli.send_mllp import Answer

_SUFFIXES = (".hl7", ".er7", ".txt")


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
    import asyncio

    from router.cli.send_mllp import send_all, tls_of

    files = [file for path in paths for file in _files(path)]
    if not files:
        fail(_("no .hl7 or .er7 file in what you named"))
    host, port = host_and_port(to)
    context = tls_of(ca, cert)
    try:
        answers = asyncio.run(send_all(files, host, port, context, timeout))
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
