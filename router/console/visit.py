"""One request of one person: what a page's handler works with."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from router.access.person import Person, Role
from router.access.sessions import Session
from router.audit.event import Action, AuditEvent
from router.console import rendering, waits, words
from router.console.choices import Choices
from router.console.orders import Order
from router.console.page import Key, NotAllowed, NotHere, Page
from router.console.rates import Rates
from router.console.registry import menu
from router.console.tools import ConsoleTools
from router.errors import Unavailable
from router.language import N_, _, plural
from router.runtime.status.views import Attention, Status

IDLE_SECONDS: Final = 300
"""After so long without a sign of life the script hides what a reason opened."""
#: Keys that every page has; a page's own come before them.
KEYS: Final = (
    Key("/", N_("go to the search box"), "#box"),
    Key("?", N_("show or hide the keys of this page")),
    Key("Escape", N_("close, or leave a field")),
)
ROLE_WORDS: Final = {Role.READER: N_("reader"), Role.OPERATOR: N_("operator"), Role.ADMINISTRATOR: N_("administrator")}
Form = Mapping[str, Sequence[str]]


@dataclass(kw_only=True)
class Visit:
    """request, page_asked: what was asked;  form: fields of a POST, by name
    cookie: the secret of the session, "" for none: never shown;  session: None when it has ended, or there is none
    """

    request: Request
    page_asked: Page
    tools: ConsoleTools
    rates: Rates
    session: Session | None
    cookie: str = field(default="", repr=False)
    program: Person | None = None
    """What an API token stands for, in the place of a session."""
    form: Form = field(default_factory=dict, repr=False)
    choices: Choices = field(default_factory=Choices)
    began: float = field(default_factory=time.perf_counter)
    took: float | None = None
    """Seconds of the page's own query, when it measured one."""
    _asked_for: set[str] = field(default_factory=set, init=False, repr=False)
    """Pseudonyms of the patients that the audit has from this request."""

    # ------------------------------------------------------------------------------------------------- asked

    @property
    def person_or_none(self) -> Person | None:
        if self.program is not None:
            return self.program
        return self.session.person if self.session is not None else None

    @property
    def person(self) -> Person:
        """Who asks. Raises `NotAllowed` without a session."""
        if self.person_or_none is None:
            raise NotAllowed
        return self.person_or_none

    @property
    def query(self) -> QueryParams:
        return self.request.query_params

    @property
    def path(self) -> Mapping[str, str]:
        """Parts of the address, by name: those in braces in `Page.path`."""
        return self.request.path_params

    def asked(self, name: str, default: str = "") -> str:
        """A parameter of the address, without blanks around it."""
        return self.query.get(name, default).strip()

    def field(self, name: str, default: str = "") -> str:
        """A field of the form that was sent, without blanks around it; the first, when there are several."""
        return next(iter(self.form.get(name, ())), default).strip()

    def fields(self, name: str) -> tuple[str, ...]:
        """All fields of that name: of checkboxes."""
        return tuple(self.form.get(name, ()))

    @property
    def source(self) -> str:
        return self.request.client.host if self.request.client else ""

    @cached_property
    def structures(self) -> frozenset[str] | None:
        """FINESS numbers whose things this person may see; None for all, those of no structure too."""
        return self.person.structures(Role.READER)

    @cached_property
    def waiting_orders(self) -> list[Order]:
        """Orders that wait for a person, of the structures that this one sees; none while the database is away."""
        try:
            return self.tools.store.orders.waiting(self.structures)
        except Unavailable:  # the frame of each page asks, also that which says so
            return []

    # ------------------------------------------------------------------------------------------------ rights

    def demand(self, role: Role, structure: str) -> None:
        """Raises `NotHere` when the person sees nothing of this structure, `NotAllowed` when the role is too low."""
        if not self.person.may(Role.READER, structure):
            raise NotHere
        if not self.person.may(role, structure):
            raise NotAllowed

    def may(self, role: Role, structure: str | None = None) -> bool:
        """Whether the person has this role there; anywhere when no structure is named."""
        if self.person_or_none is None:
            return False
        if structure is not None:
            return self.person.may(role, structure)
        held = self.person.structures(role)
        return held is None or bool(held)

    def operates(self, structure: str) -> bool:
        """Whether the person may replay and discard there."""
        return self.may(Role.OPERATOR, structure)

    @property
    def role_words(self) -> str:
        """The highest role anywhere, in the language of the page."""
        held = [role for role in Role if self.may(role)]
        return _(ROLE_WORDS[held[-1]]) if held else ""

    def record(
        self,
        action: Action,
        *,
        kind: str = "",
        of: str = "",
        structure: str = "",
        reason: str = "",
        refused: bool = False,
        detail: str = "",
    ) -> None:
        """Write the audit's line for what this person does. It is durable when this returns; raises `Unavailable`."""
        event = self.audited(action, structure, reason)
        self.tools.record(replace(event, kind=kind, object=of, refused=refused, detail=detail))

    def record_each(
        self, details: Mapping[str, str], action: Action, *, kind: str, of: str = "", reason: str = ""
    ) -> None:
        """`record` once for each structure (FINESS -> detail): whoever administers one reads of it there.

        Without any, of the structures that the person sees; "" alone for who sees all.
        """
        if not details:
            details = dict.fromkeys(self.structures or ("",), "0")
        for structure, detail in sorted(details.items()):
            self.record(action, kind=kind, of=of, structure=structure, reason=reason, detail=detail)

    def searches_patient(self, pseudonyms: str) -> None:
        """The person asks for this patient (`ps_…`): once a request, in the audit of each structure that she sees."""
        if (asked := set(pseudonyms.removeprefix("ps_").split("-"))) <= self._asked_for:
            return
        self.record_each(dict.fromkeys(self.structures or ("",), ""), Action.SEARCHED, kind="patient", of=pseudonyms)
        self._asked_for |= asked

    def audited(self, action: Action, structure: str, reason: str = "") -> AuditEvent:
        """The beginning of a line of the audit: this person does that now, about something of this structure."""
        return AuditEvent(
            at=self.tools.clock.now(),
            who=self.person.name,
            action=action,
            role=self.person.role_in(structure),
            structure=structure,
            reason=reason,
            source=self.source,
        )

    def attention(self, found: Status | None) -> list[Attention]:
        """What waits for a person, of the structures that this one sees. found: None before the first look."""
        config, mine = self.tools.services.config, self.structures
        known = words.attention(found, config, mine) if found is not None else []
        return [*known, *waits.of(self.tools, mine), *map(waits.order, self.waiting_orders)]

    # ----------------------------------------------------------------------------------------------- answers

    @property
    def token(self) -> str:
        """Of this session's forms."""
        return self.session.csrf if self.session is not None else ""

    def page(
        self, template: str, /, *, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any
    ) -> Response:
        """The page made of a template of `templates/`, in the frame of all pages."""
        html = rendering.rendered(template, {**self._frame(), **values})
        return HTMLResponse(html, status_code=status, headers=dict(headers or {}))

    def see_other(self, address: str, **query: str) -> Response:
        """After a form: go on there (303). `address`: a path of ours."""
        there = f"{address}?{urlencode(query)}" if query else address
        return RedirectResponse(there, status_code=303)

    def _frame(self) -> dict[str, Any]:
        """What the frame needs on each page."""
        config = self.tools.services.config
        inside = self.person_or_none is not None
        return {
            "visit": self,
            "page": self.page_asked,
            "person": self.person_or_none,
            "menu": tuple(one for one in menu() if self.may(one.role)) if inside else (),
            "keys": (*self.page_asked.keys, *KEYS),
            "choices": self.choices,
            "token": self.token,
            "nonce": self.request.state.nonce,
            "site_name": config.environment,
            "structure_name": self._structure_name() if inside else "",
            "alerts": len(self.attention(self.tools.watch.known())) if inside else 0,
            "now": self.tools.clock.now(),
            "idle_seconds": IDLE_SECONDS,
        }

    def _structure_name(self) -> str:
        """The structure's name when the person sees one alone; how many otherwise."""
        config, seen = self.tools.services.config, self.structures
        mine = [number for number in config.structures if seen is None or number in seen]
        if len(mine) == 1:
            return config.structures[mine[0]].name
        return plural("{count} structure", "{count} structures", len(mine))
