"""`segur-router access`: local accounts of the console."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from router.audit.event import Action
from router.cli import audited, rights
from router.cli.output import Exit, confirm, console, fail, said, show_json
from router.cli.site import DEFAULT_SITE, JsonOption, SiteOption, open_site
from router.cli.times import ago, moment
from router.errors import OperatorFault
from router.language import _, translated
from router.terminal.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.access.accounts import Account
    from router.access.person import Role
    from router.access.store import AccessStore
    from router.runtime.site_services import SiteServices

commands = typer.Typer(no_args_is_help=True, help="Local accounts of the console: who may see and do what.")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the account, as it is typed at login.")]
RightOption = Annotated[
    list[str],
    typer.Option(
        "--right", "-r", metavar="FINESS=ROLE", help="reader, operator or administrator in a structure; `*` for all."
    ),
]


def add_to(app: typer.Typer) -> None:
    app.add_typer(commands, name="access")


@contextmanager
def opened(site: Path, *, changes: Action | None = None) -> Iterator[tuple[SiteServices, AccessStore]]:
    """The site and its store. changes: what is about to be done, for which one must be an administrator."""
    with open_site(site) as services:
        if changes is not None:
            rights.need_administrator(services, changes, "account" if changes is Action.ACCOUNT else "token")
        try:
            yield services, services.access
        except OperatorFault as fault:
            if not fault.code.startswith("ACCESS-"):
                raise
            fail(translated(fault.text))


def granted(services: SiteServices, pairs: list[str]) -> Mapping[str, Role]:
    """Rights from `FINESS=ROLE`. Raises `OperatorFault` for a structure that the site has not."""
    from router.runtime import grants

    split = [(finess.strip(), role) for finess, _sign, role in (pair.partition("=") for pair in pairs)]
    return grants.rights(grants.known(services.config), split)


def told(held: Mapping[str, Role]) -> str:
    """Rights as they are typed."""
    from router.access.rights import typed

    return typed(held) or "-"


@commands.command("ls")
def list_(site: SiteOption = DEFAULT_SITE, as_json: JsonOption = False) -> None:
    """Every account: rights, second factor, locked or waiting, last login."""
    with opened(site) as (services, store):
        accounts, now = store.accounts.all(), services.clock.now()
    if as_json:
        show_json([_json(one) for one in accounts])
        return
    if not accounts:
        console.print(_("no account yet: `segur-router access add NAME --right '*=administrator'`"), style="dim")
        return
    rows = Rows(_("Name"), _("Shown as"), _("Rights"), _("Code"), _("State"), _("Last login"))
    for one in accounts:
        last = ago(one.last_login, now) if one.last_login else _("never")
        cells = (one.name, one.shown, told(one.rights), _("yes") if one.totp else _("no"), _state(one), last)
        rows.add(*map(said, cells))
    rows.show(console)


@commands.command()
def add(
    name: NameArgument,
    right: RightOption,
    site: SiteOption = DEFAULT_SITE,
    shown: Annotated[str, typer.Option(metavar="TEXT", help="As other people know her.")] = "",
    stdin: Annotated[bool, typer.Option("--stdin", help="Read the password from the standard input.")] = False,
) -> None:
    """Make an account. The password is asked for twice, without showing it."""
    from router.access.rights import checked_name

    with opened(site, changes=Action.ACCOUNT) as (services, store):
        held = granted(services, right)
        if store.accounts.find(checked_name(name)) is not None:
            fail(_("an account is named {name} already", name=repr(name)), Exit.BAD)
        password = _password(name, stdin=stdin)
        _audit(services, name, f"add {told(held)}")
        made = store.accounts.add(name, password, held, shown=shown)
    console.print(said(_("account {name}: {rights}", name=made.name, rights=told(held))), style="green")


@commands.command("rights")
def rights_(name: NameArgument, right: RightOption, site: SiteOption = DEFAULT_SITE) -> None:
    """Give these rights in place of those it has. Open sessions have them at their next page."""
    with opened(site, changes=Action.ACCOUNT) as (services, store):
        held = granted(services, right)
        _known(store, name)
        _audit(services, name, f"rights {told(held)}")
        store.accounts.set_rights(name, held)
    console.print(said(_("account {name}: {rights}", name=name, rights=told(held))), style="green")


@commands.command()
def password(
    name: NameArgument,
    site: SiteOption = DEFAULT_SITE,
    stdin: Annotated[bool, typer.Option("--stdin", help="Read the password from the standard input.")] = False,
) -> None:
    """Give another password; its open sessions end."""
    with opened(site, changes=Action.ACCOUNT) as (services, store):
        _known(store, name)
        new = _password(name, stdin=stdin)
        _audit(services, name, "password")
        store.accounts.set_password(name, new)
    console.print(said(_("{name} has another password, and logs in again", name=name)), style="green")


@commands.command()
def totp(
    name: NameArgument,
    site: SiteOption = DEFAULT_SITE,
    off: Annotated[
        bool, typer.Option("--off", help="Take the second factor away (a telephone that was lost).")
    ] = False,
) -> None:
    """Ask for a code of an authenticator at login, besides the password."""
    from router.access import totp as codes

    with opened(site, changes=Action.ACCOUNT) as (services, store):
        account = _known(store, name)
        if off:
            _audit(services, name, "totp off")
            store.accounts.remove_totp(name)
            console.print(said(_("{name} logs in with the password alone", name=name)), style="yellow")
            return
        secret = codes.new_secret()
        console.print(_("Type this key into the authenticator, or give it the address below:"))
        console.print(f"  [bold]{' '.join(secret[i : i + 4] for i in range(0, len(secret), 4))}[/]")
        console.print(f"  {said(codes.address(account.name, secret))}", soft_wrap=True)
        console.print(_("Its code:") + " ", end="")
        code = sys.stdin.readline().strip()
        codes.check(secret, code, services.clock.now())
        _audit(services, name, "totp on")
        store.accounts.set_totp(name, secret, code)
    console.print(said(_("{name} gives a code at each login from now on", name=name)), style="green")


@commands.command()
def lock(name: NameArgument, site: SiteOption = DEFAULT_SITE) -> None:
    """Refuse logins from now on, and end the open sessions."""
    with opened(site, changes=Action.ACCOUNT) as (services, store):
        _known(store, name)
        _audit(services, name, "lock")
        store.accounts.lock(name)
    console.print(said(_("{name} is locked", name=name)), style="yellow")


@commands.command()
def unlock(name: NameArgument, site: SiteOption = DEFAULT_SITE) -> None:
    """Undo `lock`; also end the wait after failed logins."""
    with opened(site, changes=Action.ACCOUNT) as (services, store):
        _known(store, name)
        _audit(services, name, "unlock")
        store.accounts.unlock(name)
    console.print(said(_("{name} may log in", name=name)), style="green")


@commands.command()
def remove(
    name: NameArgument,
    site: SiteOption = DEFAULT_SITE,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove an account and end its sessions. What it did stays in the audit."""
    with opened(site, changes=Action.ACCOUNT) as (services, store):
        _known(store, name)
        if not yes:
            confirm(_("Remove {name}?", name=repr(name)))
        _audit(services, name, "remove")
        store.accounts.remove(name)
    console.print(said(_("{name} is removed", name=name)), style="yellow")


