"""What `status` knows of a site, as plain values. Times are Unix seconds, ages seconds. No patient data.

A number that nobody could tell is None, never 0.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypedDict

from router.contracts import Standing
from router.engine.dead_letters.listing import Group
from router.exchange import State
from router.observe.readings import Reading
from router.runtime.presence import Presence

Circuit = Literal["closed", "open", "unknown"]


@dataclass(frozen=True, slots=True)
class WorkerView:
    """One process of a role.

    status: of the supervisor (`running`, `waiting`…), or `starting` while it does not say yet that it works
    """

    name: str
    role: str
    status: str
    since: float
    restarts: int
    last_exit: int | None


@dataclass(frozen=True, slots=True)
class ProcessReport:
    """What one supervisor says of itself; `/status` of the administration port is this as JSON.

    at: address it was asked at, "" for the one of this data folder
    certificates, directory, disk: what that machine's own files say; a certificate that it can't read is left out
    """

    machine: str
    version: str
    started: float
    workers: tuple[WorkerView, ...]
    readings: tuple[Reading, ...] = ()
    at: str = ""
    certificates: tuple[CertificateView, ...] = ()
    directory: DirectoryView | None = None
    disk: DiskView | None = None


@dataclass(frozen=True, slots=True)
class FeedView:
    """What came by one feed, as the journal knows it; `refused`: of the last hour, answered AE or AR."""

    name: str
    kind: str
    last: float | None
    hour: int
    day: int
    refused: int
    connections: int | None
    files_left: int = 0
    hours: tuple[int, ...] = ()
    """Messages of each of the last 24 hours of the clock, the present one last; () when it was not asked for."""


@dataclass(frozen=True, slots=True)
class SinkView:
    """One sink. `waiting`: not ended, whatever its state; `unread`: of those, not yet taken from the bus.

    oldest: when the oldest delivery that waits was decided;  reasons: code -> how many wait for it, the most first
    standing: the same by structure
    """

    name: str
    type: str
    circuit: Circuit
    in_flight: int | None
    waiting: int | None
    parked: int
    unknown: int
    unread: int
    oldest: float | None
    reasons: Mapping[str, int]
    standing: tuple[Standing, ...] = ()

    def of(self, structures: Collection[str]) -> SinkView:
        """As people of these structures (FINESS) see it: what others let wait there is not told, nor what nobody knows
        whose it is."""
        mine = tuple(one for one in self.standing if one.structure in structures)
        waiting = None if self.waiting is None else sum(one.count for one in mine)
        return replace(self, in_flight=None, waiting=waiting, unread=0, **counted(mine))


class Counted(TypedDict):
    """Those fields of a `SinkView` that come from the rows that wait."""

    parked: int
    unknown: int
    oldest: float | None
    reasons: Mapping[str, int]
    standing: tuple[Standing, ...]


def counted(rows: Sequence[Standing]) -> Counted:
    """What a sink's rows come to."""
    reasons: dict[str, int] = {}
    for one in sorted(rows, key=lambda row: -row.count):
        if one.code:
            reasons[one.code] = reasons.get(one.code, 0) + one.count
    return Counted(
        parked=sum(row.count for row in rows if row.state == State.PARKED),
        unknown=sum(row.count for row in rows if row.state == State.UNKNOWN),
        oldest=min((row.oldest for row in rows), default=None),
        reasons=dict(sorted(reasons.items(), key=lambda pair: -pair[1])),
        standing=tuple(rows),
    )


@dataclass(frozen=True, slots=True)
class MailboxView:
    """The mailbox of reports of a sink. readable: None when no process that reads it was seen.

    oldest_unread: arrival of the oldest mail not handled yet;  for_person: read since the start and left to people
    """

    sink: str
    readable: bool | None
    oldest_unread: float | None
    for_person: int


@dataclass(frozen=True, slots=True)
class CertificateView:
    """One of our certificates; `ends`: None when its file can't be read."""

    name: str
    ends: float | None


@dataclass(frozen=True, slots=True)
class DirectoryView:
    """Lists of the espace de confiance on this machine's disk. None: there is none (yet).

    liste_blanche_age: by the date that the list bears; since it was read, when it bears none
    """

    used: bool
    liste_blanche_age: float | None
    domains: int
    annuaire_used: bool
    annuaire_age: float | None
    mailboxes: int


@dataclass(frozen=True, slots=True)
class DeadLettersView:
    """Unresolved ones: `total` of all times; `recent` by cause, those of since `since`."""

    total: int
    causes: int
    since: float
    recent: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class DiskView:
    """The file system of the data folder."""

    free: int
    size: int
    inodes_free: int
    inodes: int


@dataclass(frozen=True, slots=True)
class Unseen:
    """Something that could not be looked at, and why. since: last time that it answered, None when it never did

    process: whether it is another machine's administration port
    """

    what: str
    code: str
    text: str
    since: float | None = None
    process: bool = False


@dataclass(frozen=True, slots=True)
class Attention:
    """Something that waits for a person: what it is, and the command that goes on with it (words, or none)."""

    what: str
    subject: str
    text: str
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Everything. A part is None when it could not be looked at: `unseen` says why.

    pipelines_refused: pipeline files that are wrong now, while their last good versions go on
    site_changed: the site file says something else than the one that a router was started with
    """

    at: float
    environment: str
    version: str
    bus: str
    presence: Presence
    processes: tuple[ProcessReport, ...]
    feeds: tuple[FeedView, ...] | None
    sinks: tuple[SinkView, ...]
    mailboxes: tuple[MailboxView, ...]
    certificates: tuple[CertificateView, ...]
    directory: DirectoryView | None
    journal_behind: float | None
    undecided: int | None
    dead_letters: DeadLettersView | None
    work_entries: int | None
    disk: DiskView | None
    pipelines_refused: int = 0
    site_changed: bool = False
    unseen: tuple[Unseen, ...] = ()
    attention: tuple[Attention, ...] = field(default=())
