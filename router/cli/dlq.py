"""`segur-router dlq`: the dead letters as a work-list: grouped by cause, shown, replayed, discarded."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.progress import track

from router.cli import audited, criteria
from router.cli.free_text import JournalledOption, ViewedOption, unnamed
from router.cli.output import Exit, confirm, console, errors, fail, said, show_json
from router.cli.periods import period
from router.cli.rights import operable, viewable
from router.cli.site import DEFAULT_SITE, JsonOption, SiteOption, open_site
from router.cli.two_people import begun
from router.config.account import account
from router.language import N_, _, plural

if TYPE_CHECKING:
    from router.cli.waiting import Became
    from router.contracts import Ledger, Row
    from router.engine.dead_letters.listing import DeadLetter, Filter
    from router.engine.dead_letters.operator_commands import Answer
    from router.runtime.site_services import SiteServices

commands = typer.Typer(no_args_is_help=True, help="Dead letters: list by cause, show, replay, discard.")

IdArgument = Annotated[
    str, typer.Argument(metavar="ID", help="A cause, a delivery or an event as `dlq ls` shows them; an MSH-10, an OID…")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryOption = Annotated[bool, typer.Option("--dry-run", help="Say what would happen, do nothing.")]


def add_to(app: typer.Typer) -> None:
    app.add_typer(commands, name="dlq")


@contextmanager
def _opened(site: Path) -> Iterator[tuple[SiteServices, Ledger]]:
    with open_site(site) as services:
        yield services, services.ledger()


def _filter(services: SiteServices, id_: str, sink: str, feed: str, code: str, pipeline: str, since: str) -> Filter:
    """Raises in one sentence for a sink or a feed that the site hasn't got: an empty answer would mislead."""
    from router.engine.dead_letters.listing import Filter

    for what, name, known in (
        (N_("no such sink: {name} (one of {known})"), sink, services.config.sinks),
        (N_("no such feed: {name} (one of {known})"), feed, services.config.feeds),
    ):
        if name and name not in known:
            fail(_(what, name=name, known=", ".join(known)))
    id_ = "" if id_ == "all" else id_
    since_at = period(since, "", services.clock.now())[0] or 0.0
    return Filter(id=id_, sink=sink, feed=feed, code=code, pipeline=pipeline, since=since_at)


def _nothing(services: SiteServices, ledger: Ledger, which: Filter) -> NoReturn:
    from router.engine.dead_letters import listing

    seen = listing.Filter(within=which.within, code=which.id)
    if which.id and listing.groups(services.bus, ledger, seen, sinks=services.config.sinks):
        fail(_("{code} is a code: `segur-router dlq ls --code {code}` shows its causes", code=which.id), Exit.BAD)
    asked = {name: value for name, value in asdict(which).items() if value and name not in ("id", "since", "within")}
    words = [repr(which.id)] if which.id else []
    words += [f"{name} {value}" for name, value in asked.items()]
    told = _("no dead letter answers to {words}: `segur-router dlq ls` shows them", words=", ".join(words) or _("this"))
    fail(told, Exit.BAD)


@commands.command("ls")
def list_(
    site: SiteOption = DEFAULT_SITE,
    sink: criteria.SinkOption = "",
    feed: criteria.FeedOption = "",
    code: criteria.CodeOption = "",
    pipeline: criteria.PipelineOption = "",
    recipient: criteria.RecipientOption = "",
    structure: criteria.StructureOption = "",
    sender: criteria.SenderOption = "",
    type_: criteria.TypeOption = "",
    patient: criteria.PatientOption = "",
    since: criteria.SinceOption = "",
    until: criteria.UntilOption = "",
    as_json: JsonOption = False,
) -> None:
    """One paragraph per cause: how many, where, from whom, since when, and what to do next."""
    from router.cli.dead_letters import events, show_groups
    from router.cli.presence import absence_from
    from router.engine.dead_letters import listing
    from router.runtime.wording import ADVICE

    with _opened(site) as (services, ledger):
        texts = {"recipient": recipient, "structure": structure, "sender": sender, "type": type_}
        wanted = criteria.asked(services, patient=patient, since=since, until=until, **texts)
        which = _filter(services, "", sink, feed, code, pipeline, since)
        which = replace(which, until=wanted.until, events=events(services, wanted))
        found = listing.groups(services.bus, ledger, which, sinks=services.config.sinks, advice=ADVICE)
        now, absent = services.clock.now(), absence_from(services)
    if as_json:
        show_json([asdict(group) for group in found])
        return
    if found:
        show_groups(found, now, site)
    else:
        console.print(_("no dead letter"), style="green")
    if absent:
        console.print(said(absent), style="yellow", soft_wrap=True)


