"""The sink: one delivery, one mail, one recipient. What it promises is in `router.contracts.Sink`.

Message-ID and ENVID derive from the delivery's id, ENVID with the site's secret, and the Date from its first attempt:
a repeat after an unknown outcome is the same mail again, and a report that comes back names its delivery.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Literal

from router.cisis.age import day_of
from router.contracts import Attempt, Outcome
from router.contracts.keeping import Kept, Kind
from router.directory.addresses import domain_of
from router.errors import OperatorFault, Overtaken, Refused
from router.exchange import Delivery
from router.language import N_
from router.payload import NOTICE, DocumentOrder, reply_context, unpack_order
from router.request import Action, Recipient, TransmissionRequest
from router.sinks.mssante import guards
from router.sinks.mssante.composer import Composed, Composer, recipient_of
from router.sinks.mssante.contents import Contents, wanted
from router.sinks.mssante.earlier import DOCUMENTS, evidence
from router.sinks.mssante.mail import Mail, envid
from router.sinks.mssante.pace import Pace
from router.sinks.mssante.safety import unsafe
from router.sinks.mssante.settings import LEG, MssanteConfig
from router.sinks.mssante.smtp import Accepted, Envelope, Submission
from router.sinks.mssante.spoken_of import facts
from router.sinks.tools import Tools

log = logging.getLogger(__name__)


class MssanteSink:
    """Sends documents by MSSanté. Lives on one event loop."""

    def __init__(self, name: str, config: MssanteConfig, tools: Tools) -> None:
        """Raises `OperatorFault` when production is asked for what only qualification may do."""
        self.name = name
        self.on_unknown: Literal["verify", "repeat", "hold"] = config.on_unknown
        self._config = config
        self._tools = tools
        self._composer = Composer(name, config, tools)
        self._submission = Submission(config, monotonic=tools.clock.monotonic)
        self._pace = Pace(config, tools.turns, tools.clock.monotonic)
        self._slots = asyncio.Semaphore(config.connections)
        self._testing = asyncio.Lock()
        self._sender_seen = ""
        for found in unsafe(config, tools.environment):
            raise OperatorFault("MSS-PRODUCTION", found.key, found.text)

    async def deliver(self, delivery: Delivery, attempt: Attempt) -> Outcome:
        """Send the mail. Success means that our operator took it: the proof of reception is the DSN."""
        order = unpack_order(delivery.payload)
        recipient = recipient_of(order)
        sender = self._sender_seen = self._composer.sender(order.structure)
        domains = self._config.patient_domains
        guards.check(
            order,
            recipient,
            environment=self._tools.environment,
            patient_domains=domains,
            today=day_of(self._tools.clock.now()),
        )
        if order.options.get(NOTICE) and (await self._composer.before(delivery, order, sender)).nothing:
            raise Overtaken("SUPERSEDED", "RCT", "no version was sent to this recipient")
        await self._admitted(recipient)
        await self._pace.turn(sender, urgent=order.request.action is Action.DELETE)
        async with self._slots:
            attempt.recheck()
            return await self._send(delivery, attempt, order, sender, guards.to_patient(recipient, domains))

    async def _send(
        self, delivery: Delivery, attempt: Attempt, order: DocumentOrder, sender: str, patient: bool
    ) -> Outcome:
        """Make the mail and submit it: only as many at once as there are connections, so that memory is bounded."""
        make = self._composer.compose
        made = await make(delivery, order, sender=sender, patient=patient, first=attempt.first)
        try:
            return await self._submit(delivery, attempt, order, made)
        except Refused as fault:
            if not self._composer.may_leave_out(fault, made):
                raise
        made = await make(delivery, order, sender=sender, patient=patient, first=attempt.first, alone=True)
        return await self._submit(delivery, attempt, order, made)

    async def _submit(self, delivery: Delivery, attempt: Attempt, order: DocumentOrder, made: Composed) -> Outcome:
        mail, contents, pieces = made.mail, made.contents, self._composer.built(made)
        self._keep(delivery, pieces)
        kept = Kept(
            delivery_id=delivery.id, event_id=delivery.event_id, kind=Kind.MAIL, parts=pieces, length=pieces.size
        )
        digest = await self._tools.keeper.keep(kept)
        named = envid(delivery.id, self._tools.pseudonyms)
        envelope = Envelope(
            mail.sender, mail.to, named, order.request.ack_reception, facts(order, contents, self._tools.pseudonyms)
        )
        accepted = await self._submission.send(envelope, pieces, attempt.recheck)
        if contents.attachments and wanted(order):
            self._tools.observer.count(
                "pdf_copies_total", sink=self.name, copy=contents.kind or "none", pdfa="1" if contents.claim else "0"
            )
        return self._outcome(mail, envelope, accepted, contents, digest, order.request)

    async def verify(self, delivery: Delivery, attempt: Attempt) -> Outcome | None:  # noqa: ARG002  # the contract's
        """Nothing can be asked of a mail that was cut off: the outcome stays unknown."""
        return None

    def context(self, delivery: Delivery) -> Mapping[str, str]:
        """What feedback answers with; a patient's address is not in it."""
        return reply_context(unpack_order(delivery.payload), LEG)

    async def probe(self) -> None:
        """Connect and log in as the last delivery did."""
        await self._submission.probe(self._sender_seen or self._config.mailbox or "postmaster@localhost")

    async def close(self) -> None:
        await self._composer.close()
        await self._submission.close()

    async def _admitted(self, recipient: Recipient) -> None:
        """Raises `Refused` `MSS-510` for a domain outside the liste blanche, even after one refresh (promise 6)."""
        liste = self._tools.directory.liste_blanche
        domain = domain_of(recipient.address)
        if liste.admits(domain):
            return
        async with self._testing:  # a lock of its own: a source that is slow to answer must not hold up other mails
            if not liste.admits(domain):
                await asyncio.to_thread(liste.retest, domain)
        if not liste.admits(domain):
            raise Refused("MSS-510", "RCT", "domaine absent de la liste blanche MSSanté")

    def _keep(self, delivery: Delivery, pieces: Sequence[bytes]) -> None:
        """In qualification, the mail as a file that people can open."""
        if self._config.keep is not None:
            self._config.keep.mkdir(parents=True, exist_ok=True)
            with (self._config.keep / f"{delivery.id}.eml").open("wb") as file:
                file.writelines(pieces)

    def _outcome(
        self,
        mail: Mail,
        envelope: Envelope,
        accepted: Accepted,
        contents: Contents,
        digest: str,
        request: TransmissionRequest,
    ) -> Outcome:
        told = {
            "message_id": mail.message_id,
            "envid": envelope.envid,
            "to": self._tools.pseudonyms.of("address", mail.to.lower()),
            "queue_id": accepted.queue_id,
            "smtp": accepted.reply,
            "mail_from": mail.sender,
            "dsn": "1" if accepted.dsn else "0",
            "copy": contents.told,
            "mail_sha256": digest,
            DOCUMENTS: evidence(request) if contents.attachments else "",
        }
        if not accepted.dsn and self._config.z02_sans_dsn == "soumission":
            told["proof"] = "soumission"
        alone = contents.attachments and not contents.copy
        return Outcome(
            code="MSS-250",
            text=N_("pris en charge par l'opérateur MSSanté, sans copie PDF")
            if alone
            else N_("pris en charge par l'opérateur MSSanté"),
            evidence={key: value for key, value in told.items() if value},
        )
