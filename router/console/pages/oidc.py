"""Logging in and out with the hospital's accounts: to the identity provider, and back.

They are links, never forms: a form whose answer leads to another site is stopped by our own headers.
"""

from __future__ import annotations

from typing import Final

from starlette.responses import RedirectResponse, Response

from router.access.faults import LoginRefused
from router.audit.event import Action
from router.console.oidc import KEPT, RETURN, Oidc
from router.console.page import NotHere, Page
from router.console.pages.login import again, inside, told
from router.console.rates import LOGIN_OF_SOURCE
from router.console.sessions import give_cookie
from router.console.visit import Visit
from router.language import N_

THERE: Final = "oidc_next"
ID_TOKEN: Final = "oidc_id_token"  # noqa: S105  (the name of a value)
END: Final = "oidc_end"


def leave(visit: Visit) -> Response:
    """To the provider. What proves the return stands in a session of its own, in which nobody has logged in yet."""
    oidc, there = _oidc(visit), inside(visit.asked("next"))
    if visit.person_or_none is not None:
        return visit.see_other(there)
    try:
        leaving = oidc.leave()
    except LoginRefused as fault:
        return _refused(visit, fault, there)
    values = {**leaving.values, THERE: there}
    secret = visit.tools.access.begin(None, visit.source, replaces=visit.cookie, values=values)
    return give_cookie(RedirectResponse(leaving.address, 303), secret, secure=visit.tools.secure)


def arrive(visit: Visit) -> Response:
    """Back from the provider: a new session for the person, in the place of the one that waited."""
    oidc, access = _oidc(visit), visit.tools.access
    try:
        kept = access.sessions.take(visit.cookie, *KEPT, THERE)
    except LoginRefused:  # no session, or one that has ended: the return proves nothing
        kept = {}
    there = inside(str(kept.get(THERE) or ""))
    try:
        arrived = oidc.arrive(dict(visit.query), kept)
        values = {ID_TOKEN: arrived.id_token or None}
        secret = access.begin(arrived.person, visit.source, local=False, replaces=visit.cookie, values=values)
    except LoginRefused as fault:
        return _refused(visit, fault, there)
    told(visit, arrived.person.name, Action.LOGIN)
    return give_cookie(visit.see_other(there), secret, secure=visit.tools.secure)


def end(visit: Visit) -> Response:
    """End the session at the provider too, once our own has ended."""
    try:
        kept = visit.tools.access.sessions.take(visit.cookie, END)
    except LoginRefused:
        kept = {}
    address = kept.get(END)
    return RedirectResponse(address, 303) if isinstance(address, str) else visit.see_other("/login")


def _oidc(visit: Visit) -> Oidc:
    """Raises `NotHere` on a site without an identity provider."""
    if visit.tools.oidc is None:
        raise NotHere
    return visit.tools.oidc


def _refused(visit: Visit, fault: LoginRefused, there: str) -> Response:
    told(visit, "?", Action.LOGIN, refused=fault.code)
    return again(visit, "", there, fault)


PAGES: Final = (
    Page(name="oidc", path="/login/oidc", title=N_("Log in"), show=leave, rate=LOGIN_OF_SOURCE, open=True),
    Page(name="oidc_return", path=RETURN, title=N_("Log in"), show=arrive, rate=LOGIN_OF_SOURCE, open=True),
    Page(name="oidc_end", path="/logout/oidc", title=N_("Log out"), show=end, rate=LOGIN_OF_SOURCE, open=True),
)
