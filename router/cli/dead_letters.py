"""Dead letters for the terminal: which ones an operator means, and how they look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from router.cli.output import console, fail, said, told
from router.cli.site import paste
from router.cli.times import ago, moment
from router.cli.waiting import STATES
from router.contracts import Ledger
from router.engine.dead_letters import listing, paging
from router.engine.dead_letters.listing import DeadLetter, Filter, Group
from router.engine.dead_letters.operator_commands import Answer
from router.errors import Unavailable
from router.journal.criteria import ANY, Criteria
from router.journal.views import EventStory
from router.language import N_, _, plural, translated
from router.runtime.site_services import SiteServices
from router.runtime.wording import ADVICE, place_of
from router.sinks.registry import SINK_TYPES

"""Where a dead letter comes from that has neither sink nor pipeline."""
_MOST: Final = 20_000
"""Messages among which the journal may choose for a list of dead letters."""


def chosen(services: SiteServices, ledger: Ledger, which: Filter, limit: int | None = None) -> list[DeadLetter]:
    """The dead letters that the filter means, oldest first; `limit` at most, where it means a cause.

    An id may be a cause, a delivery, an event, or whatever `explain` takes. When it names deliveries that are no dead
    letters, they are returned all the same: the order is then refused, with the proof of what became of them.
    """
    found = paging.letters(services.bus, ledger, which, sinks=services.config.sinks, advice=ADVICE, limit=limit)
    if found or not which.id:
        return found
    anything = replace(which, id="")
    rows = ledger.get([which.id])  # a delivery's own id means that one, never another of the same message
    rowless: list[DeadLetter] = []
    if not rows:
        stories = _stories(services, which)
        rows = ledger.get(_deliveries(services, stories))
        rowless = _without_row(services, ledger, anything, {story.event.event_id for story in stories})
    letters = [*filter(anything.admits, (listing.of_row(row, ADVICE) for row in rows.values())), *rowless]
    letters.sort(key=lambda dead_letter: (dead_letter.last, dead_letter.at))
    return [dead_letter for dead_letter in letters if dead_letter.is_dead] or letters


def question_of_discard(found: Sequence[DeadLetter]) -> str:
    """Whether to give these up; and how many of them can't be taken back: those that never became deliveries."""
    question = plural("Give up {count} dead letter?", "Give up {count} dead letters?", len(found))
    final = sum(not dead_letter.delivery_id for dead_letter in found)
    if not final:
        return question
    told = plural(
        "{count} was refused before it became a delivery: that can't be taken back.",
        "{count} were refused before they became deliveries: that can't be taken back.",
        final,
    )
    return f"{told} {question}"


def count(services: SiteServices, ledger: Ledger, which: Filter, found: Sequence[DeadLetter]) -> int:
    """How many dead letters the filter means, of which these were read."""
    cause = found[0].cause if found else ""
    if not which.id or not all(one.is_of(which.id) for one in found):
        return len(found)
    asked = replace(which, id="", cause=cause)
    counted = listing.groups(services.bus, ledger, asked, sinks=services.config.sinks, advice=ADVICE)
    return max(len(found), sum(one.count for one in counted))


def events(services: SiteServices, wanted: Criteria) -> frozenset[str] | None:
    """Events that meet what only the journal knows of them; None when nothing of it was asked.

    Fails with a sentence when there are too many to choose among.
    """
    own = replace(wanted, feed="", pipeline="", sink="", code="", outcome="", since=None, until=None)
    if replace(own, within=None) == ANY:  # the structures that the asker may see are the ledger's to know
        return None
    found = services.journal.search(own, _MOST)
    if not found.complete:
        fail(_("too many messages answer to this: give one more condition"))
    return frozenset(one.event.event_id for one in found.events)


def _stories(services: SiteServices, which: Filter) -> list[EventStory]:
    """What the journal knows under this identifier."""
    try:
        return services.journal.story(which.id, wanted=Criteria(within=which.within))
    except Unavailable:  # the ledger's own ids do without it
        return []


def _without_row(services: SiteServices, ledger: Ledger, which: Filter, events: set[str]) -> list[DeadLetter]:
    """Dead letters of these events that never became deliveries: refused by the gateway, or by the pipelines."""
    own = replace(which, events=frozenset(events))
    found = paging.letters(services.bus, ledger, own, sinks=services.config.sinks, advice=ADVICE) if events else []
    return [dead_letter for dead_letter in found if not dead_letter.delivery_id]


