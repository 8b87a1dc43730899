"""`segur-router keys`: the data keys of this site, and the master keys that wrap them."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from router.cli import audited, rights
from router.cli.output import Exit, console, fail, said, show_json
from router.cli.site import DEFAULT_SITE, JsonOption, SiteOption, open_site, paste
from router.cli.times import moment
from router.language import _, plural

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.runtime.site_services import SiteServices
    from router.sealing.keyring import Keyring, State

commands = typer.Typer(no_args_is_help=True, help="Keys that seal what stands on the disk: status, rotate.")


def add_to(app: typer.Typer) -> None:
    app.add_typer(commands, name="keys")


@commands.command()
def status(site: SiteOption = DEFAULT_SITE, as_json: JsonOption = False) -> None:
    """Show data keys, master keys, and what a rotation still has to do. Ends with 1 when keys can't be opened."""
    with _keyring(site) as (keyring, _services):
        found = keyring.state()
        told = _told(found)
    if as_json:
        show_json(told)
    else:
        _show(found, site)
    raise typer.Exit(Exit.BAD if found.unreadable else Exit.GOOD)


@commands.command()
def rotate(
    site: SiteOption = DEFAULT_SITE,
    retire: Annotated[
        bool,
        typer.Option("--retire", help="Then remove the wraps of every other master key: it opens nothing more."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Wrap every data key under `encryption.master_key`, while the router works. What is sealed is not touched.

    First name the new master key there and the old one in `encryption.earlier`. When every process has been restarted,
    or a day has passed, come again with --retire, and take the old one out of the site file.
    """
    from router.audit.event import Action

    with _keyring(site) as (keyring, services):
        rights.need_administrator(services, Action.DECIDED, "master-key")
        changed = keyring.rotate()
        retired = list(keyring.retire()) if retire else []
        found = keyring.state()
        if changed or retired:
            told = f"wrapped={changed} retired={','.join(retired)}"
            audited.record(services, Action.DECIDED, "master-key", [found.writes], detail=told)
    if as_json:
        show_json({"wrapped": changed, "retired": retired, **_told(found)})
        return
    console.print(
        plural(
            "{count} data key wrapped under {name}",
            "{count} data keys wrapped under {name}",
            changed,
            name=said(found.writes),
        )
    )
    for name in retired:
        console.print(_("{name} opens nothing more: take it out of `encryption.earlier`", name=said(name)))
    if not retired and set(found.by_master) - {found.writes}:
        console.print(_("old wraps stay until {command}", command=paste("keys", "rotate", "--retire", site=site)))


@contextmanager
def _keyring(site: Path) -> Iterator[tuple[Keyring, SiteServices]]:
    with open_site(site) as services:
        keyring = services.keyring
        if keyring is None:
            fail(_("this site seals nothing: `encryption` is not in the site file"))
        yield keyring, services


def _told(found: State) -> dict[str, Any]:
    return {
        "keys": found.keys,
        "newest": found.newest,
        "writes": found.writes,
        "reads": list(found.reads),
        "by_master": dict(found.by_master),
        "retired": list(found.retired),
        "lacking": found.lacking,
        "unreadable": found.unreadable,
        "unreadable_between": list(found.lost) if found.lost else None,
    }


def _show(found: State, site: Path) -> None:
    console.print(plural("{count} data key", "{count} data keys", found.keys))
    if found.newest is not None:
        console.print("  " + _("the newest was made on {day}", day=moment(found.newest)), style="dim")
    for name in sorted({*found.by_master, *found.reads}):
        count = found.by_master.get(name, 0)
        roles = [_("wraps new data keys")] if name == found.writes else []
        roles += [] if name in found.reads else [_("not in the site file")]
        wraps = plural("opens {count} data key", "opens {count} data keys", count)
        console.print(f"  {said(name):14} {', '.join([wraps, *roles])}")
    for name in found.retired:
        console.print(f"  {said(name):14} {_('retired')}", style="dim")
    if found.lacking:
        lacking = plural("{count} data key lacks", "{count} data keys lack", found.lacking)
        todo = _("a wrap of the master key: {command}", command=paste("keys", "rotate", site=site))
        console.print(f"[yellow]▲[/] {lacking} {todo}")
    if found.unreadable and found.lost is not None:
        sentence = plural(
            "no master key here opens {count} data key, made from {first} to {last}: what it sealed can't be read",
            "no master key here opens {count} data keys, made from {first} to {last}: what they sealed can't be read",
            found.unreadable,
            first=moment(found.lost[0]),
            last=moment(found.lost[1]),
        )
        console.print(f"[red]✕[/] {sentence}")
    else:
        console.print(f"[green]✓[/] {_('every data key can be opened')}")
