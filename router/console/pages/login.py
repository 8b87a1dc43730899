"""Logging in and out. A page that was asked for before is shown after."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from router.access.faults import LoginRefused
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
        return visit.see_other(_there(visit.asked("next")))
    return visit.page("login.html", next=_there(visit.asked("next")), name="", fault="")


def enter(visit: Visit) -> Response:
    """A new session, and on to the page that was asked for; else the form with its fault, and the name kept."""
    name, there = visit.field("name"), _there(visit.field("next"))
    if not visit.rates.login(name, visit.source):
        return _again(visit, name, there, _("Too many tries: wait five minutes."), 429)
    access = visit.tools.access
    try:
        person = access.login(name, next(iter(visit.form.get("password", ())), ""), visit.field("code"))
    except LoginRefused as fault:
        _told(visit, "?", Action.LOGIN, refused=fault.code)
        return _again(visit, name, there, translated(fault.text), 429 if fault.wait else 403)
    _told(visit, person.name, Action.LOGIN)
    secret = access.begin(person, visit.source, replaces=visit.cookie)
    return give_cookie(visit.see_other(there), secret, secure=visit.tools.secure)


def leave(visit: Visit) -> Response:
    """End the session; what it had opened is hidden with it."""
    visit.tools.access.end(visit.cookie)
    _told(visit, visit.person.name, Action.LOGOUT)
    return take_cookie(visit.see_other("/login"), secure=visit.tools.secure)


def _again(visit: Visit, name: str, there: str, fault: str, status: int) -> Response:
    return visit.page("login.html", status=status, next=there, name=name, fault=fault)


def _told(visit: Visit, who: str, action: Action, *, refused: str = "") -> None:
    """`?` for a name that was refused: people type passwords into the field of the name."""
    now = visit.tools.clock.now()
    visit.tools.record(
        AuditEvent(at=now, who=who, action=action, source=visit.source, refused=bool(refused), detail=refused)
    )


def _there(address: str) -> str:
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
