"""The sink: one delivery, one mail, one recipient. What it promises is in `router.contracts.Sink`.

Message-ID and ENVID derive from the delivery's id, ENVID with the site's secret, and the Date from its first attempt:
a repeat after an unknown outcome is the same mail again, and a report that comes back names its delivery.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import date
from functools import partial
from typing import Literal

from router.cisis.age import day_of
from router.contracts import Attempt, Outcome
from router.contracts.keeping import Kept, Kind
from router.directory.addresses import addr_spec, domain_of
from router.errors import Malformed, OperatorFault, Overtaken, Refused
from router.exchange import Delivery
from router.language import N_, filled
from router.payload import NOTICE, DocumentOrder, reply_context, unpack_documents, unpack_order
from router.rendering.renderer import Rendered, Renderer
from router.request import Action, Recipient, TransmissionRequest
from router.sinks.mssante import guards
from router.sinks.mssante.bodies import body
from router.sinks.mssante.codes import TOO_BIG
from router.sinks.mssante.contents import Contents, NoCopy, Packer, page_to_render, render_key, wanted
from router.sinks.mssante.earlier import DOCUMENTS, NOTHING_KNOWN, Earlier, evidence, look
from router.sinks.mssante.mail import Mail, build, envid
from router.sinks.mssante.naming import official_label
from router.sinks.mssante.pace import Pace
from router.sinks.mssante.qualified import documents_hold_ins
from router.sinks.mssante.safety import unsafe
from router.sinks.mssante.settings import LEG, MssanteConfig
from router.sinks.mssante.smtp import Accepted, Envelope, Submission
from router.sinks.mssante.spoken_of import facts
from router.sinks.mssante.subject import notice_subject, subject
from router.sinks.tools import Tools
from router.structures import StructureConfig

log = logging.getLogger(__name__)

_TOO_LARGE = f"MSS-{TOO_BIG}"
LARGE = 1 << 20
"""Bytes of documents from which the archive is made off the event loop."""


class MssanteSink:
    """Sends documents by MSSanté. Lives on one event loop."""

    def __init__(self, name: str, config: MssanteConfig, tools: Tools) -> None:
        """Raises `OperatorFault` when production is asked for what only qualification may do."""
        self.name = name
        self.on_unknown: Literal["verify", "repeat", "hold"] = config.on_unknown
        self._config = config
        self._tools = tools
        self._packer = Packer(config)
        self._renderer = Renderer()
        self._submission = Submission(config, monotonic=tools.clock.monotonic)
        self._pace = Pace(config, tools.turns, tools.clock.monotonic)
        self._slots = asyncio.Semaphore(config.connections)
        self._packing = asyncio.Lock()
        self._asking = asyncio.Lock()
        self._testing = asyncio.Lock()
        self._sender_seen = ""
        for found in unsafe(config, tools.environment):
            raise OperatorFault("MSS-PRODUCTION", found.key, found.text)

    async def deliver(self, delivery: Delivery, attempt: Attempt) -> Outcome:
        """Send the mail. Success means that our operator took it: the proof of reception is the DSN."""
        order = unpack_order(delivery.payload)
        recipient = _recipient(order)
        sender = self._sender(order.structure)
        domains = self._config.patient_domains
        guards.check(
            order,
            recipient,
            environment=self._tools.environment,
            patient_domains=domains,
            today=self._today(),
        )
        if order.options.get(NOTICE) and (await self._before(delivery, order, sender)).nothing:
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
        documents = unpack_documents(delivery.payload)
        structure = order.structure or StructureConfig(name="", source_oid="")
        before = await self._before(delivery, order, sender)
        contents = await self._contents(order, documents, structure, delivery, before, patient=patient)
        try:
            return await self._submit(delivery, attempt, order, structure, sender, contents, before, patient=patient)
        except Refused as fault:
            if fault.code != _TOO_LARGE or not contents.copy or self._config.trop_gros == "refuser":
                raise
        contents = await self._packed(order, documents, structure, delivery, alone=True)
        return await self._submit(delivery, attempt, order, structure, sender, contents, before, patient=patient)

    async def _submit(
        self,
        delivery: Delivery,
        attempt: Attempt,
        order: DocumentOrder,
        structure: StructureConfig,
        sender: str,
        contents: Contents,
        before: Earlier,
        *,
        patient: bool,
    ) -> Outcome:
        mail = self._mail(
            delivery, attempt, order, structure, before, sender=sender, patient=patient, contents=contents
        )
        raw = build(mail)
        limit = self._config.max_patient_mail_bytes if patient else self._config.max_mail_bytes
        if len(raw) > limit:
            raise Refused(_TOO_LARGE, "MAIL", filled("message de plus de {megabytes} Mo", megabytes=limit // 1_000_000))
        self._keep(delivery, raw)
        kept = Kept(delivery_id=delivery.id, event_id=delivery.event_id, kind=Kind.MAIL, parts=(raw,))
        digest = await self._tools.keeper.keep(kept)
        named = envid(delivery.id, self._tools.pseudonyms)
        envelope = Envelope(
            sender, mail.to, named, order.request.ack_reception, facts(order, contents, self._tools.pseudonyms)
        )
        accepted = await self._submission.send(envelope, raw, attempt.recheck)
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
        await self._renderer.close()
        await self._submission.close()

    # ------------------------------------------------------------------------------------------------ checks

    def _sender(self, structure: StructureConfig | None) -> str:
        """The sending BAL. Raises `Refused` when neither the structure nor the sink names one: others have theirs."""
        sender = (structure.mailbox if structure else "") or self._config.mailbox or ""
        try:
            self._sender_seen = addr_spec(sender)
        except ValueError as error:
            raise Refused("MSS-MAILBOX", "mailbox", "aucune boîte d'envoi pour cette structure") from error
        return self._sender_seen

    async def _admitted(self, recipient: Recipient) -> None:
        """Raises `Refused` `MSS-510` for a domain outside the liste blanche, even after one refresh (promise 6)."""
        liste = self._tools.directory.liste_blanche
        domain = domain_of(recipient.address)
        if liste.admits(domain):
            return
        async with self._testing:  # not `_asking`: a source that is slow to answer must not hold up other mails
            if not liste.admits(domain):
                await asyncio.to_thread(liste.retest, domain)
        if not liste.admits(domain):
            raise Refused("MSS-510", "RCT", "domaine absent de la liste blanche MSSanté")

    # --------------------------------------------------------------------------------------------- the mail

    async def _contents(
        self,
        order: DocumentOrder,
        documents: list[bytes],
        structure: StructureConfig,
        delivery: Delivery,
        before: Earlier,
        *,
        patient: bool,
    ) -> Contents:
        """The attachments; none when a deletion is told to a patient: a wrong patient's document stays here (D1).

        None either in a notice (D19), when the deleted document names several patients (R39), or when it is not what
        this recipient was sent.
        """
        if order.options.get(NOTICE) or guards.several_patients(order.request):
            return Contents(())
        if patient and order.request.action is Action.DELETE:
            if self._config.suppression_patient == "retenir":
                raise Refused("MSS-554", "RCT", "avis de suppression au patient retenu par la configuration")
            if self._config.suppression_patient == "avis-seul" or guards.hidden(order.request, self._today()):
                return Contents(())
        if not before.carried(order.request.action):
            return Contents(())
        try:
            return await self._packed(order, documents, structure, delivery)
        except NoCopy:
            rendered = await self._renderer.render(
                render_key(order, documents), lambda: page_to_render(order, documents)
            )
            return await self._packed(order, documents, structure, delivery, rendered)

    async def _packed(
        self,
        order: DocumentOrder,
        documents: list[bytes],
        structure: StructureConfig,
        delivery: Delivery,
        rendered: Rendered | None = None,
        *,
        alone: bool = False,
    ) -> Contents:
        """Archive and copy, off the event loop when they are large. Raises `NoCopy` as `Packer.pack` does."""
        work = partial(self._packer.pack, order, documents, structure, delivery.event_id, rendered, alone=alone)
        async with self._packing:
            return work() if sum(map(len, documents)) < LARGE else await asyncio.to_thread(work)

    def _mail(
        self,
        delivery: Delivery,
        attempt: Attempt,
        order: DocumentOrder,
        structure: StructureConfig,
        before: Earlier,
        *,
        sender: str,
        patient: bool,
        contents: Contents,
    ) -> Mail:
        config, request, carries = self._config, order.request, bool(contents.attachments)
        final = patient and request.no_reply
        return Mail(
            id=delivery.id,
            sender=sender,
            label=structure.label or structure.name,
            to=config.redirect_all_mail or _recipient(order).address,
            reply_to="" if final else self._reply_to(request.reply_to),
            subject=subject(request, accents=config.accents)
            if carries
            else notice_subject(self._title(request), request.action),
            date=attempt.first or self._tools.clock.now(),
            read_receipt=request.ack_lecture,
            return_receipt=config.return_receipt_to,
            qualified=documents_hold_ins(request) if carries else None,
            codes=tuple(document.code.code for document in request.documents) if carries else (),
            nil=config.nil,
            final=final,
            references=before.references,
            text=self._text(order, structure, contents, before, patient=patient),
            attachments=contents.attachments,
        )

    def _text(
        self, order: DocumentOrder, structure: StructureConfig, contents: Contents, before: Earlier, *, patient: bool
    ) -> str:
        """The body. Without a document it is our notice alone: the sender's text would speak of one (D1)."""
        return body(
            order.request,
            patient=patient,
            structure=structure.name,
            texts=self._config.texts,
            notice_first=self._config.avis_devant_corps,
            kind=contents.kind,
            title=None if contents.attachments else self._title(order.request),
            earlier=bool(order.options.get(NOTICE)),
            before=before,
        )

    def _today(self) -> date:
        return day_of(self._tools.clock.now())

    def _title(self, request: TransmissionRequest) -> str:
        """How a notice names the document: by its official type, and not even so when the patient may not see it."""
        return "document de santé" if guards.hidden(request, self._today()) else official_label(request.principal)

    def _reply_to(self, address: str) -> str:
        """Where to answer, if it is an address of the espace de confiance; else none, and the mail goes anyway."""
        if not address:
            return ""
        try:
            domain = domain_of(address)
        except ValueError:
            log.warning("Reply-To left out: not an address", extra={"sink": self.name})
            return ""
        if not self._tools.directory.liste_blanche.admits(domain):
            log.warning("Reply-To left out: domain not in the liste blanche", extra={"sink": self.name})
            return ""
        return address

    async def _before(self, delivery: Delivery, order: DocumentOrder, sender: str) -> Earlier:
        """What this recipient was sent of the document before; asked for a replacement or a deletion only."""
        if order.request.action is Action.INITIAL or not delivery.lineage:
            return NOTHING_KNOWN
        tools = self._tools
        async with self._asking:
            return await asyncio.to_thread(look, tools.archive, delivery, order.request, sender, tools.pseudonyms)

    def _keep(self, delivery: Delivery, raw: bytes) -> None:
        """In qualification, the mail as a file that people can open."""
        if self._config.keep is not None:
            self._config.keep.mkdir(parents=True, exist_ok=True)
            (self._config.keep / f"{delivery.id}.eml").write_bytes(raw)

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
        return Outcome(
            code="MSS-250",
            text=N_("pris en charge par l'opérateur MSSanté, sans copie PDF")
            if contents.attachments and not contents.copy
            else N_("pris en charge par l'opérateur MSSanté"),
            evidence={key: value for key, value in told.items() if value},
        )


def _recipient(order: DocumentOrder) -> Recipient:
    if order.recipient is None:
        raise Malformed("PAYLOAD", "", "a mail without a recipient")
    return order.recipient
