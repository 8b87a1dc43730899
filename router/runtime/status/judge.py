"""What of a status waits for a person, and the command that goes on with it. Limits: docs/operations.md, Watching."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from router.engine.delivery.supersession_rules import HELD
from router.french_time import clock, day
from router.language import T_, filled
from router.runtime.status.views import Attention, MailboxView, ProcessReport, SinkView, Status, Unseen, WorkerView

MINUTE: Final = 60.0
HOUR: Final = 3600.0
DAY: Final = 86_400.0
PENDING: Final = HOUR
"""Age of the oldest delivery of a sink from which a person should look."""
UNREAD: Final = HOUR
"""Age of the oldest report in a mailbox."""
JOURNAL: Final = 10 * MINUTE
RECENT_FALL: Final = 10 * MINUTE
"""A worker that fell and has not run for so long since may fall again."""
CERTIFICATE: Final = 30 * DAY
LIST: Final = 7 * DAY
DISK_SHARE: Final = 0.10
DISK_BYTES: Final = 2**30
#: `Attention.what` of things that a person works off in a page of the console.
DEAD_LETTERS: Final = "dead letters"
IMPACT: Final = "impact"
HELD_DELIVERIES: Final = "held"
SINK: Final = "sink"
"""`Attention.what` of a sink that is away, or late."""


def judged(status: Status, unseen: tuple[Unseen, ...], roles: Iterable[str]) -> Status:
    """The same status with what could not be seen, and what waits for a person. `roles`: those that the site has."""
    seen = replace(status, unseen=unseen)
    found = [*_running(seen, roles)] if seen.presence.running else []
    return replace(seen, attention=(*found, *_kept(seen)))


def _running(status: Status, roles: Iterable[str]) -> Iterator[Attention]:
    """What a router that runs has to do, and does not."""
    yield from _workers(status, roles)
    yield from _files(status)
    for sink in status.sinks:
        yield from _late(sink, status.at)
    for mailbox in status.mailboxes:
        yield from _mailbox(mailbox, status.at)
    for feed in status.feeds or ():
        if feed.files_left:
            text = filled(
                "{count} entries of its folder can't be taken: see `file-left` in the log", count=feed.files_left
            )
            yield Attention("files", feed.name, text)
    if status.journal_behind is not None and status.journal_behind > JOURNAL:
        minutes = f"{status.journal_behind / MINUTE:.0f}"
        yield Attention(
            "journal", "", filled("the journal is {minutes} min late: `explain` tells old news", minutes=minutes)
        )


def _workers(status: Status, wanted: Iterable[str]) -> Iterator[Attention]:
    for report in status.processes:
        for worker in report.workers:
            yield from _worker(report, worker, status.at)
    seen = _seen(status)
    for role in wanted:
        if seen is not None and role not in seen:
            yield Attention("role", role, "no process of this role is seen")


_ONE_REFUSED: Final = T_(
    "{count} pipeline file is refused as it is now, and its version of before goes on: `check` and `test` say why"
)
_REFUSED: Final = T_(
    "{count} pipeline files are refused as they are now, and the versions of before go on: `check` and `test` say why"
)


def _files(status: Status) -> Iterator[Attention]:
    """Files of the operator's that do not have the effect that he may think."""
    if status.pipelines_refused:
        text = filled(_ONE_REFUSED if status.pipelines_refused == 1 else _REFUSED, count=status.pipelines_refused)
        yield Attention("pipelines", "", text, ("check",))
    if status.site_changed:
        text = (
            "the site file has changed since the start of the router, which goes on with the one of before: restart it"
        )
        yield Attention("site", "", text, ("check",))


def _seen(status: Status) -> set[str] | None:
    """Roles of which a process was seen; None when the bus could not say who reads. It does not know a gateway."""
    if status.presence.workers is None:
        return None
    found = {worker.role for report in status.processes for worker in report.workers}
    found |= {name.rpartition("-")[0] for name in status.presence.workers}
    return found | {"gateway"} if status.bus == "kafka" else found


def _worker(report: ProcessReport, worker: WorkerView, now: float) -> Iterator[Attention]:
    name = f"{worker.name} {report.at}".strip()
    if worker.status == "waiting":
        text = filled("ended (exit code {number}), is started again: see the log", number=worker.last_exit)
        yield Attention("worker", name, text)
    elif worker.restarts and worker.status == "running" and now - worker.since < RECENT_FALL:
        text = filled("was restarted, {count} times since the start: see the log", count=worker.restarts)
        yield Attention("worker", name, text)


def of_sink(status: Status, sink: SinkView) -> Iterator[Attention]:
    """What waits for a person at this sink, as some people see it (`SinkView.of`)."""
    if status.presence.running:
        yield from _late(sink, status.at)
    yield from _held(sink)


