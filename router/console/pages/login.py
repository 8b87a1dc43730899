"""Logging in and out. A page that was asked for before is shown after."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from router.access.person import Person
from router.audit.event import Action, AuditEvent
from router.console.page import Page
from router.console.people import NotLetIn
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
    try:
        secret, person = visit.tools.people.login(
            name, visit.form.get("password", [""])[0], visit.field("code"), source=visit.source
        )
    except NotLetIn as fault:
        return _again(visit, name, there, translated(fault.text), 403)
    _told(visit, person, Action.LOGIN)
    return give_cookie(visit.see_other(there), secret, secure=visit.tools.secure)


def leave(visit: Visit) -> Response:
    """End the session; what it had opened is hidden."""
    visit.tools.people.logout(visit.session)
    visit.tools.store.shut(visit.session)
    _told(visit, visit.person, Action.LOGOUT)
    return take_cookie(visit.see_other("/login"), secure=visit.tools.secure)


def _again(visit: Visit, name: str, there: str, fault: str, status: int) -> Response:
    return visit.page("login.html", status=status, next=there, name=name, fault=fault)


def _told(visit: Visit, person: Person, action: Action) -> None:
    event = AuditEvent(at=visit.tools.clock.now(), who=person.name, action=action, source=visit.source)
    visit.tools.record(event)


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
