"""`segur-router withdraw`: take a document out of the DMP under the INS it was deposited with (decisions D1)."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from router.audit.event import Action
from router.cli import audited
from router.cli.free_text import unnamed
from router.cli.output import Exit, confirm, console, fail, said, show_json
from router.cli.rights import need_withdrawal, withdrawable
from router.cli.site import DEFAULT_SITE, JsonOption, SiteOption
from router.cli.times import moment
from router.config.account import account
from router.language import _, translated

if TYPE_CHECKING:
    from router.cli.waiting import Became
    from router.runtime.withdraw import Withdrawal


def add_to(app: typer.Typer) -> None:
    app.command()(withdraw)


def withdraw(
    document: Annotated[
        str, typer.Argument(metavar="DOCUMENT", help="The document's id (OID), as `explain` shows it.")
    ],
    reason: Annotated[
        str,
        typer.Option(
            metavar="TEXT", help="Why; it is journalled. No patient's name: the journal holds none.", callback=unnamed
        ),
    ],
    site: SiteOption = DEFAULT_SITE,
    copy: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", exists=True, dir_okay=False, help="The message, when ours has expired."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, do nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="How long to wait for the DMP's answer.")] = 60.0,
    as_json: JsonOption = False,
) -> None:
    """Delete a document from the DMP with the INS of its deposit, when the identity was downgraded since.

    A sender's deletion is then refused, because it no longer carries a qualified INS. Lists who had the document by
    mail: those mails can't be taken back. Needs the account in `operators` of the site file.
    """
    from router.cli.presence import absence_from
    from router.cli.waiting import wait_for
    from router.config.site import Site
    from router.errors import MessageFault
    from router.observe import logs
    from router.runtime.site_services import SiteServices
    from router.runtime.withdraw import Withdrawals

    if not reason.strip():
        fail(_("a reason is needed: it is what your colleagues will read"))
    logs.configure(level="WARNING")
    read = Site(site)
    services = SiteServices(read)
    try:
        need_withdrawal(services, document, reason)
        ledger = services.ledger()
        withdrawals = Withdrawals(services, ledger)
        try:
            planned = withdrawals.plan(document.removeprefix("urn:oid:"), copy, within=withdrawable(services))
        except MessageFault as fault:
            fail(translated(fault.text), Exit.BAD)
        need_withdrawal(services, document, reason, planned.delivery.structure)
        if not as_json:
            _show(planned, document)
        if not (dry_run or yes or as_json):
            confirm(_("Take it out of the DMP?"))
        became: list[Became] = []
        absent = absence_from(services)
        if not dry_run:
            delivery = f"delivery={planned.delivery.id}"
            owned = {document: planned.delivery.structure}
            audited.record(services, Action.WITHDRAWN, "document", owned, reason=reason, detail=delivery)
            withdrawals.order(planned, by=account(), reason=reason, producer_name=f"operator-{os.getpid()}")
            became = wait_for(ledger, [planned.delivery.id], {}, 0.0 if absent else timeout)
    finally:
        services.close()
    _tell(planned, became, absent, as_json=as_json)


def _show(planned: Withdrawal, document: str) -> None:
    from router.cli.waiting import STATES

    deposit, request = planned.deposit, planned.order.request
    console.print(said(_("Document {name}, message {control_id}", name=document, control_id=request.control_id)))
    if deposit is None:
        console.print("  " + _("no deposit in the ledger: the INS is that of the file"), style="yellow")
    else:
        lot = deposit.evidence.get("submission_set", "")
        if lot:
            state = _("deposited {moment}, lot {lot}", moment=moment(deposit.updated), lot=lot)
        else:
            state = _("not deposited yet ({state})", state=_(STATES[deposit.state]))
        console.print(f"  {said(state)}", soft_wrap=True)
    console.print("  " + said(_("TD3.3c goes to {sink}, under the INS of the deposit", sink=planned.delivery.sink)))
    if not planned.received:
        console.print("  " + _("nobody had it by mail"))
        return
    console.print(_("Had it by mail (these can't be taken back: tell them)"), style="bold")
    for one in planned.received:
        doubt = "" if one.certain else f"  [yellow]{said(_('perhaps'))}[/]"
        console.print(f"  {said(one.label)}  [dim]{moment(one.at)}  {said(one.message_id)}[/]{doubt}", soft_wrap=True)


def _tell(planned: Withdrawal, became: list[Became], absent: str, *, as_json: bool) -> None:
    from router.cli.waiting import show_became

    if as_json:
        show_json(
            {
                "delivery": planned.delivery.id,
                "event": planned.delivery.event_id,
                "sink": planned.delivery.sink,
                "deposit": planned.deposit.delivery.id if planned.deposit else None,
                "received": [asdict(one) for one in planned.received],
                "became": [asdict(one) for one in became],
                "running": not absent,
            }
        )
    elif became:
        show_became(became, absent)
    else:
        console.print(_("nothing was sent (--dry-run)"), style="dim")
    raise typer.Exit(Exit.GOOD if all(one.good for one in became) else Exit.BAD)
