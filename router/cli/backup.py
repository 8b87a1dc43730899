"""`segur-router backup`, `restore` and `ledger migrate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from router.audit.event import Action
from router.cli import audited
from router.cli.output import console, errors, said, show_json
from router.cli.site import DEFAULT_SITE, JsonOption, SiteOption, paste
from router.cli.times import moment
from router.language import N_, _, plural
from router.terminal.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.runtime.backup.restore import Restored

ledger = typer.Typer(no_args_is_help=True, help="The ledger and the other databases.")


@ledger.callback()
def _ledger() -> None:
    """A group of one command, so that `migrate` is named."""


def add_to(app: typer.Typer) -> None:
    app.command()(backup)
    app.command()(restore)
    app.add_typer(ledger, name="ledger")


def backup(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the backups; each gets a folder in it.")],
    site: SiteOption = DEFAULT_SITE,
    keep: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Keep the newest N backups, remove older ones.")
    ] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Read all of it again before it counts.")] = False,
    verify_only: Annotated[
        bool, typer.Option("--verify-only", help="Make none: read the newest one again, or the one that DIR is.")
    ] = False,
    without_key: Annotated[
        bool, typer.Option("--without-key", help="Leave out the key of the pseudonyms; keep it elsewhere.")
    ] = False,
    without_database: Annotated[
        bool, typer.Option("--without-database", help="PostgreSQL has backups of its own.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Copy ledger, journal, register, the embedded bus, site file, pipelines and key, while the router works."""
    from router.config.site import Site
    from router.observe import logs
    from router.runtime.backup.make import backup as make
    from router.runtime.backup.manifest import latest
    from router.runtime.backup.verify import verify as read_again
    from router.runtime.site_services import SiteServices

    logs.configure(level="WARNING")
    if verify_only:
        chosen = latest(folder)
        manifest, seconds, removed = read_again(chosen), 0.0, 0
    else:
        services = SiteServices(Site(site))
        try:
            audited.record(services, Action.BACKED_UP, "backup", [str(folder)])
            made = make(
                services,
                folder,
                keep=keep,
                with_key=not without_key,
                with_database=not without_database,
                thorough=verify,
            )
        finally:
            services.close()
        chosen, manifest, seconds, removed = made.folder, made.manifest, made.seconds, made.removed
    size = sum(file.bytes for file in manifest.files.values())
    if as_json:
        show_json({"folder": str(chosen), "bytes": size, "seconds": round(seconds, 3), "finished": manifest.finished})
        return
    console.print(f"[green]✓[/] {said(chosen)}", soft_wrap=True)
    files = plural("{count} file", "{count} files", len(manifest.files))
    facts = [files, _("{megabytes} MB", megabytes=f"{size / 1e6:.1f}")]
    facts += [] if verify_only else [_("{seconds} s", seconds=f"{seconds:.1f}")]
    facts += [_("read again: whole")] if verify or verify_only else []
    facts += [plural("{count} older backup removed", "{count} older backups removed", removed)] if removed else []
    console.print("  " + ", ".join(facts), style="dim")
    if "keyring.db" in manifest.files or "keyring" in manifest.schemas:
        console.print(
            "  " + _("what is sealed needs the master key, which is not in it: keep it elsewhere"), style="dim"
        )


