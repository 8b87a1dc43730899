"""`look_up`: find the mailbox of recipients that came without one; the only use of the directory for routing (D5).

Whom it can't find keeps no address and gets a refusal 510: the sender is told by a Z02 `N`, the others are served.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from router.directory.directory import Directory
from router.directory.resolve import BAD_ADDRESS, Resolver
from router.exchange import Decision, Exchange
from router.language import filled
from router.request import Patient, Recipient
from router.steps.step_type import StepType
from router.strict import Strict

STEP = "look_up"


class LookUpStep(Strict):
    """`look_up: {recipients: annuaire, when: address_missing, ambiguous: refuse}`"""

    recipients: Literal["annuaire"] = Field("annuaire", description="Where mailboxes are looked up.")
    when: Literal["address_missing"] = Field(
        "address_missing", description="An address that came with the message is never replaced."
    )
    ambiguous: Literal["refuse", "toutes"] = Field(
        "refuse", description="Several mailboxes for one professional: refuse (told to the sender), or all of them."
    )


class LookUp:
    """Returns the exchange with the addresses it found, the refusals, and one decision per recipient looked up."""

    def __init__(self, config: LookUpStep, directory: Directory) -> None:
        self._resolver = Resolver(
            directory.annuaire, directory.liste_blanche, directory.config.mailboxes, ambiguous=config.ambiguous
        )

    def __call__(self, exchange: Exchange) -> Exchange:
        request = exchange.request
        if request is None or all(map(_settled, request.recipients)):
            return exchange
        decisions: list[Decision] = []
        recipients: list[Recipient] = []
        for recipient in request.recipients:
            if _settled(recipient):
                recipients.append(recipient)
                continue
            made, decision = self._resolve(recipient, request.patient)
            recipients += made
            decisions.append(decision)
        changed = request.model_copy(update={"recipients": tuple(recipients)})
        return replace(exchange, request=changed, decisions=(*exchange.decisions, *decisions))

    def _resolve(self, recipient: Recipient, patient: Patient) -> tuple[list[Recipient], Decision]:
        found = self._resolver.find(recipient, patient)
        place = f"PRT^{recipient.rank}"
        if not found.addresses:
            refused = recipient.model_copy(update={"refusal": (BAD_ADDRESS, found.reason)})
            return [refused], Decision(
                STEP, filled("{place} : {text}", place=place, text=found.reason), f"MSS-{BAD_ADDRESS}"
            )
        made = [recipient.model_copy(update={"address": address}) for address in found.addresses]
        return made, Decision(STEP, filled("{place} : {text}", place=place, text=found.reason))


def _settled(recipient: Recipient) -> bool:
    return bool(recipient.address) or recipient.refusal is not None


LOOK_UP = StepType(
    name="look_up",
    model=LookUpStep,
    description="Find the mailbox of recipients that came without one.",
    build=lambda config, tools: LookUp(config, tools.directory),
)
