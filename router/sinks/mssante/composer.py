"""From the order of a delivery to the mail: its attachments, headers and text. Nothing is sent here.

The same order, settings and Date give the same bytes, so that a mail may be made again for a person who looks at it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Final

from router.cisis.age import day_of
from router.directory.addresses import addr_spec, domain_of
from router.errors import Malformed, Refused
from router.exchange import Delivery
from router.language import filled
from router.payload import NOTICE, DocumentOrder, unpack_documents, unpack_order
from router.rendering.renderer import Rendered, Renderer
from router.request import Action, Recipient, TransmissionRequest
from router.sinks.mssante import guards
from router.sinks.mssante.bodies import body
from router.sinks.mssante.codes import TOO_BIG
from router.sinks.mssante.contents import Contents, NoCopy, Packer, page_to_render, render_key
from router.sinks.mssante.earlier import NOTHING_KNOWN, Earlier, look
from router.sinks.mssante.mail import Mail, Written, build
from router.sinks.mssante.naming import official_label
from router.sinks.mssante.qualified import documents_hold_ins
from router.sinks.mssante.settings import MssanteConfig
from router.sinks.mssante.subject import notice_subject, subject
from router.sinks.tools import Tools
from router.structures import StructureConfig

log = logging.getLogger(__name__)

_TOO_LARGE: Final = f"MSS-{TOO_BIG}"
LARGE: Final = 1 << 20
"""Bytes of documents from which the archive is made off the event loop."""


@dataclass(frozen=True, slots=True)
class Composed:
    """patient: whether it goes to the patient's own mailbox"""

    mail: Mail = field(repr=False)
    contents: Contents = field(repr=False)
    patient: bool


class Composer:
    """Makes the mails of one sink. Lives on one event loop."""

    def __init__(self, name: str, config: MssanteConfig, tools: Tools) -> None:
        self._name = name
        self._config = config
        self._tools = tools
        self._packer = Packer(config)
        self._renderer = Renderer()
        self._packing = asyncio.Lock()
        self._asking = asyncio.Lock()

    async def compose(
        self,
        delivery: Delivery,
        order: DocumentOrder,
        *,
        sender: str,
        patient: bool,
        first: float,
        alone: bool = False,
    ) -> Composed:
        """first: Unix time of the first try, which is the Date; 0 for now.  alone: without the copy beside the archive

        The documents themselves are not held once it returns. Raises `Refused` as the sink's own checks do.
        """
        documents = unpack_documents(delivery.payload)
        structure = order.structure or StructureConfig(name="", source_oid="")
        before = await self.before(delivery, order, sender)
        if alone:
            contents = await self._packed(order, documents, structure, delivery, alone=True)
        else:
            contents = await self._contents(order, documents, structure, delivery, before, patient=patient)
        mail = self._mail(
            delivery, order, structure, before, sender=sender, patient=patient, contents=contents, first=first
        )
        return Composed(mail, contents, patient)

    def built(self, made: Composed) -> Written:
        """The bytes of the mail, in pieces. Raises `Refused` (too large), see `may_leave_out`."""
        pieces, config = build(made.mail), self._config
        limit = config.max_patient_mail_bytes if made.patient else config.max_mail_bytes
        if pieces.size > limit:
            raise Refused(_TOO_LARGE, "MAIL", filled("message de plus de {megabytes} Mo", megabytes=limit // 1_000_000))
        return pieces

    def may_leave_out(self, fault: Refused, made: Composed) -> bool:
        """Whether a mail that was refused as too large may go without its copy."""
        return fault.code == _TOO_LARGE and bool(made.contents.copy) and self._config.trop_gros != "refuser"

    async def again(self, delivery: Delivery, first: float) -> bytes:
        """The mail of a delivery as these settings make it. Raises `Refused`, `Malformed`."""
        order = unpack_order(delivery.payload)
        sender = self.sender(order.structure)
        patient = guards.to_patient(recipient_of(order), self._config.patient_domains)
        made = await self.compose(delivery, order, sender=sender, patient=patient, first=first)
        try:
            return b"".join(self.built(made))
        except Refused as fault:
            if not self.may_leave_out(fault, made):
                raise
        made = await self.compose(delivery, order, sender=sender, patient=patient, first=first, alone=True)
        return b"".join(self.built(made))

    async def close(self) -> None:
        await self._renderer.close()

    async def before(self, delivery: Delivery, order: DocumentOrder, sender: str) -> Earlier:
        """What this recipient was sent of the document before; asked for a replacement or a deletion only."""
        if order.request.action is Action.INITIAL or not delivery.lineage:
            return NOTHING_KNOWN
        tools = self._tools
        async with self._asking:
            return await asyncio.to_thread(look, tools.archive, delivery, order.request, sender, tools.pseudonyms)

    def sender(self, structure: StructureConfig | None) -> str:
        """The sending BAL. Raises `Refused` when neither the structure nor the sink names one: others have theirs."""
        sender = (structure.mailbox if structure else "") or self._config.mailbox or ""
        try:
            return addr_spec(sender)
        except ValueError as error:
            raise Refused("MSS-MAILBOX", "mailbox", "aucune boîte d'envoi pour cette structure") from error

    async def _contents(
        self,
        order: DocumentOrder,
        documents: Sequence[memoryview],
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
        documents: Sequence[memoryview],
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
        order: DocumentOrder,
        structure: StructureConfig,
        before: Earlier,
        *,
        sender: str,
        patient: bool,
        contents: Contents,
        first: float,
    ) -> Mail:
        config, request, carries = self._config, order.request, bool(contents.attachments)
        final = patient and request.no_reply
        return Mail(
            id=delivery.id,
            sender=sender,
            label=structure.label or structure.name,
            to=config.redirect_all_mail or recipient_of(order).address,
            reply_to="" if final else self._reply_to(request.reply_to),
            subject=subject(request, accents=config.accents)
            if carries
            else notice_subject(self._title(request), request.action),
            date=first or self._tools.clock.now(),
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
            log.warning("Reply-To left out: not an address", extra={"sink": self._name})
            return ""
        if not self._tools.directory.liste_blanche.admits(domain):
            log.warning("Reply-To left out: domain not in the liste blanche", extra={"sink": self._name})
            return ""
        return address


def recipient_of(order: DocumentOrder) -> Recipient:
    if order.recipient is None:
        raise Malformed("PAYLOAD", "", "a mail without a recipient")
    return order.recipient