def _deliveries(services: SiteServices, stories: Sequence[EventStory]) -> list[str]:
    """Deliveries of documents in these stories; answers to senders are left out."""
    answers = {name for name, sink in services.config.sinks.items() if SINK_TYPES[sink.type].carries == "message"}
    documents = [one for story in stories for one in story.deliveries if one.sink not in answers]
    return [one.delivery_id for one in documents or [one for story in stories for one in story.deliveries]]


def show_groups(found: Sequence[Group], now: float, site: Path) -> None:
    """One paragraph per cause: how many, what, what to do, from whom and since when."""
    for group in found:
        code = said(f"{group.code} {group.place}".strip())
        console.print(
            f"[bold]{group.count:>4} ×[/] [red]{code}[/]  {said(place_of(group))}  [dim]{said(group.cause)}[/]",
            soft_wrap=True,
        )
        if group.text:
            console.print(f"       {told(group.text)}", soft_wrap=True)
        if group.next:
            console.print(f"       → {told(group.next)}", soft_wrap=True, style="yellow")
        console.print(f"       [dim]{said(_whence(group, now))}[/]", soft_wrap=True)
    total = sum(group.count for group in found)
    letters = plural("{count} dead letter", "{count} dead letters", total)
    causes = plural("{count} cause", "{count} causes", len(found))
    console.print("\n" + _("{letters}, {causes}. Next:", letters=letters, causes=causes))
    for words in (("show", found[0].cause), ("replay", found[0].cause, "--dry-run")):
        console.print(f"  {paste('dlq', *words, site=site)}", style="dim", soft_wrap=True)


def _whence(group: Group, now: float) -> str:
    senders = _("from {feeds}", feeds=", ".join(group.feeds)) + "; " if group.feeds else ""
    if group.count == 1:
        return senders + ago(group.last, now)
    return senders + _("first {first}, last {last}", first=ago(group.first, now), last=ago(group.last, now))


def show_dead_letter(dead_letter: DeadLetter, now: float) -> None:
    """Everything about one dead letter but its bytes."""
    first, last = moment(dead_letter.first), f"{moment(dead_letter.last)} ({ago(dead_letter.last, now)})"
    times = f"{dead_letter.attempts}, " + _("first {first}, last {last}", first=first, last=last)
    state = "" if dead_letter.is_dead else STATES.get(dead_letter.state, dead_letter.state)
    lines = {
        N_("state"): _(state) if state else "",
        N_("what"): translated(dead_letter.text),
        N_("place"): dead_letter.place,
        N_("to do"): translated(dead_letter.next),
        N_("recipient"): dead_letter.label,
        N_("sender"): dead_letter.feed,
        N_("pipeline"): dead_letter.pipeline if dead_letter.pipeline != dead_letter.where else "",
        N_("attempts"): times if dead_letter.attempts > 1 else f"1, {last}",
        "MSH-10": dead_letter.control_id,
        N_("event"): dead_letter.event_id,
        N_("delivery"): dead_letter.delivery_id,
        N_("cause"): dead_letter.cause,
        N_("origin"): dead_letter.origin,
        N_("stands at"): str(dead_letter.at),
    }
    code = f"[bold red]{said(dead_letter.code)}[/] " if dead_letter.code else ""
    console.print(f"{code}[bold]{said(place_of(dead_letter))}[/]")
    for name, value in lines.items():
        if value:
            console.print(f"  [dim]{_(name):12}[/] {said(value)}", soft_wrap=True)


def show_answer(answer: Answer) -> None:
    """A refusal, with what proves it."""
    dead_letter = answer.dead_letter
    name = " ".join(
        part
        for part in (place_of(dead_letter), dead_letter.label, dead_letter.delivery_id or dead_letter.event_id)
        if part
    )
    console.print(f"  [yellow]✗[/] {said(name)}", soft_wrap=True)
    for line in filter(None, (answer.text, answer.proof)):
        console.print(f"      {told(line)}", soft_wrap=True)


def dead_letter_json(dead_letter: DeadLetter) -> dict[str, Any]:
    """For programs: without the ordering key, which is of no use to them."""
    return {name: value for name, value in asdict(dead_letter).items() if name != "key"} | {"at": str(dead_letter.at)}