def _late(sink: SinkView, now: float) -> Iterator[Attention]:
    waiting = sink.waiting or 0
    why = next(iter(sink.reasons), "")
    if sink.circuit == "open":
        text = filled(
            "circuit open ({why}), {waiting} wait; it goes on by itself once the cause is gone, theirs or ours",
            why=why or "?",
            waiting=waiting,
        )
        yield Attention(SINK, sink.name, text, ("doctor", "--only", "peers,keys"))
    elif sink.oldest is not None and now - sink.oldest > PENDING:
        text = filled(
            "{waiting} wait, the oldest for {minutes} min ({why})",
            waiting=waiting,
            minutes=f"{(now - sink.oldest) / MINUTE:.0f}",
            why=why or "?",
        )
        yield Attention(SINK, sink.name, text)


def _held(sink: SinkView) -> Iterator[Attention]:
    """Deliveries that leave only when a person says so, and that a list of dead letters does not show."""
    if held := sink.reasons.get(HELD, 0):
        text = filled("{count} deliveries of unknown outcome are held: a person decides about each", count=held)
        yield Attention(HELD_DELIVERIES, sink.name, text, ("dlq", "ls", "--code", HELD))


def _mailbox(mailbox: MailboxView, now: float) -> Iterator[Attention]:
    if mailbox.readable is False:
        text = (
            "its mailbox can't be read, reports are not told to the senders: `mailbox can't be read` in the log "
            "says why; LOGIN is a password that the server refuses, which `doctor` does not try"
        )
        yield Attention("mailbox", mailbox.sink, text, ("doctor", "--only", "peers,keys"))
    if mailbox.oldest_unread is not None and now - mailbox.oldest_unread > UNREAD:
        minutes = f"{(now - mailbox.oldest_unread) / MINUTE:.0f}"
        text = filled("a mail waits in its mailbox for {minutes} min", minutes=minutes)
        yield Attention("mailbox", mailbox.sink, text)


def _kept(status: Status) -> Iterator[Attention]:
    """What waits on the disk, also of a router that is stopped."""
    dead = status.dead_letters
    if dead is not None and dead.total:
        yield dead_letters(dead.total)
    if status.work_entries:
        yield impact(status.work_entries)
    for sink in status.sinks:
        yield from _held(sink)
    yield from _certificates(status)
    yield from _directory(status)
    yield from _disks(status)
    for one in status.unseen:
        text = filled("can't be looked at: {code} {reason}", code=one.code, reason=one.text)
        if one.since is not None:
            moment = f"{day(one.since)} {clock(one.since)}"
            text = filled(
                "has not answered since {moment}: {code} {reason}", moment=moment, code=one.code, reason=one.text
            )
        yield Attention("unseen", one.what, text, ("doctor",))


def dead_letters(count: int) -> Attention:
    """So many dead letters wait."""
    return Attention(DEAD_LETTERS, "", filled("{count} dead letters are not resolved", count=count), ("dlq", "ls"))


def impact(count: int) -> Attention:
    """So many documents left under an identity that has changed since."""
    text = filled("{count} documents left under an identity that has changed since", count=count)
    return Attention(IMPACT, "", text, ("impact",))


def _disks(status: Status) -> Iterator[Attention]:
    """Of this machine, and of each other one that was asked."""
    machines = [("", status.disk), *((report.machine, report.disk) for report in status.processes if report.at)]
    for machine, disk in machines:
        if disk is not None and (disk.free < DISK_BYTES or disk.free < disk.size * DISK_SHARE):
            text = filled("{megabytes} MB are free for the data folder", megabytes=disk.free // 2**20)
            yield Attention("disk", machine, text, ("doctor", "--only", "disk"))


def _certificates(status: Status) -> Iterator[Attention]:
    for certificate in status.certificates:
        if certificate.ends is None:
            yield Attention("certificate", certificate.name, "its file can't be read", ("doctor", "--only", "keys"))
        elif certificate.ends < status.at:
            yield Attention("certificate", certificate.name, "has ended: renew it")
        elif certificate.ends - status.at < CERTIFICATE:
            days = int((certificate.ends - status.at) // DAY)
            yield Attention("certificate", certificate.name, filled("ends in {days} days: renew it", days=days))


def _directory(status: Status) -> Iterator[Attention]:
    """Only where a list is used: a machine without sinks has none, and needs none."""
    found = status.directory
    if found is None or not found.used or not status.presence.running:
        return
    lists = [("liste blanche", found.liste_blanche_age)]
    lists += [("annuaire", found.annuaire_age)] if found.annuaire_used else []
    for name, age in lists:
        if age is None and status.presence.state == "here":
            yield Attention("directory", name, "none was ever read", ("doctor", "--only", "peers,keys"))
        elif age is not None and age > LIST:
            text = filled("is {days} days old", days=int(age // DAY))
            yield Attention("directory", name, text, ("doctor", "--only", "peers,keys"))