@commands.command()
def show(
    id_: IdArgument,
    site: SiteOption = DEFAULT_SITE,
    content: Annotated[
        bool, typer.Option("--content", help="Write the original bytes too: they name a patient.")
    ] = False,
    reason: ViewedOption = "",
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="At most so many.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Everything about the dead letters of a cause, or about one of them."""
    from router.cli.dead_letters import chosen, count, dead_letter_json, show_dead_letter
    from router.engine.dead_letters import listing
    from router.runtime.asking import named

    with _opened(site) as (services, ledger):
        which = _filter(services, id_, "", "", "", "", "")
        found = chosen(services, ledger, which, None if as_json else limit)
        if not found:
            _nothing(services, ledger, which)
        if as_json:
            show_json([dead_letter_json(dead_letter) for dead_letter in named(services, found)])
            return
        if content:
            viewable(services, found[:limit])
            audited.viewed(services, found[:limit], reason)
        for dead_letter in named(services, found[:limit]):
            show_dead_letter(dead_letter, services.clock.now())
            if content and (record := listing.body(services.bus, dead_letter)) is not None:
                shown = record.value.decode("utf-8", "replace").replace("\r", "\n")
                console.print(shown, markup=False, soft_wrap=True)
        if (more := count(services, ledger, which, found) - limit) > 0:
            console.print(_("… and {count} more (--limit)", count=more), style="dim")


@commands.command()
def replay(
    id_: Annotated[
        str,
        typer.Argument(metavar="ID", help="A cause, a delivery, an event, an MSH-10, an OID; `all` for everything."),
    ],
    site: SiteOption = DEFAULT_SITE,
    sink: criteria.SinkOption = "",
    feed: criteria.FeedOption = "",
    code: criteria.CodeOption = "",
    pipeline: criteria.PipelineOption = "",
    since: criteria.SinceOption = "",
    dry_run: DryOption = False,
    decide_again: Annotated[
        bool, typer.Option("--decide-again", help="Through today's pipelines, instead of the same delivery.")
    ] = False,
    reason: JournalledOption = "",
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the deliveries and say what became of them.")] = False,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="How long `--wait` waits.")] = 60.0,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Send dead letters again, in their lanes' order. What was delivered or overtaken since is refused, with proof."""
    from router.audit.event import Action
    from router.cli.dead_letters import chosen
    from router.cli.presence import absence_from
    from router.engine.dead_letters import operator_commands
    from router.runtime.wording import EVIDENCE

    with _opened(site) as (services, ledger):
        which = _filter(services, id_, sink, feed, code, pipeline, since)
        found = chosen(services, ledger, which)
        if not found:
            _nothing(services, ledger, which)
        found = operable(services, Action.REPLAYED, found, as_json=as_json, ordered=not dry_run)
        question = plural("Replay {count} dead letter?", "Replay {count} dead letters?", len(found))
        if not any(dead_letter.is_dead for dead_letter in found):
            question = plural(
                "{count} delivery, no dead letter. Order its replay all the same?",
                "{count} deliveries, no dead letter. Order their replay all the same?",
                len(found),
            )
        _confirm(question, dry_run or yes or as_json)
        producer = None if dry_run else services.bus.producer(f"operator-{os.getpid()}")
        note = begun(services, Action.REPLAYED, which.id, reason, found, dry_run=dry_run)
        before = ledger.get([dead_letter.delivery_id for dead_letter in found if dead_letter.delivery_id])
        moment = services.clock.now()
        answers = operator_commands.replay(
            services.bus,
            ledger,
            found,
            by=account(),
            producer=producer,
            decide_again=decide_again,
            reason=reason,
            names=EVIDENCE,
        )
        told = _all(answers, len(found), as_json)
        note(told)
        ordered = [answer.dead_letter for answer in told if answer.accepted]
        absent = absence_from(services)
        follow, patience = wait and not dry_run, 0.0 if absent else timeout
        became = _became(services, ledger, ordered, before, moment, patience, again=decide_again) if follow else {}
    _tell(told, became, dry_run=dry_run, as_json=as_json, hint=not wait, absent=absent)


@commands.command()
def discard(
    id_: IdArgument,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Why they are given up; it is journalled.", callback=unnamed)
    ],
    site: SiteOption = DEFAULT_SITE,
    dry_run: DryOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Give dead letters up; `dlq take-back` undoes it for seven days. What the intake refused is given up for good."""
    from router.audit.event import Action
    from router.cli.dead_letters import chosen, question_of_discard
    from router.cli.presence import absence_from
    from router.engine.dead_letters import operator_commands
    from router.runtime.wording import EVIDENCE

    if not reason.strip():
        fail(_("a reason is needed: it is what your colleagues will read"))
    with _opened(site) as (services, ledger):
        which = _filter(services, id_, "", "", "", "", "")
        found = chosen(services, ledger, which)
        if not found:
            _nothing(services, ledger, which)
        found = operable(services, Action.DISCARDED, found, as_json=as_json, ordered=not dry_run)
        rows = ledger.get([dead_letter.delivery_id for dead_letter in found if dead_letter.delivery_id])
        if any(_pending(row) and row.delivery.id != which.id for row in rows.values()):
            fail(
                _("none of them is a dead letter (any more): one that still waits is given up by its delivery's id"),
                Exit.BAD,
            )
        _confirm(question_of_discard(found), dry_run or yes or as_json)
        producer = None if dry_run else services.bus.producer(f"operator-{os.getpid()}")
        note = begun(services, Action.DISCARDED, which.id, reason, found, dry_run=dry_run)
        answers = operator_commands.discard(
            services.bus, ledger, found, by=account(), reason=reason, producer=producer, names=EVIDENCE
        )
        told = _all(answers, len(found), as_json)
        note(told)
        absent = absence_from(services)
    _tell(told, {}, dry_run=dry_run, as_json=as_json, hint=False, absent=absent)


def _became(
    services: SiteServices,
    ledger: Ledger,
    ordered: list[DeadLetter],
    before: Mapping[str, Row],
    moment: float,
    timeout: float,
    *,
    again: bool,
) -> dict[str, list[Became]]:
    """What the orders of that moment came to, by delivery, or by event for those that go through the pipelines."""
    from router.cli.waiting import wait_for, wait_for_events

    deliveries = [dead_letter.delivery_id for dead_letter in ordered if dead_letter.delivery_id and not again]
    events = list(
        dict.fromkeys(dead_letter.event_id for dead_letter in ordered if again or not dead_letter.delivery_id)
    )
    start = time.monotonic()
    found = {one.delivery: [one] for one in wait_for(ledger, deliveries, before, timeout)} if deliveries else {}
    left = max(0.0, timeout - (time.monotonic() - start))
    return found | (wait_for_events(services.journal, events, moment, left) if events else {})


def _pending(row: Row) -> bool:
    """Whether this delivery is neither made, nor given up, nor a dead letter."""
    from router.engine.delivery.supersession_rules import FINAL

    return row.state not in FINAL


def _confirm(question: str, certain: bool) -> None:
    if not certain:
        confirm(question)


def _all(answers: Iterator[Answer], count: int, as_json: bool) -> list[Answer]:
    """Every answer, behind a progress bar on the standard error."""
    return list(answers if as_json else track(answers, "", total=count, console=errors, transient=True))


def _tell(
    told: list[Answer],
    became: dict[str, list[Became]],
    *,
    dry_run: bool,
    as_json: bool,
    hint: bool,
    absent: str = "",
) -> None:
    from router.cli.dead_letters import show_answer
    from router.cli.waiting import show_became

    refused = [answer for answer in told if not answer.accepted]
    ends = [one for several in became.values() for one in several]
    if as_json:
        show_json([_answer_json(answer) | {"became": _ends_json(answer.dead_letter, became)} for answer in told])
    else:
        template = (
            N_("{count} would be done, {refused} refused") if dry_run else N_("{count} ordered, {refused} refused")
        )
        console.print(_(template, count=len(told) - len(refused), refused=len(refused)))
        for answer in refused:
            show_answer(answer)
        show_became(ends, absent if not dry_run and len(told) > len(refused) else "")
        if hint and not (dry_run or absent) and len(told) > len(refused):
            console.print(_("`explain` tells what becomes of them; `--wait` waits for it"), style="dim")
    bad = refused or any(not one.good for one in ends)
    raise typer.Exit(Exit.BAD if bad else Exit.GOOD)


def _ends_json(dead_letter: DeadLetter, became: dict[str, list[Became]]) -> list[dict[str, object]] | None:
    found = became.get(dead_letter.delivery_id) or became.get(dead_letter.event_id)
    return None if found is None else [asdict(one) for one in found]


def _answer_json(answer: Answer) -> dict[str, object]:
    dead_letter = answer.dead_letter
    return {
        "delivery": dead_letter.delivery_id,
        "event": dead_letter.event_id,
        "accepted": answer.accepted,
        "code": answer.code,
        "text": answer.text,
        "proof": answer.proof,
    }
