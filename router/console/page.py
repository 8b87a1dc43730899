"""A page of the console: one declaration says its address, menu entry, keys, help, role and rate.

A module of `router.console.pages` has a tuple `PAGES`; nothing else names it. What a handler gets is a `Visit`, what it
returns is a response: `visit.page("name.html", …)` or `visit.see_other("/address")`. A handler is plain code: it runs
in a thread of its own and may wait for a database.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from router.access.person import Role

Handler = Callable[[Any], Response]
"""Takes a `router.console.visit.Visit`.

Raises `NotHere` for what does not exist or is another structure's, `NotAllowed` for what the role does not give.
"""


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a page: a single letter, or a name of `KeyboardEvent.key`. `target`: what it follows or focuses.

    target: a CSS selector of a link, a button or a field; "" when the script itself knows the key (`j`, `k`, `Enter`)
    """

    key: str
    does: str
    target: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """name: of the route, unique;  path: in the form of starlette (`/messages/{id}`)
    title, menu, question: marked texts; `menu` "" for a page without an entry; `question`: what the page answers
    letter: `g` then this letter goes there;  rank: place in the menu
    show, act: GET and POST;  role: least role in any structure for `show`, act_role for `act`
    does: values of the field `do` of its forms: with any other the answer is 404; () when it has one form only
    rate, act_rate: limits of one person, in the words of `limits` ("60/minute"); "" for none
    open: whether it answers without a session
    """

    name: str
    path: str
    title: str
    question: str = ""
    menu: str = ""
    letter: str = ""
    rank: int = 0
    show: Handler | None = None
    act: Handler | None = None
    does: tuple[str, ...] = ()
    role: Role = Role.READER
    act_role: Role = Role.READER
    rate: str = ""
    act_rate: str = "60/minute"
    keys: tuple[Key, ...] = ()
    open: bool = False

    @property
    def ways(self) -> tuple[str, ...]:
        """All that can be asked of it: `GET /audit`, `POST /audit verify`. An operation of the API names them."""
        shown = (f"GET {self.path}",) if self.show is not None else ()
        acts = tuple(f"POST {self.path} {one}".rstrip() for one in self.does or ("",))
        return shown + (acts if self.act is not None else ())


class NotHere(LookupError):
    """It does not exist, or it belongs to a structure that this person may not see: the answer is the same."""


class NotAllowed(PermissionError):
    """The person's role does not give this."""
