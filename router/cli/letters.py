"""Dead letters for the terminal: which ones an operator means, and how they look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.markup import escape

from router.cli.output import console
from router.cli.site import paste
from router.cli.times import age, moment
from router.contracts import Ledger
from router.engine import dead_letters
from router.engine.dead_letters import Filter, Group, Letter
from router.engine.orders import Answer
from router.errors import Unavailable
from router.runtime.house import House


def chosen(house: House, ledger: Ledger, which: Filter) -> list[Letter]:
    """The dead letters that the filter means, oldest first.

    An id may be a cause, a delivery, an event, or whatever `explain` takes. When it names deliveries that are no dead
    letters, they are returned all the same: the order is then refused, with the proof of what became of them.
    """
    found = dead_letters.letters(house.bus, ledger, which, sinks=house.config.sinks)
    if found or not which.id:
        return found
    rows = ledger.get([which.id])  # a delivery's own id means that one, never another of the same message
    if not rows:
        rows = ledger.get(_deliveries(house, which.id))
    letters = [dead_letters.of_row(row) for row in rows.values()]
    letters = sorted(filter(replace(which, id="").admits, letters), key=lambda letter: (letter.last, letter.at))
    dead = {row.delivery.id for row in rows.values() if row.state == "dead"}
    return [letter for letter in letters if letter.delivery_id in dead] or letters


def _deliveries(house: House, id_: str) -> list[str]:
    """Deliveries of documents that the journal knows under this identifier; answers to senders are left out."""
    try:
        stories = house.journal.story(id_)
    except Unavailable:  # the ledger's own ids do without it
        return []
    answers = {name for name, sink in house.config.sinks.items() if sink.type == "hl7"}
    documents = [one for story in stories for one in story.deliveries if one.sink not in answers]
    return [one.delivery_id for one in documents or [one for story in stories for one in story.deliveries]]


def show_groups(found: Sequence[Group], now: float, site: Path) -> None:
    """One paragraph per cause: how many, what, what to do, from whom and since when."""
    for group in found:
        code = escape(f"{group.code} {group.place}".strip())
        console.print(
            f"[bold]{group.count:>4} ×[/] [red]{code}[/]  {group.where}  [dim]{group.cause}[/]", soft_wrap=True
        )
        if group.text:
            console.print(f"       {group.text}", soft_wrap=True, markup=False)
        if group.next:
            console.print(f"       → {group.next}", soft_wrap=True, markup=False, style="yellow")
        console.print(f"       [dim]{_whence(group, now)}[/]", soft_wrap=True)
    total = sum(group.count for group in found)
    console.print(f"\n{total} dead letter{'s' * (total > 1)}, {len(found)} cause{'s' * (len(found) > 1)}. Next:")
    for words in (("show", found[0].cause), ("replay", found[0].cause, "--dry-run")):
        console.print(f"  {paste('dlq', *words, site=site)}", style="dim", soft_wrap=True)


def _whence(group: Group, now: float) -> str:
    senders = f"from {', '.join(group.feeds)}; " if group.feeds else ""
    if group.count == 1:
        return f"{senders}{age(group.last, now)} ago"
    return f"{senders}first {age(group.first, now)} ago, last {age(group.last, now)} ago"


def show_letter(letter: Letter, now: float) -> None:
    """Everything about one dead letter but its bytes."""
    times = f"{letter.attempts}, first {moment(letter.first)}, last {moment(letter.last)} ({age(letter.last, now)} ago)"
    lines = {
        "what": letter.text,
        "place": letter.place,
        "to do": letter.next,
        "recipient": letter.label,
        "sender": letter.feed,
        "pipeline": letter.pipeline if letter.pipeline != letter.where else "",
        "attempts": times if letter.attempts > 1 else f"1, {moment(letter.last)} ({age(letter.last, now)} ago)",
        "event": letter.event_id,
        "delivery": letter.delivery_id,
        "cause": letter.cause,
        "origin": letter.origin,
        "stands at": str(letter.at),
    }
    console.print(f"[bold red]{escape(letter.code)}[/] [bold]{letter.where}[/]")
    for name, value in lines.items():
        if value:
            console.print(f"  [dim]{name:10}[/] {escape(value)}", soft_wrap=True)


def show_answer(answer: Answer) -> None:
    """A refusal, with what proves it."""
    letter = answer.letter
    name = " ".join(part for part in (letter.where, letter.label, letter.delivery_id or letter.event_id) if part)
    console.print(f"  [yellow]✗[/] {escape(name)}", soft_wrap=True)
    for line in filter(None, (answer.text, answer.proof)):
        console.print(f"      {line}", soft_wrap=True, markup=False)


def letter_json(letter: Letter) -> dict[str, Any]:
    """For programs: without the ordering key, which is of no use to them."""
    return {name: value for name, value in asdict(letter).items() if name != "key"} | {"at": str(letter.at)}
