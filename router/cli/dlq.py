"""`segur-router dlq`: the dead letters as a work-list: grouped by cause, shown, replayed, discarded."""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import typer
from rich.progress import track

from router.cli.output import Exit, console, errors, fail, show_json
from router.cli.site import DEFAULT_SITE, JsonOption, SiteOption
from router.config.site import Site
from router.contracts import Ledger
from router.engine import dead_letters, orders
from router.engine.dead_letters import Filter, Letter
from router.observe import logs
from router.runtime.house import House

commands = typer.Typer(no_args_is_help=True, help="Dead letters: list by cause, show, replay, discard.")

IdArgument = Annotated[str, typer.Argument(help="A cause, a delivery or an event, as `dlq ls` shows them.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def add_to(app: typer.Typer) -> None:
    app.add_typer(commands, name="dlq")


@contextmanager
def _opened(site: Site) -> Iterator[tuple[House, Ledger]]:
    logs.configure(level="WARNING")
    house = House(site)
    try:
        yield house, house.ledger()
    finally:
        house.close()


def _when(at: float) -> str:
    return datetime.fromtimestamp(at).strftime("%d/%m %H:%M:%S") if at else ""


@commands.command("ls")
def list_(
    site: SiteOption = DEFAULT_SITE,
    sink: Annotated[str, typer.Option(help="Only this sink.")] = "",
    as_json: JsonOption = False,
) -> None:
    """One line per cause: how many, where, since when, and what to do next."""
    with _opened(Site(site)) as (house, ledger):
        found = dead_letters.groups(house.bus, ledger, sink or None, sinks=house.config.sinks)
    if as_json:
        show_json([asdict(group) for group in found])
        return
    if not found:
        console.print("[green]no dead letter[/]")
        return
    for group in found:
        code = f"{group.code} {group.place}".strip()
        since = _when(group.first) if group.count == 1 else f"{_when(group.first)} … {_when(group.last)}"
        console.print(
            f"[bold]{group.count:>4} ×[/] [red]{code}[/]  {group.where}  [dim]{', '.join(group.feeds)}  {since}[/]",
            soft_wrap=True,
        )
        if group.text:
            console.print(f"       {group.text}", soft_wrap=True, markup=False)
        if group.next:
            console.print(f"       → {group.next}", soft_wrap=True, markup=False, style="yellow")
        console.print(f"       [dim]segur-router dlq show {group.cause}[/]")


@commands.command()
def show(
    id_: IdArgument,
    site: SiteOption = DEFAULT_SITE,
    content: Annotated[
        bool, typer.Option("--content", help="Write the original bytes too: they name a patient.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Everything about the dead letters of a cause, or about one of them."""
    with _opened(Site(site)) as (house, ledger):
        chosen = dead_letters.letters(house.bus, ledger, Filter(id=id_), sinks=house.config.sinks)
        if not chosen:
            fail(f"no dead letter answers to {id_!r}", Exit.BAD)
        if as_json:
            show_json([{**asdict(letter), "at": str(letter.at)} for letter in chosen])
            return
        for letter in chosen:
            _print_letter(letter)
            if content and (record := dead_letters.body(house.bus, letter)) is not None:
                console.print(record.value.decode("utf-8", "replace").replace("\r", "\n"), markup=False, soft_wrap=True)


def _print_letter(letter: Letter) -> None:
    lines = {
        "where": letter.where,
        "code": f"{letter.code} {letter.place}".strip(),
        "what": letter.text,
        "to do": letter.next,
        "recipient": letter.label,
        "sender": letter.feed,
        "attempts": f"{letter.attempts}, first {_when(letter.first)}, last {_when(letter.last)}",
        "event": letter.event_id,
        "delivery": letter.delivery_id,
        "cause": letter.cause,
        "origin": letter.origin,
        "stands at": str(letter.at),
    }
    console.print(f"[bold]{letter.code}[/] {letter.where}")
    for name, value in lines.items():
        if value:
            console.print(f"  {name:10} {value}", soft_wrap=True)


@commands.command()
def replay(
    id_: Annotated[str, typer.Argument(help="A cause, a delivery or an event; `all` for everything.")],
    site: SiteOption = DEFAULT_SITE,
    sink: Annotated[str, typer.Option(help="Only this sink.")] = "",
    feed: Annotated[str, typer.Option(help="Only this feed.")] = "",
    code: Annotated[str, typer.Option(help="Only this code.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, do nothing.")] = False,
    decide_again: Annotated[
        bool, typer.Option("--decide-again", help="Through today's pipelines, instead of the same delivery.")
    ] = False,
    reason: Annotated[str, typer.Option(help="Why; it is journalled.")] = "",
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Send dead letters again, in their lanes' order. What was delivered or overtaken since is refused, with why."""
    which = Filter(id="" if id_ == "all" else id_, sink=sink, feed=feed, code=code)
    with _opened(Site(site)) as (house, ledger):
        chosen = dead_letters.letters(house.bus, ledger, which, sinks=house.config.sinks)
        if not chosen:
            fail(f"no dead letter answers to {id_!r}", Exit.BAD)
        if not (dry_run or yes or as_json):
            typer.confirm(f"Replay {len(chosen)} dead letter(s)?", abort=True)
        producer = None if dry_run else house.bus.producer("operator")
        answers = orders.replay(
            house.bus, ledger, chosen, by=getpass.getuser(), producer=producer, decide_again=decide_again, reason=reason
        )
        _tell(answers, len(chosen), dry_run=dry_run, as_json=as_json)


@commands.command()
def discard(
    id_: IdArgument,
    reason: Annotated[str, typer.Option(help="Why they are given up; it is journalled.")],
    site: SiteOption = DEFAULT_SITE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, do nothing.")] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Give dead letters up for good, with a reason."""
    with _opened(Site(site)) as (house, ledger):
        chosen = dead_letters.letters(house.bus, ledger, Filter(id=id_), sinks=house.config.sinks)
        if not chosen:
            fail(f"no dead letter answers to {id_!r}", Exit.BAD)
        if not (dry_run or yes or as_json):
            typer.confirm(f"Give up {len(chosen)} dead letter(s)?", abort=True)
        producer = None if dry_run else house.bus.producer("operator")
        answers = orders.discard(ledger, chosen, by=getpass.getuser(), reason=reason, producer=producer)
        _tell(answers, len(chosen), dry_run=dry_run, as_json=as_json)


def _tell(answers: Iterator[orders.Answer], count: int, *, dry_run: bool, as_json: bool) -> None:
    told: Sequence[orders.Answer] = list(
        answers if as_json else track(answers, "", total=count, console=errors, transient=True)
    )
    refused = [answer for answer in told if not answer.accepted]
    if as_json:
        show_json(
            [
                {"delivery": a.letter.delivery_id, "event": a.letter.event_id, "accepted": a.accepted, "text": a.text}
                for a in told
            ]
        )
    else:
        verb = "would be done" if dry_run else "ordered"
        console.print(f"{len(told) - len(refused)} {verb}, {len(refused)} refused")
        for answer in refused:
            name = answer.letter.delivery_id or answer.letter.event_id
            console.print(f"  [yellow]{name}[/] {answer.letter.where}: {answer.text}", soft_wrap=True)
    raise typer.Exit(Exit.BAD if refused else Exit.GOOD)