def restore(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A backup, or a folder of backups: its newest.")],
    site: SiteOption = DEFAULT_SITE,
    report: Annotated[bool, typer.Option("--report", help="Name each delivery of which nobody can know.")] = False,
    keep_bus: Annotated[
        bool, typer.Option("--keep-bus", help="The file of the embedded bus is here and has lived on: keep it.")
    ] = False,
    moved: Annotated[
        bool,
        typer.Option("--moved", help="The router was stopped before this backup and has not run since: hold nothing."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Put a backup back into an empty data folder. What may have left since is held for a person, or the DMP is asked.

    A site file that is not there yet comes from the backup, with its pipelines. Certificates and secrets do not, nor
    does the master key of `encryption`: without it nothing that was sealed can be read, and restore refuses.
    """
    from router.observe import logs
    from router.runtime.backup.restore import restore as put_back

    logs.configure(level="WARNING")
    done = put_back(site, folder, alert=_tell_alert, keep_bus=keep_bus, moved=moved)
    if as_json:
        show_json(done.as_json())
        return
    _show(done, site, every=report)


def _tell_alert(what: str, facts: Mapping[str, str]) -> None:
    from router.language import translated

    text = translated(facts.get("text", ""))
    errors.print(f"[yellow]![/] {said(what)}: {said(text)} {said(facts.get('file', ''))}", soft_wrap=True)


def _show(done: Restored, site: Path, *, every: bool) -> None:
    found, taken = done.found, done.manifest
    console.print(f"[green]✓[/] {said(_('restored: {folder}', folder=done.folder))}", soft_wrap=True)
    for path in done.brought:
        console.print(f"  {said(_('from the backup: {path}', path=path))}", soft_wrap=True)
    rows = Rows("", "", right=(0,))
    for count, text in (
        (sum(found.claims.values()), N_("events of which the ledger learned again that they were accepted")),
        (sum(found.proven.values()), N_("deliveries that ended since, by their receipts: not repeated")),
        (sum(found.asked.values()), N_("deliveries that nobody can know of: their sink asks the destination first")),
        (sum(found.held.values()), N_("deliveries that nobody can know of: held for a person")),
        (sum(found.undecided.values()), N_("records not decided or answered yet: what comes of them is held")),
        (found.journal, N_("lines of the journal read again")),
        (found.register, N_("messages about patients applied again")),
        (sum(found.lost.values()), N_("events and deliveries whose bytes are lost: bytes-lost.json")),
    ):
        if count:
            rows.add(str(count), said(_(text)))
    rows.show(console)
    if every:
        from router.cli.waiting import STATES

        for one in found.deliveries:
            console.print(f"  {said(one['sink'])}  {said(one['id'])}  {said(_(STATES[one['state']]))}", soft_wrap=True)
    _cannot_know(done, site, moment(taken.started))


def _cannot_know(done: Restored, site: Path, taken: str) -> None:
    """What is left to people, in sentences."""
    found = done.found
    if found.bus == "copy":
        text = _("What senders sent after {moment} is lost with the bus: they must send it again.", moment=taken)
        console.print(said(text), style="yellow", soft_wrap=True)
    if found.held or found.undecided:
        text = _(
            "Held deliveries may have left after {moment}. Start the router, ask the recipients, then give the order:",
            moment=taken,
        )
        console.print(said(text), style="yellow", soft_wrap=True)
        for words in (("dlq", "ls"), ("dlq", "replay", "all")):
            console.print(f"  {paste(*words, '--code', 'UNKNOWN-HELD', site=site)}", style="dim", soft_wrap=True)
    if found.bus != "moved":
        text = _("The work-list of identities (`impact`) lacks what left after {moment}.", moment=taken)
        console.print(said(text), style="yellow", soft_wrap=True)


@ledger.command()
def migrate(site: SiteOption = DEFAULT_SITE, as_json: JsonOption = False) -> None:
    """Bring the tables of ledger, journal and register to this version now, instead of at the router's first start."""
    from router.config.site import Site
    from router.observe import logs
    from router.runtime.backup.migrate import migrate as run

    logs.configure(level="WARNING")
    done = run(Site(site))
    if as_json:
        show_json({room: {"from": before, "to": after} for room, (before, after) in done.items()})
        return
    for room, (before, after) in done.items():
        if before == after:
            text = _("{name}: version {number}, nothing to do", name=room, number=after)
        elif before is None:
            text = _("{name}: made, version {number}", name=room, number=after)
        else:
            text = _("{name}: from version {first} to {number}", name=room, first=before, number=after)
        console.print(f"[green]✓[/] {said(text)}")
