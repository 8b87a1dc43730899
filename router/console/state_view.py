"""The state of the site as one person may see it: ages and numbers as they are shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.console import words
from router.console.spark import Spark, spark
from router.french_time import age
from router.language import _, plural
from router.runtime.status.judge import CERTIFICATE, LIST
from router.runtime.status.views import Attention, CertificateView, FeedView, SinkView, Status, WorkerView

if TYPE_CHECKING:
    from router.console.visit import Visit


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One line of the machine's part: what, how it is, and the status that shows it."""

    name: str
    text: str
    status: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One machine or pod. silent: it does not answer;  since: its last answer, Unix seconds;  why: in a few words"""

    name: str
    workers: tuple[WorkerView, ...] = ()
    silent: bool = False
    since: float | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """status: the whole site's;  the rest: what of it this person may see. `age`: of the last look, in words"""

    status: Status
    sentence: str
    tone: str
    attention: tuple[Attention, ...]
    feeds: tuple[FeedView, ...]
    days: Mapping[str, Spark]
    """Feed -> its last 24 hours."""
    sinks: tuple[SinkView, ...]
    machines: tuple[Machine, ...]
    facts: tuple[Fact, ...]
    age: str


def of(visit: Visit, found: Status) -> Seen:
    """Leaves out feeds and sinks that work for other structures only."""
    config, mine = visit.tools.services.config, visit.structures
    names, attention = words.names_seen(config, mine), visit.attention(found)
    return Seen(
        status=found,
        sentence=_sentence(found, len(attention)),
        tone="good" if found.presence.running and not attention else "bad" if not found.presence.running else "warning",
        attention=tuple(attention),
        feeds=tuple(feed for feed in found.feeds or () if feed.name in names),
        days={
            feed.name: day
            for feed in found.feeds or ()
            if feed.name in names and (day := spark(feed.hours, found.at)) is not None
        },
        sinks=words.sinks(found, config, mine),
        machines=tuple(_machines(found)),
        facts=tuple(_facts(found, names, words.certificates(found, config, mine), whole=mine is None)),
        age=age(visit.tools.clock.now() - found.at),
    )


def _machines(found: Status) -> Iterator[Machine]:
    """Those that do not answer first."""
    for one in found.unseen:
        if one.process:
            yield Machine(name=one.what, silent=True, since=one.since, why=one.text)
    for report in found.processes:
        yield Machine(name=report.machine, workers=report.workers)


def _sentence(found: Status, count: int) -> str:
    if not found.presence.running:
        return _("The router is not running on this machine.")
    if count:
        return plural("{count} thing waits for a person.", "{count} things wait for a person.", count)
    return _("All flows run. Nothing waits for a person.")


def _facts(found: Status, names: set[str], certificates: Sequence[CertificateView], *, whole: bool) -> Iterator[Fact]:
    yield from _mailboxes(found, names)
    yield from _certificates(found, certificates)
    yield from _lists(found)
    if found.journal_behind is not None:
        late = found.journal_behind > 1
        text = _("{age} late", age=age(found.journal_behind)) if late else _("up to date")
        yield Fact(name=_("Journal"), text=text, status="review" if late else "well")
    yield from _disks(found)
    if whole and found.undecided:
        yield Fact(name=_("Not decided yet"), text=plural("{count} message", "{count} messages", found.undecided))
    yield Fact(name=_("Version"), text=f"segur-router {found.version}, {found.bus}")


def _disks(found: Status) -> Iterator[Fact]:
    """Of this machine, and of each other one that answered."""
    others = ((_("Disk of {name}", name=one.machine), one.disk) for one in found.processes if one.at)
    for name, disk in ((_("Disk"), found.disk), *others):
        if disk is not None:
            share = 100 * disk.free // max(1, disk.size)
            text = _("{megabytes} MB free ({share} %)", megabytes=disk.free // 2**20, share=share)
            yield Fact(name=name, text=text, status="well" if share >= 10 else "review")


def _mailboxes(found: Status, names: set[str]) -> Iterator[Fact]:
    for box in (one for one in found.mailboxes if one.sink in names):
        name = _("Mailbox of {sink}", sink=box.sink)
        if box.readable is False:
            yield Fact(name=name, text=_("is not read"), status="refused")
        elif box.oldest_unread is not None:
            text = _("a mail waits for {age}", age=age(found.at - box.oldest_unread))
            yield Fact(name=name, text=text, status="review")
        elif box.readable:
            yield Fact(name=name, text="", status="read")
        else:
            yield Fact(name=name, text="", status="nothing")


def _certificates(found: Status, shown: Sequence[CertificateView]) -> Iterator[Fact]:
    for one in sorted(shown, key=lambda each: each.ends or 0):
        name = _("Certificate {name}", name=one.name)
        if one.ends is None:
            yield Fact(name=name, text=_("can't be read"), status="refused")
            continue
        days = int((one.ends - found.at) // 86_400)
        text = plural("{count} day left", "{count} days left", days) if days >= 0 else _("has ended")
        yield Fact(name=name, text=text, status="well" if one.ends - found.at > CERTIFICATE else "review")


def _lists(found: Status) -> Iterator[Fact]:
    lists = found.directory
    if lists is None or not lists.used:
        return
    wanted = [(_("Liste blanche"), lists.liste_blanche_age, lists.domains)]
    if lists.annuaire_used:
        wanted.append((_("Annuaire"), lists.annuaire_age, lists.mailboxes))
    for name, old, count in wanted:
        if old is None:
            yield Fact(name=name, text=_("none yet"), status="review")
        else:
            text = _("{count} entries, {age} old", count=count, age=age(old))
            yield Fact(name=name, text=text, status="well" if old <= LIST else "review")
