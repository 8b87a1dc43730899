"""`look_up`: find the mailbox of recipients that came without one; the only use of the directory for routing (D5).

Whom it can't find keeps no address and gets a refusal 510: the sender is told by a Z02 `N`, the others are served.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Literal

from pydantic import Field

from router.contracts import Header
from router.directory.directory import Directory
from router.directory.resolve import BAD_ADDRESS
from router.errors import Unavailable
from router.exchange import Decision, Exchange
from router.language import filled
from router.request import Patient, Recipient
from router.steps.step_type import StepType
from router.strict import Strict

STEP = "look_up"
NO_ANSWER: Final = "451"
"""SMTPERRORCODE when the directory could not answer for as long as the site waits: nobody knows the mailbox."""


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
        self._resolver = directory.resolver(config.ambiguous)
        self._patience = directory.config.patience_hours * 3600
        self._clock = directory.clock

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
            made, decision = self._resolve(recipient, request.patient, self._waited(exchange))
            recipients += made
            decisions.append(decision)
        changed = request.model_copy(update={"recipients": tuple(recipients)})
        return replace(exchange, request=changed, decisions=(*exchange.decisions, *decisions))

    def _resolve(self, recipient: Recipient, patient: Patient, waited: float) -> tuple[list[Recipient], Decision]:
        """Raises `Unavailable` while the directory can't answer: the message waits, a mailbox may well exist."""
        place = f"PRT^{recipient.rank}"
        try:
            found = self._resolver.find(recipient, patient)
        except Unavailable as fault:
            if waited < self._patience:
                raise
            hours = round(self._patience / 3600)
            reason = filled(
                "annuaire sans réponse depuis {count} h ({code}) : à renvoyer", count=hours, code=fault.code
            )
            return _refused(recipient, place, NO_ANSWER, reason)
        if not found.addresses:
            return _refused(recipient, place, BAD_ADDRESS, found.reason)
        made = [recipient.model_copy(update={"address": address}) for address in found.addresses]
        return made, Decision(STEP, filled("{place} : {text}", place=place, text=found.reason))

    def _waited(self, exchange: Exchange) -> float:
        """Seconds since the message was accepted; 0 when nobody says, as in a try."""
        accepted = float(exchange.event.headers.get(Header.RECEIVED, "0"))
        return self._clock.now() - accepted if accepted else 0.0


def _refused(recipient: Recipient, place: str, code: str, reason: str) -> tuple[list[Recipient], Decision]:
    refused = recipient.model_copy(update={"refusal": (code, reason)})
    return [refused], Decision(STEP, filled("{place} : {text}", place=place, text=reason), f"MSS-{code}")


def _settled(recipient: Recipient) -> bool:
    return bool(recipient.address) or recipient.refusal is not None


LOOK_UP = StepType(
    name="look_up",
    model=LookUpStep,
    description="Find the mailbox of recipients that came without one.",
    build=lambda config, tools: LookUp(config, tools.directory),
)
