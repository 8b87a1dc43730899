"""Logging in and out. A page that was asked for before is shown after."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from router.access.faults import CodeNeeded, LoginRefused
from router.audit.event import Action, AuditEvent
from router.console.page import Page
from router.console.rates import LOGIN_OF_SOURCE
from router.console.sessions import give_cookie, take_cookie
from router.console.visit import Visit
from router.language import N_, _, translated

_HOME: Final = "/"


def login(visit: Visit) -> Response:
    """The form; somebody who has a session goes on."""
    if visit.person_or_none is not None:
        return visit.see_other(inside(visit.asked("next")))
    return _form(visit, inside(visit.asked("next")))


def enter(visit: Visit) -> Response:
    """A new session, and on to the page that was asked for; else the form with its fault, and the name kept."""
    name, there = visit.field("name"), inside(visit.field("next"))
    if not visit.rates.login(name, visit.source):
        return _form(visit, there, name=name, fault=_("Too many tries: wait five minutes."), status=429)
    access = visit.tools.access
    try:
        person = access.login(name, next(iter(visit.form.get("password", ())), ""), visit.field("code"))
    except LoginRefused as fault:
        told(visit, "?", Action.LOGIN, refused=fault.code)
        return again(visit, name, there, fault)
    told(visit, person.name, Action.LOGIN)
    secret = access.begin(person, visit.source, replaces=visit.cookie)
    return give_cookie(visit.see_other(there), secret, secure=visit.tools.secure)


def leave(visit: Visit) -> Response:
    """End the session; what it had opened is hidden with it. The provider's own session is ended by a link."""
    tools, session = visit.tools, visit.session
    told(visit, visit.person.name, Action.LOGOUT)
    address = None
    if tools.oidc is not None and session is not None and not session.local:
        address = tools.oidc.logout_address(str(session.values.get("oidc_id_token") or ""))
    tools.access.end(visit.cookie)
    if address is None:
        return take_cookie(visit.see_other("/login"), secure=tools.secure)
    secret = tools.access.begin(None, visit.source, values={"oidc_end": address})
    return give_cookie(visit.see_other("/login"), secret, secure=tools.secure)


def again(visit: Visit, name: str, there: str, fault: LoginRefused) -> Response:
    """The form with what was wrong; the name is kept, the password never."""
    asks_code = isinstance(fault, CodeNeeded)
    status = 429 if fault.wait else 503 if fault.code == "LOGIN-IDP-AWAY" else 403
    return _form(visit, there, name=name, fault=translated(fault.text), status=status, asks_code=asks_code)


def _form(
    visit: Visit, there: str, *, name: str = "", fault: str = "", status: int = 200, asks_code: bool = False
) -> Response:
    leads = visit.tools.oidc is not None
    ends = visit.session is not None and "oidc_end" in visit.session.values
    return visit.page(
        "login.html",
        status=status,
        next=there,
        name=name,
        fault=fault,
        asks_code=asks_code,
        provider=leads,
        ends=ends,
    )


def told(visit: Visit, who: str, action: Action, *, refused: str = "") -> None:
    """`?` for a name that was refused: people type passwords into the field of the name."""
    now = visit.tools.clock.now()
    visit.tools.record(
        AuditEvent(at=now, who=who, action=action, source=visit.source, refused=bool(refused), detail=refused)
    )


def inside(address: str) -> str:
    """A path of ours to go on with; never another site (`//host`, `/\\host`)."""
    inside = address.startswith("/") and not address.startswith(("//", "/\\", "/login", "/logout"))
    return address if inside and address.isprintable() and "\\" not in address else _HOME


PAGES: Final = (
    Page(
        name="login",
        path="/login",
        title=N_("Log in"),
        show=login,
        act=enter,
        act_rate=LOGIN_OF_SOURCE,
        open=True,
    ),
    Page(name="logout", path="/logout", title=N_("Log out"), act=leave),
)
