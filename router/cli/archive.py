"""`segur-router archive`: what left for a delivery and what came back, sealed; its proofs."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from router.cli import audited, rights
from router.cli.criteria import SinceOption
from router.cli.free_text import unnamed
from router.cli.output import Exit, console, fail, said, show_json, told
from router.cli.site import DEFAULT_SITE, JsonOption, SiteOption, open_site, paste
from router.cli.times import moment
from router.language import N_, _, plural

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.archive.item import Item
    from router.archive.store import Archive
    from router.exchange import Receipt
    from router.runtime.site_services import SiteServices

commands = typer.Typer(no_args_is_help=True, help="What left and what came back: show, read, verify, purge.")


def add_to(app: typer.Typer) -> None:
    app.add_typer(commands, name="archive")


@commands.command()
def show(
    id_: Annotated[
        str, typer.Argument(metavar="ID", help="A delivery, or anything that `explain` takes: then all its deliveries.")
    ],
    site: SiteOption = DEFAULT_SITE,
    as_json: JsonOption = False,
) -> None:
    """List what is kept of deliveries: kind, size, digest, until when; and the receipts. No content is shown."""
    with _archive(site) as (archive, services):
        items, receipts = list(archive.items(id_)), list(archive.receipts(id_))
        if not items and not receipts:
            deliveries = [one.delivery_id for story in services.journal.story(id_) for one in story.deliveries]
            items = [item for one in deliveries for item in archive.items(one)]
            receipts = [receipt for one in deliveries for receipt in archive.receipts(one)]
    if as_json:
        show_json({"items": [asdict(item) for item in items], "receipts": [asdict(one) for one in receipts]})
        return
    if not items and not receipts:
        fail(_("nothing is kept of this: give a delivery, or anything that `explain` takes"), Exit.BAD)
    _items(items)
    _receipts(receipts)
    if any(item.stored for item in items):
        console.print(_("to read one: {command}", command=paste("archive", "read", "ITEM", "--reason", "…", site=site)))


@commands.command()
def read(
    item: Annotated[str, typer.Argument(metavar="ITEM", help="The item's id, as `archive show` lists it.")],
    reason: Annotated[
        str,
        typer.Option(
            metavar="TEXT", help="Why; it is audited with your name. No patient's name, no INS.", callback=unnamed
        ),
    ],
    site: SiteOption = DEFAULT_SITE,
    to: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A new file; without it the bytes go to the standard output."),
    ] = None,
) -> None:
    """Write out a content exactly as it left or came, after a line in the audit. It names a patient: mind where to."""
    from router.access.person import Role
    from router.audit.event import Action

    if not reason.strip():
        fail(_("a reason is needed: it is what your colleagues will read"))
    with _archive(site) as (archive, services):
        found = archive.item(item)
        if found is None:
            fail(_("no such item: `archive show ID` lists them"), Exit.BAD)
        structure = services.journal.owners([found.event_id]).get(found.event_id, "")
        rights.need_role(services, Role.OPERATOR, Action.VIEWED, "archive", {found.id: structure})
        asked = audited.event(services, Action.VIEWED, structure, reason=reason.strip())
        if to is not None and to.exists():
            fail(_("{file} is there already", file=str(to)))
        if to is None and sys.stdout.isatty():
            fail(_("name a file with --to: a terminal obeys what a sender wrote"))
        data = archive.read(found, asked)
    if to is None:
        sys.stdout.buffer.write(data)
        return
    to.touch(mode=0o600, exist_ok=False)
    to.write_bytes(data)
    console.print(f"[green]✓[/] {said(to)}", soft_wrap=True)


@commands.command()
def verify(site: SiteOption = DEFAULT_SITE, since: SinceOption = "", as_json: JsonOption = False) -> None:
    """Open every content and compare its digest. Ends with 1 when one is not what was kept."""
    import time

    from router.cli import periods

    first = periods.since(since, time.time()) or 0.0
    with _archive(site) as (archive, _services):
        wrong = list(archive.verify(first))
        size = archive.size()
    if as_json:
        show_json({"stored": size.stored, "wrong": [{"code": code, **asdict(item)} for item, code in wrong]})
    else:
        for item, code in wrong:
            console.print(f"[red]✕[/] {said(item.id)} {said(item.kind)} {said(code)} {moment(item.at)}")
        if not wrong:
            console.print(f"[green]✓[/] {_('every content is what was kept')}")
        _size(size.items, size.stored, size.receipts)
    raise typer.Exit(Exit.BAD if wrong else Exit.GOOD)


@commands.command()
def purge(site: SiteOption = DEFAULT_SITE, as_json: JsonOption = False) -> None:
    """Remove now what has expired; the router does it by itself every ten minutes."""
    from router.audit.event import Action

    with _archive(site) as (archive, services):
        rights.need_administrator(services, Action.PURGED, "archive")
        gone = archive.purge()
    if as_json:
        show_json(asdict(gone))
        return
    contents = plural("{count} content removed", "{count} contents removed", gone.contents)
    proofs = plural("{count} proof removed", "{count} proofs removed", gone.proofs)
    console.print(f"{contents}, {proofs}, " + _("{megabytes} MB", megabytes=f"{gone.bytes / 1e6:.0f}"))


@contextmanager
def _archive(site: Path) -> Iterator[tuple[Archive, SiteServices]]:
    with open_site(site) as services:
        archive = services.archive
        if archive is None:
            fail(_("this site keeps no archive: `archive` is not in the site file"))
        yield archive, services


def _items(items: list[Item]) -> None:
    table = Table(box=None, pad_edge=False)
    for name in (N_("Item"), N_("Kind"), N_("Kept on"), N_("Bytes"), N_("Content until"), N_("Proof until")):
        table.add_column(_(name))
    for item in items:
        kind = f"{item.kind} {item.name}".strip()
        until = moment(item.content_until) if item.stored else _("removed")
        row = (said(item.id), said(kind), moment(item.at), str(item.size), until, moment(item.proof_until))
        table.add_row(*row)
    console.print(table)
    for item in items:
        text = _("{name}: SHA-256 {digest}", name=said(item.id), digest=said(item.sha256))
        console.print(f"  {text}", style="dim", soft_wrap=True)


def _receipts(receipts: list[Receipt]) -> None:
    from router.journal.render import outcome_of

    for receipt in receipts:
        outcome = outcome_of(receipt)
        facts = " ".join(filter(None, (receipt.code, receipt.evidence.get("message_id", ""))))
        mark = "[green]✓[/]" if receipt.ok else "[red]✕[/]"
        line = f"{mark} {moment(receipt.at)} {said(receipt.sink)} {said(outcome)} {said(facts)}"
        console.print(f"{line} {told(receipt.text)}".rstrip(), soft_wrap=True)


def _size(items: int, stored: int, receipts: int) -> None:
    parts = (
        plural("{count} item", "{count} items", items),
        plural("{count} with its content", "{count} with their contents", stored),
        plural("{count} receipt", "{count} receipts", receipts),
    )
    console.print("  " + ", ".join(parts), style="dim")
