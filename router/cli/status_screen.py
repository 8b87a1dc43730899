"""The screen of `status`: 80 columns are enough, and what is well takes little room."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rich.columns import Columns
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from router.cli.output import said, told
from router.cli.presence import absence
from router.cli.site import paste
from router.cli.times import age, ago, moment
from router.language import N_, _, plural
from router.printable import printable
from router.runtime.status.judge import CERTIFICATE, LIST
from router.runtime.status.views import FeedView, SinkView, Status, WorkerView
from router.runtime.wording import place_of
from router.terminal.rows import Rows

_DASH: Final = "–"
_CIRCUITS: Final = {"closed": N_("closed"), "open": N_("OPEN")}
_CAUSES: Final = 5
"""Causes of dead letters that the screen names; `dlq ls` shows all."""
_REASONS: Final = 2
_NUMBERS: Final = (2, 3, 4)
"""Columns of the two tables that stand on the right."""


def screen(status: Status, site: Path) -> Iterator[RenderableType]:
    """Everything, from the general to what there is to do."""
    yield from _head(status)
    if status.feeds:
        yield _feeds(status.feeds, status.at, "?" if status.presence.running else _DASH)
    yield _sinks(status.sinks, status.at, "?" if status.presence.running else _DASH)
    for line in (*_mailboxes(status), *_proofs(status)):
        yield Text.from_markup(line)
    for line in _dead_letters(status):
        yield Text.from_markup(line, overflow="ellipsis")
    yield from _attention(status, site)
    yield from _limits(status)


# --------------------------------------------------------------------------------------------------- parts


def _head(status: Status) -> Iterator[RenderableType]:
    title = f"segur-router {status.version} · {status.environment} · {status.bus} · {moment(status.at)}"
    yield Text(title, style="bold")
    if gone := absence(status.presence, status.at):
        yield Text(gone, style="bold red")
        if status.dead_letters is not None:
            yield Text(_left(status))
        return
    if status.presence.state == "elsewhere":
        yield Text(_("runs on other machines, not on this data folder"), style="yellow")
    elif status.presence.state == "unknown":
        yield Text(_("nobody can say whether it runs: this account may not look into the data folder"), style="yellow")
    for report in status.processes:
        where = report.at or _("here")
        since = age(report.started, status.at) if report.started else _("starting")
        yield Text.from_markup(f"{said(where)} [dim]({said(report.machine)}, {said(since)})[/]")
        workers = Columns([_worker(worker, status.at) for worker in report.workers], padding=(0, 2))
        yield Padding(workers, (0, 0, 0, 2))
    others = sorted(set(status.presence.workers or ()) - _names(status)) if status.bus == "kafka" else []
    if others:
        yield Text(_("on other machines, as Kafka says: {names}", names=", ".join(map(printable, others))))


def _left(status: Status) -> str:
    """What a router that has stopped leaves on the disk."""
    waiting = sum(sink.waiting or 0 for sink in status.sinks)
    dead = status.dead_letters.total if status.dead_letters is not None else 0
    parts = (
        plural("{count} event not decided", "{count} events not decided", status.undecided or 0),
        plural("{count} delivery not made", "{count} deliveries not made", waiting),
        plural("{count} dead letter", "{count} dead letters", dead),
    )
    return _("on the disk: {what}", what=", ".join(parts))


def _names(status: Status) -> set[str]:
    return {worker.name for report in status.processes for worker in report.workers}


def _worker(worker: WorkerView, now: float) -> Text:
    style = "green" if worker.status == "running" else "bold red"
    state = age(worker.since, now) if worker.status == "running" else _(_STATUSES.get(worker.status, worker.status))
    text = Text.assemble((worker.name, style), f" {state}")
    if worker.restarts:
        text.append(" " + plural("{count} restart", "{count} restarts", worker.restarts), style="yellow")
    return text


_STATUSES: Final = {
    "starting": N_("starting"),
    "waiting": N_("ended, starts again"),
    "draining": N_("stopping"),
    "stopped": N_("stopped"),
}


def _feeds(feeds: tuple[FeedView, ...], now: float, unknown: str) -> Rows:
    heads = _("Feeds"), _("last message"), _("1 h"), _("24 h"), _("refused"), _("connections")
    rows = Rows(*heads, right=_NUMBERS)
    for feed in feeds:
        last = ago(feed.last, now) if feed.last is not None else _("none yet")
        refused = Text(str(feed.refused), style="yellow" if feed.refused else "")
        connections = _number(feed.connections, unknown)
        rows.add(said(feed.name), said(last), str(feed.hour), str(feed.day), refused, connections)
    return rows


def _sinks(sinks: tuple[SinkView, ...], now: float, unknown: str) -> Rows:
    """unknown: shown for what no process has told"""
    heads = _("Sinks"), _("circuit"), _("in flight"), _("waiting"), _("oldest"), _("for what")
    rows = Rows(*heads, right=_NUMBERS)
    for sink in sinks:
        colour = {"open": "bold red", "closed": "green"}.get(sink.circuit, "dim")
        oldest = age(sink.oldest, now) if sink.oldest is not None else _DASH
        waiting = Text(_number(sink.waiting, unknown), style="yellow" if sink.waiting else "")
        circuit = Text(_(_CIRCUITS[sink.circuit]) if sink.circuit in _CIRCUITS else unknown, style=colour)
        rows.add(said(sink.name), circuit, _number(sink.in_flight, unknown), waiting, oldest, said(_reasons(sink)))
    return rows


def _reasons(sink: SinkView) -> str:
    found = [f"{printable(code)} ×{count}" for code, count in list(sink.reasons.items())[:_REASONS]]
    found += [plural("{count} parked", "{count} parked", sink.parked)] if sink.parked else []
    found += [_("{count} of unknown outcome", count=sink.unknown)] if sink.unknown else []
    return ", ".join(found)


def _mailboxes(status: Status) -> Iterator[str]:
    if not status.presence.running:
        return
    for box in status.mailboxes:
        unread = said(_("is not read"))
        facts = [{True: said(_("is read")), False: f"[bold red]{unread}[/]", None: "?"}[box.readable]]
        if box.oldest_unread is not None:
            facts.append(said(_("a mail waits for {age}", age=age(box.oldest_unread, status.at))))
        if box.for_person:
            left = plural(
                "{count} mail left to people since the start",
                "{count} mails left to people since the start",
                int(box.for_person),
            )
            facts.append(said(left))
        yield f"[bold]{said(_('Mailbox'))}[/] {said(box.sink)}: {', '.join(facts)}"


def _proofs(status: Status) -> Iterator[str]:
    """Certificates and lists, journal and disk: a line each."""
    if line := _certificates(status):
        yield line
    found = status.directory
    if found is not None and found.used:
        parts = [_list(_("liste blanche"), found.liste_blanche_age, found.domains, status)]
        if found.annuaire_used:
            parts.append(_list(_("annuaire"), found.annuaire_age, found.mailboxes, status))
        yield f"[bold]{said(_('Directory'))}[/] {', '.join(parts)}"
    facts = []
    if status.journal_behind is not None:
        late = _("{age} late", age=age(status.at - status.journal_behind, status.at))
        facts.append(late if status.journal_behind > 1 else _("up to date"))
    if status.undecided:
        facts.append(plural("{count} event not decided yet", "{count} events not decided yet", status.undecided))
    if facts:
        yield f"[bold]{said(_('Journal'))}[/] {said(', '.join(facts))}"
    if status.disk is not None:
        share = 100 * status.disk.free // max(1, status.disk.size)
        free = _("{megabytes} MB free ({share} %)", megabytes=status.disk.free // 2**20, share=share)
        yield f"[bold]{said(_('Disk'))}[/] {said(free)}"


def _certificates(status: Status) -> str:
    """The next that end, by name; the others as a number."""
    if not status.certificates:
        return ""
    known = sorted((one.ends, one.name) for one in status.certificates if one.ends is not None)
    parts = [f"[bold red]{told(one.name)} ?[/]" for one in status.certificates if one.ends is None]
    near = [one for one in known if one[0] - status.at < CERTIFICATE] or known[:1]
    for ends, name in near:
        days = _("{days} d", days=int((ends - status.at) // 86_400)) if ends > status.at else _("has ended")
        style = "bold red" if ends - status.at < CERTIFICATE else "green"
        parts.append(f"[{style}]{told(name)} {said(days)}[/]")
    if len(known) > len(near):
        parts.append(said(plural("{count} other later", "{count} others later", len(known) - len(near))))
    return f"[bold]{said(_('Certificates'))}[/] {', '.join(parts)}"


def _list(name: str, old: float | None, entries: int, status: Status) -> str:
    if old is None:
        return f"[yellow]{said(f'{name} {_DASH}')}[/]"
    text = said(f"{name} {age(status.at - old, status.at)} ({entries})")
    return f"[bold red]{text}[/]" if old > LIST else text


def _dead_letters(status: Status) -> Iterator[str]:
    dead = status.dead_letters
    if dead is None:
        return
    if not dead.total:
        yield f"[bold]{said(_('Dead letters'))}[/] {said(_('none'))}"
        return
    recent = sum(group.count for group in dead.recent)
    text = plural(
        "{count} not resolved, {recent} of them since yesterday",
        "{count} not resolved, {recent} of them since yesterday",
        dead.total,
        recent=recent,
    )
    yield f"[bold]{said(_('Dead letters'))}[/] [red]{said(text)}[/]"
    for group in dead.recent[:_CAUSES]:
        code = said(f"{group.code} {group.place}".strip())
        yield f"  {group.count} × [red]{code}[/] {said(place_of(group))}: {told(group.text)}"
    if len(dead.recent) > _CAUSES:
        more = len(dead.recent) - _CAUSES
        yield "  " + said(plural("and {count} more cause", "and {count} more causes", more))


def _attention(status: Status, site: Path) -> Iterator[RenderableType]:
    if not status.attention:
        if status.presence.running:
            yield Text(_("Nothing waits for a person."), style="green")
        return
    yield Text(_("For a person"), style="bold")
    for one in status.attention:
        line = Table.grid(padding=(0, 1, 0, 0))
        name = f"{told(one.subject)}: " if one.subject else ""
        line.add_row("[red]![/]", Text.from_markup(f"{name}{told(one.text)}"))
        yield line
        if one.command:  # the terminal folds it, so that it can be copied whole
            yield Text(f"  → {paste(*one.command, site=site)}", style="dim", overflow="ignore")


def _limits(status: Status) -> Iterator[RenderableType]:
    """What this command can't see where a site runs on several machines."""
    if status.bus != "kafka" or not status.presence.running:
        return
    text = _("Not seen: measures of processes on other machines (circuits, connections). --at HOST:PORT asks them.")
    yield Text(text, style="dim")


def _number(value: int | None, unknown: str) -> str:
    return unknown if value is None else str(value)
