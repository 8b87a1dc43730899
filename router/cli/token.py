"""`segur-router token`: tokens with which programs ask the API, or send messages by HTTP."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from router.audit.event import Action
from router.cli import audited
from router.cli.access import granted, opened, told
from router.cli.free_text import unnamed
from router.cli.output import console, fail, said, show_json
from router.cli.site import DEFAULT_SITE, JsonOption, SiteOption
from router.cli.times import ago, moment
from router.config.account import account
from router.language import _
from router.terminal.rows import Rows

if TYPE_CHECKING:
    from router.access.tokens import Token
    from router.runtime.site_services import SiteServices

commands = typer.Typer(no_args_is_help=True, help="Tokens of programs: for the API, and to send messages by HTTP.")
_LASTING: Final = re.compile(r"(\d{1,4})\s*([dwj])")
_DAYS: Final = {"d": 1, "j": 1, "w": 7}


def add_to(app: typer.Typer) -> None:
    app.add_typer(commands, name="token")


@commands.command()
def create(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="What it is for, as the audit will name it.", callback=unnamed)
    ],
    scope: Annotated[
        list[str],
        typer.Option(
            "--scope",
            metavar="SCOPE",
            help="feed:send, api:read, api:content, api:act, api:administer; several times for several.",
        ),
    ],
    site: SiteOption = DEFAULT_SITE,
    expires: Annotated[
        str, typer.Option(metavar="TIME", help="How long it lives: 90d, 52w. Two years at most.")
    ] = "365d",
    feed: Annotated[
        list[str] | None, typer.Option("--feed", metavar="NAME", help="To which feeds it may send.")
    ] = None,
    right: Annotated[
        list[str] | None,
        typer.Option("--right", "-r", metavar="FINESS=ROLE", help="For the API: its role in a structure; `*` for all."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token. It is shown once: what is kept of it gives no access."""
    from router.access.rights import checked_name
    from router.runtime import grants

    with opened(site, changes=Action.TOKEN) as (services, store):
        held, lasting = granted(services, right or []), _seconds(expires)
        grants.usable(grants.known(services.config), scope, feed or [], held)
        ends = services.clock.now() + lasting
        store.tokens.check(name, scopes=scope, expires=ends, feeds=feed or [])
        named = checked_name(name)
        _audit(services, named, f"create {' '.join(scope)} {' '.join(feed or [])} {told(held)}")
        text, made = store.tokens.create(
            named,
            scopes=scope,
            expires=ends,
            by=account(),
            rights=held,
            feeds=feed or [],
        )
    if as_json:
        show_json(_json(made) | {"token": text})
        return
    console.print(_("Keep it now: it is never shown again."), style="yellow")
    console.print(text, markup=False, soft_wrap=True)
    until = _("id {id}, until {moment}; sent as `Authorization: Bearer …`", id=made.id, moment=moment(made.expires))
    console.print(said(until), style="dim")


@commands.command("ls")
def list_(
    site: SiteOption = DEFAULT_SITE,
    all_: Annotated[bool, typer.Option("--all", help="Also those that are revoked or at their end.")] = False,
    as_json: JsonOption = False,
) -> None:
    """The tokens in use: what each may, until when, when it was last used."""
    with opened(site) as (services, store):
        now = services.clock.now()
        tokens = [one for one in store.tokens.all() if all_ or one.valid(now)]
    if as_json:
        show_json([_json(one) for one in tokens])
        return
    if not tokens:
        console.print(_("no token in use"), style="dim")
        return
    rows = Rows("Id", _("Name"), _("Scopes"), _("Feeds"), _("Rights"), _("State"), _("Last use"))
    for one in tokens:
        last = ago(one.last_used, now) if one.last_used else _("never")
        scopes, feeds = " ".join(sorted(one.scopes)), " ".join(sorted(one.feeds))
        rows.add(*map(said, (one.id, one.name, scopes, feeds or "-", told(one.rights), _state(one, now), last)))
    rows.show(console)


@commands.command()
def revoke(
    id_: Annotated[str, typer.Argument(metavar="ID", help="As `token ls` shows it.")],
    site: SiteOption = DEFAULT_SITE,
) -> None:
    """End a token now. Messages by HTTP are refused with it some seconds later at most."""
    with opened(site, changes=Action.TOKEN) as (services, store):
        found = next((one for one in store.tokens.all() if one.id == id_ and not one.revoked), None)
        if found is None:
            fail(_("no token in use has the id {id}: `segur-router token ls` shows them", id=repr(id_)))
        _audit(services, found.name, f"revoke {found.id}")
        store.tokens.revoke(found.id)
    console.print(said(_("token {id} ({name}) is revoked", id=found.id, name=found.name)), style="yellow")


def _seconds(text: str) -> float:
    """`90d`, `90j`, `52w`. Fails with a sentence."""
    found = _LASTING.fullmatch(text.strip().lower())
    if found is None:
        fail(_("{text} is no time that a token lives: write 90d or 52w", text=repr(text)))
    return int(found[1]) * _DAYS[found[2]] * 86400.0


def _audit(services: SiteServices, name: str, what: str) -> None:
    """Written before it is done: when the audit is away, nothing is done."""
    audited.record(services, Action.TOKEN, "token", [name], detail=" ".join(what.split()))


def _state(one: Token, now: float) -> str:
    if one.revoked:
        return _("revoked {moment}", moment=moment(one.revoked))
    if one.maker_may is None:
        return _("over: its maker is gone or locked")
    if not one.valid(now):
        return _("ended {moment}", moment=moment(one.expires))
    return _("until {moment}", moment=moment(one.expires))


def _json(one: Token) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "scopes": sorted(one.scopes),
        "feeds": sorted(one.feeds),
        "rights": {finess: role.name.lower() for finess, role in one.rights.items()},
        "created": one.created,
        "created_by": one.created_by,
        "expires": one.expires,
        "revoked": one.revoked or None,
        "last_used": one.last_used or None,
    }