def _known(store: AccessStore, name: str) -> Account:
    """The account. Fails with those that there are."""
    if (found := store.accounts.find(name)) is None:
        known = ", ".join(one.name for one in store.accounts.all()) or "-"
        fail(_("no account is named {name} (there are: {known})", name=repr(name), known=known), Exit.BAD)
    return found


def _password(name: str, *, stdin: bool) -> str:
    """A password that can be taken, from the keyboard without echo or from the standard input."""
    from router.access import passwords

    if stdin or not sys.stdin.isatty():
        given = sys.stdin.readline().rstrip("\r\n")
    else:
        given = getpass.getpass(_("Password:") + " ")
        if given != getpass.getpass(_("Once more:") + " "):
            fail(_("the two are not the same: nothing was done"), Exit.BAD)
    passwords.check(given, name)
    return given


def _audit(services: SiteServices, name: str, what: str) -> None:
    """Written before it is done: when the audit is away, nothing is done."""
    from router.access.rights import folded

    audited.record(services, Action.ACCOUNT, "account", [folded(name)], detail=what)


def _state(one: Account) -> str:
    if one.locked:
        return _("locked")
    return _("waits until {moment}", moment=moment(one.waits)) if one.waits else ""


def _json(one: Account) -> dict[str, Any]:
    return {
        "name": one.name,
        "shown": one.shown,
        "rights": {finess: role.name.lower() for finess, role in one.rights.items()},
        "totp": one.totp,
        "locked": one.locked,
        "waits_until": one.waits or None,
        "demo": one.demo,
        "created": one.created,
        "last_login": one.last_login or None,
    }
