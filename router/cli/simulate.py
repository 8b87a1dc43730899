"""`segur-router simulate`: a DMP, an MSSanté operator, an annuaire, an IdP, a sender or its endpoint."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast, get_args

import typer

from router.cli.address import host_and_port
from router.cli.output import Exit, console, fail, said
from router.cli.simulate_site import simulate_site
from router.language import _

commands = typer.Typer(no_args_is_help=True, help="Simulators: of a whole site, or one by one.")

commands.command("site")(simulate_site)

ControlOption = Annotated[int, typer.Option(help="Port that takes commands as JSON; 0 takes a free one.")]
FolderOption = Annotated[Path, typer.Option(help="Folder of the throw-away certificates (made when missing).")]
_FOLDER = Path("certificates")
T = TypeVar("T")


def add_to(app: typer.Typer) -> None:
    app.add_typer(commands, name="simulate")


def _told(ports: dict[str, str | int]) -> None:
    for name, port in ports.items():
        console.print(f"{name}: {port}")


def _run(work: Coroutine[Any, Any, T]) -> T:
    import asyncio

    return asyncio.run(work)


@commands.command()
def dmp(
    port: Annotated[int, typer.Option(help="HTTPS port; 0 takes a free one.")] = 9443,
    folder: FolderOption = _FOLDER,
    control: ControlOption = 0,
) -> None:
    """A DMP: TD2.1, TD3.1b, TD3.3c, TD0.2; checks what the DMP checks (dmp §5, §6). A control port takes JSON."""
    from router.simulators.dmp import DmpConfig
    from router.simulators.serve import ensure_certificates, serve_dmp

    config = DmpConfig(certificates=ensure_certificates(folder), port=port, control_port=control)
    _run(serve_dmp(config, _told))


@commands.command()
def mssante(
    smtp: Annotated[int, typer.Option(help="SMTP port; 0 takes a free one.")] = 9587,
    imap: Annotated[int, typer.Option(help="IMAP port; 0 takes a free one.")] = 9143,
    mailbox: Annotated[str, typer.Option(help="The sending mailbox.")] = "pfi@hopital-a.test.mssante.fr",
    keep: Annotated[Path | None, typer.Option(help="Folder for the mails, as .eml.")] = None,
    folder: FolderOption = _FOLDER,
    auth: Annotated[str, typer.Option(help="What it asks for beside the certificate: none, plain, external.")] = "none",
    password: Annotated[str, typer.Option(help="Of the mailbox, for plain; it protects nothing.")] = "simulated",  # noqa: S107
    control: ControlOption = 0,
) -> None:
    """An MSSanté operator: SMTP with STARTTLS and client certificates, DSN, MDN, IMAP. A control port takes JSON."""
    from router.simulators.mssante import MssanteConfig
    from router.simulators.mssante.config import Auth
    from router.simulators.serve import ensure_certificates, serve_mssante

    if auth not in get_args(Auth):
        fail(f"no such way to log in: {auth} (one of {', '.join(get_args(Auth))})")

    config = MssanteConfig(
        certificates=ensure_certificates(folder),
        smtp_port=smtp,
        imap_port=imap,
        accounts={mailbox: password},
        client_certificate=True,
        auth=cast(Auth, auth),
        control_port=control,
        folder=keep,
    )
    _run(serve_mssante(config, _told))


@commands.command()
def annuaire(
    port: Annotated[int, typer.Option(help="HTTP port; 0 takes a free one.")] = 9080,
    key: Annotated[str, typer.Option(help="The ESANTE-API-KEY that it wants.")] = "demo-key",
    extraction: Annotated[Path | None, typer.Option(help="Also write the extraction file of the same people.")] = None,
) -> None:
    """The FHIR interface of the annuaire santé: key, pages, rate limit (mssante §5.1). A control port takes JSON."""
    from router.simulators.annuaire import AnnuaireConfig
    from router.simulators.annuaire.extraction import write_extraction
    from router.simulators.serve import serve_annuaire

    config = AnnuaireConfig(key=key, port=port)
    if extraction is not None:
        write_extraction(extraction, config.people, config.organisations)
    _run(serve_annuaire(config, _told))


@commands.command()
def idp(
    port: Annotated[int, typer.Option(help="HTTP port, on 127.0.0.1 alone; 0 takes a free one.")] = 9081,
    client: Annotated[str, typer.Option(help="`client_id` of the console.")] = "segur-router",
    secret: Annotated[str, typer.Option(help="Its secret; it protects nothing.")] = "demo-secret",  # noqa: S107
    control: ControlOption = 0,
) -> None:
    """A hospital's identity provider for the console (`console.oidc`): OpenID Connect, fictitious people, a page to
    log in. A control port takes JSON."""
    from router.simulators.idp import PEOPLE, IdpConfig
    from router.simulators.serve import serve_idp

    for one in PEOPLE:
        console.print(said(f"{one.name:<12} {one.password:<6} {', '.join(one.groups)}"))
    _run(serve_idp(IdpConfig(client_id=client, client_secret=secret, port=port, control_port=control), _told))


@commands.command()
def endpoint(
    port: Annotated[int, typer.Option(help="MLLP port; 0 takes a free one.")] = 2675, control: ControlOption = 0
) -> None:
    """The sender's own endpoint: takes ZAM and relayed messages and answers AA."""
    from router.simulators.serve import serve_sender

    _run(serve_sender(port, _told, control_port=control))


@commands.command()
def sender(
    to: Annotated[str, typer.Option(help="host:port of a listener.")] = "127.0.0.1:2575",
    count: Annotated[int, typer.Option(help="How many messages.")] = 10,
    rate: Annotated[float, typer.Option(help="Per second; 0 = as fast as they are answered.")] = 0,
    kind: Annotated[str, typer.Option(help="biology, imaging or letter.")] = "biology",
    size: Annotated[int, typer.Option(help="Bytes of each document, about.")] = 50_000,
    seed: Annotated[int, typer.Option(help="Another seed, other patients.")] = 1,
    connections: Annotated[int, typer.Option(help="Connections at once.")] = 2,
) -> None:
    """Send fictitious but realistic documents of distinct patients, and count the answers."""
    from router.simulators.sender.cda import KINDS
    from router.simulators.sender.maker import Maker
    from router.simulators.sender.mllp import MllpSender

    host, port = host_and_port(to)
    if kind not in KINDS:
        fail(_("no such kind: {name} (one of {known})", name=kind, known=", ".join(KINDS)))
    maker = Maker(seed)
    event = "R01" if kind == "biology" else "MDM"
    messages = (
        maker.message(maker.document(kind, maker.patient(), size=size), event=event, recipients=[maker.recipient()])
        for _ in range(count)
    )

    async def run() -> list[str]:
        async with MllpSender(host, port, connections=connections) as client:
            return [sent.code for sent in await client.send_all(messages, rate=rate or None)]

    codes = _run(run())
    console.print(", ".join(f"{codes.count(code)} {code or _('without answer')}" for code in sorted(set(codes))))
    raise typer.Exit(Exit.GOOD if all(code == "AA" for code in codes) else Exit.BAD)
