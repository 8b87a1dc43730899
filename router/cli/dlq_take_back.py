"""`segur-router dlq take-back`: what was given up by mistake is a dead letter again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from router.cli.dlq import DryOption, YesOption
from router.cli.free_text import JournalledOption
from router.cli.output import Exit, confirm, console, fail, show_json
from router.cli.rights import operable
from router.cli.site import DEFAULT_SITE, JsonOption, SiteOption, open_site
from router.cli.two_people import begun
from router.config.account import account
from router.language import _, plural

if TYPE_CHECKING:
    from router.contracts import Ledger
    from router.engine.dead_letters.listing import DeadLetter
    from router.runtime.site_services import SiteServices


def add_to(commands: typer.Typer) -> None:
    commands.command("take-back")(take_back)


def take_back(
    id_: Annotated[str, typer.Argument(metavar="ID", help="A delivery, an event, or whatever `explain` takes.")],
    reason: JournalledOption,
    site: SiteOption = DEFAULT_SITE,
    dry_run: DryOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take a discard back, within seven days: nothing is sent until `dlq replay`."""
    from router.audit.event import Action
    from router.cli.dead_letters import show_answer
    from router.engine.dead_letters import operator_commands
    from router.runtime.wording import EVIDENCE

    if not reason.strip():
        fail(_("a reason is needed: it is what your colleagues will read"))
    with open_site(site) as services:
        ledger = services.ledger()
        found = _discarded(services, ledger, id_)
        if not found and _is_known(services, ledger, id_):
            fail(_("nothing of it became a delivery: its discard is final, its sender sends it again"), Exit.BAD)
        if not found:
            fail(_("no delivery is known under this identifier: `segur-router explain` tells what it takes"), Exit.BAD)
        found = operable(services, Action.TAKEN_BACK, found, as_json=as_json, ordered=not dry_run)
        now = services.clock.now()
        dry_run = dry_run or not _may_be_taken_back(ledger, found, now)
        if not (dry_run or yes or as_json):
            confirm(plural("Take {count} discard back?", "Take {count} discards back?", len(found)))
        producer = None if dry_run else services.bus.producer(f"operator-{os.getpid()}")
        note = begun(services, Action.TAKEN_BACK, id_, reason, found, dry_run=dry_run)
        told = list(
            operator_commands.take_back(
                ledger, found, by=account(), reason=reason, now=now, producer=producer, names=EVIDENCE
            )
        )
        note(told)
    refused = [answer for answer in told if not answer.accepted]
    if as_json:
        show_json(
            [
                {"delivery": one.dead_letter.delivery_id, "accepted": one.accepted, "code": one.code, "text": one.text}
                for one in told
            ]
        )
    else:
        template = "{count} would be done, {refused} refused" if dry_run else "{count} ordered, {refused} refused"
        console.print(_(template, count=len(told) - len(refused), refused=len(refused)))
        for answer in refused:
            show_answer(answer)
    raise typer.Exit(Exit.BAD if refused else Exit.GOOD)


def _discarded(services: SiteServices, ledger: Ledger, id_: str) -> list[DeadLetter]:
    """The deliveries under this id whose discard may be taken back; without any those that were discarded, else all of
    them, to be refused with the proof.
    """
    from router.cli.dead_letters import chosen
    from router.contracts import DISCARDED
    from router.engine.dead_letters.listing import Filter, of_row
    from router.engine.delivery.command_handler import take_back_refusal
    from router.runtime.wording import ADVICE

    rows = ledger.get([id_])
    if not rows:
        stories = services.journal.story(id_)
        rows = ledger.get([one.delivery_id for story in stories for one in story.deliveries])
    if not rows:
        causes = chosen(services, ledger, Filter(id=id_))
        rows = ledger.get([dead_letter.delivery_id for dead_letter in causes if dead_letter.delivery_id])
    given_up = [row for row in rows.values() if row.code == DISCARDED]
    able = [row for row in given_up if not take_back_refusal(row, services.clock.now())]
    return [of_row(row, ADVICE) for row in able or given_up or rows.values()]


def _may_be_taken_back(ledger: Ledger, found: list[DeadLetter], now: float) -> bool:
    """Whether there is anything to ask the operator about."""
    from router.engine.delivery.command_handler import take_back_refusal

    rows = ledger.get([dead_letter.delivery_id for dead_letter in found])
    return any(not take_back_refusal(row, now) for row in rows.values())


def _is_known(services: SiteServices, ledger: Ledger, id_: str) -> bool:
    """Whether the id names a message or a cause, though no delivery."""
    from router.cli.dead_letters import chosen
    from router.engine.dead_letters.listing import Filter

    return bool(services.journal.story(id_) or chosen(services, ledger, Filter(id=id_), 1))
