"""State of the site: is anything wrong now?"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pydantic import Field

from router.access.tokens import API_READ
from router.console import state_view
from router.console.api.operation import Input, Operation, Output, moment
from router.console.visit import Visit
from router.errors import Unavailable
from router.language import N_, _, translated


class NoInput(Input):
    """Nothing."""


class Attention(Output):
    what: str
    subject: str
    text: str


class FeedState(Output):
    name: str
    kind: str
    last: datetime | None
    hour: int = Field(description=N_("messages of the last hour"))
    day: int = Field(description=N_("messages of the last 24 hours"))
    refused: int = Field(description=N_("of the last hour, answered AE or AR"))
    hours: list[int] = Field(description=N_("messages of each of the last 24 hours of the clock, the present one last"))


class SinkState(Output):
    name: str
    type: str
    circuit: str
    waiting: int | None
    parked: int
    unknown: int
    oldest: datetime | None


class Fact(Output):
    name: str
    text: str
    status: str


class State(Output):
    at: datetime | None
    running: bool
    sentence: str
    attention: list[Attention] = Field(description=N_("what waits for a person"))
    feeds: list[FeedState]
    sinks: list[SinkState]
    facts: list[Fact]


def state(visit: Visit, given: NoInput) -> State:  # noqa: ARG001  (it takes nothing)
    """What `status` knows, of the feeds and sinks that may be seen. Raises `Unavailable` before the first look."""
    found = visit.tools.watch.latest()
    if found is None:
        raise Unavailable("API-STATE", "status", N_("nobody has looked at the site yet: ask again in some seconds"))
    seen = state_view.of(visit, found)
    return State(
        at=moment(found.at),
        running=found.presence.running,
        sentence=seen.sentence,
        attention=[
            Attention(what=_(one.what), subject=one.subject, text=translated(one.text)) for one in seen.attention
        ],
        feeds=[
            FeedState(
                name=one.name,
                kind=one.kind,
                last=moment(one.last),
                hour=one.hour,
                day=one.day,
                refused=one.refused,
                hours=list(one.hours),
            )
            for one in seen.feeds
        ],
        sinks=[
            SinkState(
                name=one.name,
                type=one.type,
                circuit=one.circuit,
                waiting=one.waiting,
                parked=one.parked,
                unknown=one.unknown,
                oldest=moment(one.oldest),
            )
            for one in seen.sinks
        ],
        facts=[Fact(name=one.name, text=one.text, status=one.status) for one in seen.facts],
    )


OPERATIONS: Final = (
    Operation(
        name="state",
        path="/state",
        does=N_("Is anything wrong now? What `segur-router status` knows."),
        run=state,
        takes=NoInput,
        gives=State,
        scope=API_READ,
        serves=("GET /",),
    ),
)
