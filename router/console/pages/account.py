"""A person's own account: where she is logged in, her password, her second factor, what she may do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from starlette.responses import Response

from router.access import totp
from router.access.faults import LoginRefused
from router.access.person import EVERY, Role
from router.audit.event import Action
from router.console.page import NotHere, Page
from router.console.sessions import give_cookie
from router.console.visit import ROLE_WORDS, Visit
from router.errors import OperatorFault
from router.language import N_, _, translated

SECRET: Final = "totp_secret"  # noqa: S105  (the name of a value)
"""The session's value that holds a second factor until its first code was given."""
TWICE: Final = N_("the two are not the same: nothing was done")


def show(visit: Visit) -> Response:
    return _shown(visit)


def act(visit: Visit) -> Response:
    """One of the forms of this page. The session must be one of a local account for what changes the account."""
    does = _DOES.get(visit.field("do"))
    if does is None:
        raise NotHere
    return does(visit)


# ------------------------------------------------------------------------------------------------------ sessions


def _end(visit: Visit) -> Response:
    """One of her other sessions, by its id."""
    if visit.tools.access.sessions.end_id(visit.person.id, visit.field("id")):
        _note(visit, "session end")
    return visit.see_other("/account")


def _end_others(visit: Visit) -> Response:
    if visit.tools.access.sessions.end_all(visit.person.id, but=visit.cookie):
        _note(visit, "sessions end")
    return visit.see_other("/account")


# ------------------------------------------------------------------------------------------------------- account


def _password(visit: Visit) -> Response:
    """Another password: the one of today is asked for, and every other session ends."""
    name, new = visit.person.name, _typed(visit, "new")
    if new != _typed(visit, "again"):
        return _shown(visit, {"again": _(TWICE)}, status=400)
    if (refused := _proven(visit)) is not None:
        return refused
    try:
        visit.tools.access.accounts.objection(name, new)
        _note(visit, "password")
        visit.tools.access.accounts.set_password(name, new, keep=visit.cookie)
    except OperatorFault as fault:
        return _shown(visit, {"new": translated(fault.text)}, status=400)
    return _renewed(visit)


def _begin(visit: Visit) -> Response:
    """A second factor is made; it counts once its first code was given.

    The password is asked for: who found an open session must not lock its owner out.
    """
    if (refused := _proven(visit)) is not None:
        return refused
    kept = visit.tools.access.accounts.totp_keys.closed(visit.person.name, totp.new_secret())
    visit.tools.access.sessions.put(visit.cookie, **{SECRET: kept})
    return visit.see_other("/account")


def _confirm(visit: Visit) -> Response:
    _local(visit)
    secret = _secret(visit)
    if secret is None:
        return visit.see_other("/account")
    try:
        totp.check(secret, visit.field("first"), visit.tools.clock.now())
    except OperatorFault as fault:
        return _shown(visit, {"first": translated(fault.text)}, status=400)
    _note(visit, "totp on")
    visit.tools.access.accounts.set_totp(visit.person.name, secret, visit.field("first"))
    return _renewed(visit, **{SECRET: None})


def _off(visit: Visit) -> Response:
    """Without a second factor again: the password and a code are asked for."""
    if (refused := _proven(visit)) is not None:
        return refused
    _note(visit, "totp off")
    visit.tools.access.accounts.remove_totp(visit.person.name)
    return _renewed(visit)


_DOES: Final[Mapping[str, Callable[[Visit], Response]]] = {
    "end": _end,
    "end-others": _end_others,
    "password": _password,
    "totp": _begin,
    "totp-confirm": _confirm,
    "totp-off": _off,
}

# -------------------------------------------------------------------------------------------------------- inside


def _local(visit: Visit) -> None:
    """Raises `NotHere` for a person of the identity provider: her password is not ours to change."""
    if visit.session is None or not visit.session.local:
        raise NotHere


def _proven(visit: Visit) -> Response | None:
    """None when she gave her password (and code) once more; else the page with what was wrong."""
    _local(visit)
    try:
        visit.tools.access.login(visit.person.name, _typed(visit, "current"), visit.field("code"))
    except LoginRefused as fault:
        visit.record(Action.ACCOUNT, kind="account", of=visit.person.name, refused=True, detail=fault.code)
        field = "code" if fault.code == "LOGIN-CODE" else "current"
        return _shown(visit, {field: translated(fault.text)}, status=429 if fault.wait else 403)
    return None


def _typed(visit: Visit, name: str) -> str:
    """A password as it was typed: blanks at its ends are part of it."""
    return next(iter(visit.form.get(name, ())), "")


def _renewed(visit: Visit, **values: None) -> Response:
    """Back to the page, under another value of the cookie."""
    secret = visit.tools.access.sessions.renew(visit.cookie, **values)
    return give_cookie(visit.see_other("/account"), secret, secure=visit.tools.secure)


def _secret(visit: Visit) -> str | None:
    """The key of a second factor whose first code is awaited."""
    kept = visit.session.values.get(SECRET) if visit.session is not None else None
    return visit.tools.access.accounts.totp_keys.opened(visit.person.name, kept) if isinstance(kept, str) else None


def _note(visit: Visit, what: str) -> None:
    visit.record(Action.ACCOUNT, kind="account", of=visit.person.name, detail=what)


def _shown(visit: Visit, faults: Mapping[str, str] | None = None, *, status: int = 200) -> Response:
    tools, person, session = visit.tools, visit.person, visit.session
    local = session is not None and session.local
    account = tools.access.accounts.find(person.name) if local else None
    secret = _secret(visit)
    return visit.page(
        "account.html",
        status=status,
        faults=dict(faults or {}),
        local=local,
        rights=[(_place(visit, finess), _(ROLE_WORDS[role])) for finess, role in sorted(person.rights.items())],
        sessions=tools.access.sessions.of(person.id),
        mine=session.id if session is not None else "",
        has_code=account is not None and account.totp,
        secret=secret if isinstance(secret, str) else "",
        address=totp.address(person.name, secret) if isinstance(secret, str) else "",
    )


def _place(visit: Visit, finess: str) -> str:
    if finess == EVERY:
        return _("all structures")
    named = visit.tools.services.config.structures.get(finess)
    return f"{named.name} ({finess})" if named is not None else finess


PAGES: Final = (
    Page(
        name="account",
        path="/account",
        title=N_("My account"),
        question=N_("Where am I logged in, and what may I do?"),
        show=show,
        act=act,
        does=tuple(_DOES),
        role=Role.READER,
        act_rate="20/minute",
    ),
)
