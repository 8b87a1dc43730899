"""One delivery's transactions: publish, replace, delete (dmp §1.1, §1.7, §1.8, §5.5; decisions D1)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Final

from router.contracts import Attempt, Outcome, Row
from router.errors import Refused, Unavailable
from router.exchange import Delivery
from router.payload import reply_context
from router.request import Action, DocumentHeader
from router.sinks.dmp import deposit_history, transactions
from router.sinks.dmp.answers import RegistryAnswer
from router.sinks.dmp.c14n import document_digest
from router.sinks.dmp.channel import Pace
from router.sinks.dmp.dialogue import Dialogue
from router.sinks.dmp.lot import Content, publication, set_id
from router.sinks.dmp.preflight import Case
from router.sinks.dmp.settings import LEG, DmpConfig
from router.sinks.tools import Tools
from router.structures import StructureConfig
from router.xds import metadata
from router.xds.datatypes import oid_of
from router.xds.tables import Tables

LARGE: Final = 1 << 20
"""Bytes of a document from which its canonical form is made off the event loop."""


@dataclass(frozen=True, slots=True)
class SinkContext:
    """What every job of a sink works with."""

    name: str
    config: DmpConfig
    tools: Tools
    codes: Tables
    zone: tzinfo | None
    pace: Pace
    asking: asyncio.Lock


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt at one delivery; `case` has passed the checks that precede any call."""

    context: SinkContext
    delivery: Delivery
    attempt: Attempt
    case: Case = field(repr=False)
    dialogue: Dialogue = field(repr=False)

    @property
    def structure(self) -> StructureConfig:
        """The structure the sender speaks for. Raises `Refused` `PFI-SENDER` when the site knows none."""
        if self.case.order.structure is None:
            raise Refused("PFI-SENDER", "PRT-8", "structure émettrice absente de la configuration")
        return self.case.order.structure

    # --------------------------------------------------------------------------------------- initial and replace

    async def feed(self) -> Outcome:
        """TD2.1, after TD3.1b of the predecessor when it replaces one; once more when that reference was stale."""
        replaced = await self._replaced()
        answer = await self._publish(replaced)
        if not answer.ok and replaced and self._kind(answer) == "requery":
            again = await self._replaced(tried=replaced)
            if again != replaced:
                answer = await self._publish(again)
        if answer.ok:
            return self.done("Success", self._notes(answer))
        if self._kind(answer) == "duplicate" and self.attempt.unknown:
            return self.done("Duplicate", "déjà enregistré par une tentative dont la réponse s'était perdue")
        raise self._refusal(answer, transactions.PUBLISH.name)

    async def _publish(self, replaced: Mapping[str, str]) -> RegistryAnswer:
        config, request = self.context.config, self.case.request
        contents = [await self._content(number) for number in range(len(request.documents))]
        await self.context.pace.turn()
        self.attempt.recheck()
        now = self.context.tools.clock.now()
        lot = metadata.submission_set(
            request, self.structure, unique_id=set_id(self.delivery.id), now=now, codes=self.context.codes
        )
        made = publication(
            self.delivery.id,
            lot,
            contents,
            replaced=replaced,
            seal=self.dialogue.seal(),
            algorithm=config.lot_digest,
            now=now,
        )
        return await self.dialogue.registry(transactions.PUBLISH, made.body, made.attachments)

    async def _content(self, number: int) -> Content:
        """Entry, bytes and canonical digest of one document."""
        data, algorithm = self.case.documents[number], self.context.config.lot_digest
        entry = metadata.document_entry(
            self.case.request.documents[number],
            self.case.request,
            id=_entry_id(number),
            ipp_oid=self.structure.ipp_oid,
            zone=self.context.zone,
            codes=self.context.codes,
            default_class=self.context.config.default_class,
        )
        if len(data) > LARGE:
            return Content(entry, data, await asyncio.to_thread(document_digest, data, algorithm))
        return Content(entry, data, document_digest(data, algorithm))

    async def _replaced(self, tried: Mapping[str, str] | None = None) -> dict[str, str]:
        """Entry id -> entryUUID of what each document replaces; `tried`: references that turned out to be stale."""
        request = self.case.request
        if request.action is not Action.REPLACE:
            return {}
        found = {}
        for number, header in enumerate(request.documents):
            former = self._former(header)
            if not former:
                continue
            references = await self.dialogue.find(former) or await self._instead(header)
            stale = (tried or {}).get(_entry_id(number), "")
            if references:
                found[_entry_id(number)] = next((one for one in reversed(references) if one != stale), stale)
        return found

    async def _instead(self, header: DocumentHeader) -> tuple[str, ...]:
        """The references of an earlier ancestor that did reach the DMP, or () to publish as a first version.

        The DMP doesn't have the predecessor. Raises `Refused` `PFI-REPLACE-ABSENT` when publishing would be unsafe
        (decisions D1), `Unavailable` while the DMP may not yet show what we have just fed.
        """
        told = deposit_history.ancestry(await self._rows(), self.delivery.replaces, self.delivery.id)
        if told.kind == "absent" and self.context.config.replace_when_absent == "publish":
            return ()
        if told.kind == "deposited":
            self._visible(told.at)
            ancestor = dict(told.ids).get(header.level, "")
            if not told.direct and ancestor and (references := await self.dialogue.find(ancestor)):
                return references
        raise Refused("PFI-REPLACE-ABSENT", "TD3.1b", "le document à remplacer n'est pas dans le DMP")

    # ----------------------------------------------------------------------------------------------------- delete

    async def delete(self) -> Outcome:
        """TD3.1b, then TD3.3c for each document that the DMP has: the pair goes together (dmp §1.7)."""
        rows = await self._rows()
        found = await self.still_shown(rows)
        if not found:
            return self._nothing_to_delete(rows)
        for unique_id, references in found.items():
            await self._delete_one(unique_id, references)
        return self.done("Deleted")

    async def still_shown(self, rows: Sequence[Row] | None = None) -> dict[str, tuple[str, ...]]:
        """What this deletion has to take down: uniqueId -> references of what the DMP still shows.

        When the version to delete is not there, the one that it was to replace may still be shown: that one goes.
        Of a pair just fed of which only one is shown, none is taken down yet: both must go.
        Raises `Refused` when it was deposited under another identity, or when an older version may be there that we
        can't name; `Unavailable` while something may not show yet.
        """
        rows = await self._rows() if rows is None else rows
        last = deposit_history.newest_deposit(rows, self.delivery.document)
        self._same_identity(last)
        named = [header.uid for header in self.case.request.documents]
        found = await self._shown(named)
        doubts = deposit_history.doubtful(rows, self.delivery.document)
        tried = doubts if last is None else [*doubts, last]
        if tried and len(found) < len(named):
            self._visible(max(row.updated for row in tried))
        if found:
            return found
        older = {row.delivery.document for row in doubts} - {self.delivery.document}
        if older and (found := await self._in_doubt(older, deposit_history.predecessor(rows, self.delivery.document))):
            return found
        if last is not None and last.delivery.document != self.delivery.document:
            return await self._shown([unique_id for _, unique_id in deposit_history.deposited_ids(last)])
        return {}

    async def _in_doubt(self, older: set[str], predecessor: str) -> dict[str, tuple[str, ...]]:
        """What the DMP shows of older versions of unknown outcome: the document names its predecessor, nobody more."""
        if older != {predecessor}:
            text = "une version antérieure a peut-être atteint le DMP : vérifier et supprimer par withdraw"
            raise Refused("PFI-DELETE-DOUBT", "TD3.1b", text)
        return await self._shown(list(filter(None, map(self._former, self.case.request.documents))))

    def _former(self, header: DocumentHeader) -> str:
        """The id of what this document replaces; "" when neither it nor, for the principal one, the request says it."""
        request = self.case.request
        return header.replaces or (request.replaces if header is request.principal else "")

    async def _shown(self, ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """uniqueId -> references, of those that the DMP finds."""
        return {unique_id: references for unique_id in ids if (references := await self.dialogue.find(unique_id))}

    def _visible(self, deposited: float) -> None:
        """Raises `Unavailable` while the DMP may not yet show what we fed at that time (Unix seconds)."""
        left = deposited + self.context.config.visibility_delay - self.context.tools.clock.now()
        if left > 0:
            text = "le DMP ne montre pas encore la dernière version déposée"
            raise Unavailable("PFI-NOT-YET", "TD3.1b", text, circuit=False, retry_after=left)

    async def _delete_one(self, unique_id: str, references: Sequence[str]) -> None:
        """As Approved; when the state is another, ask again once and try Archived as well."""
        answer = await self._update(unique_id, references[-1], transactions.APPROVED)
        if not answer.ok and self._kind(answer) == "requery":
            again = await self.dialogue.find(unique_id)
            if not again:
                return
            if again[-1] != references[-1]:
                answer = await self._update(unique_id, again[-1], transactions.APPROVED)
            if not answer.ok and self._kind(answer) == "requery":
                answer = await self._update(unique_id, again[-1], transactions.ARCHIVED)
        if answer.ok or (self.attempt.unknown and self._kind(answer) in ("requery", "duplicate")):
            return
        raise self._refusal(answer, transactions.DELETE.name)

    async def _update(self, unique_id: str, entry_uuid: str, status: str) -> RegistryAnswer:
        await self.context.pace.turn()
        lot = metadata.submission_set(
            self.case.request,
            self.structure,
            unique_id=oid_of(self.delivery.id, f"delete {unique_id} {status} {entry_uuid}"),
            now=self.context.tools.clock.now(),
            codes=self.context.codes,
        )
        return await self.dialogue.registry(transactions.DELETE, transactions.delete(lot, entry_uuid, status))

    def _nothing_to_delete(self, rows: Sequence[Row]) -> Outcome:
        """The DMP has none of the documents, and would show them by now.

        Raises `Refused` `PFI-DELETE-ABSENT` when we can't say why.
        """
        if self.attempt.unknown:
            return self.done("Deleted", "supprimé par une tentative dont la réponse s'était perdue")
        if deposit_history.known_unfed(rows, self.delivery.document):
            return self.done("NeverFed", "le document n'avait jamais atteint le DMP : rien à supprimer")
        raise Refused("PFI-DELETE-ABSENT", "TD3.1b", "le document à supprimer n'est pas dans le DMP")

    def _same_identity(self, deposit: Row | None) -> None:
        """Raises `Refused` `PFI-PATIENT`: deposited under another identity, `withdraw` is the way (decisions D1)."""
        under = deposit.evidence.get(deposit_history.PATIENT, "") if deposit else ""
        if under and under != self.patient:
            text = "déposé sous une autre identité : suppression par la commande withdraw"
            raise Refused("PFI-PATIENT", "PID-3", text)

    # ---------------------------------------------------------------------------------------------------- results

    @property
    def patient(self) -> str:
        """Pseudonym of the INS."""
        identity = self.case.request.patient.ins
        return self.context.tools.pseudonyms.of("ins", identity.value) if identity else ""

    def done(self, status: str, text: str = "") -> Outcome:
        """The outcome of a delivery that succeeded."""
        request = self.case.request
        evidence = {
            "xds_unique_id": request.principal.uid,
            deposit_history.DOCUMENT: " ".join(f"{one.level}={one.uid}" for one in request.documents),
            "submission_set": set_id(self.delivery.id),
            "xds_status": status,
            deposit_history.PATIENT: self.patient,
        }
        return Outcome(text=text, evidence=evidence, context=reply_context(self.case.order, LEG))

    async def _rows(self) -> Sequence[Row]:
        """Our own past deliveries of this document's lineage, and of its predecessor's where it differs."""
        archive, families = self.context.tools.archive, (self.delivery.lineage, self.delivery.replaces)
        rows: dict[str, Row] = {}
        async with self.context.asking:
            for family in dict.fromkeys(filter(None, families)):
                for row in await asyncio.to_thread(archive.lineage, self.context.name, family):
                    rows[row.delivery.id] = row
        return list(rows.values())

    def _kind(self, answer: RegistryAnswer) -> str:
        return self.dialogue.client.verdicts.of(self.dialogue.worst(answer))

    def _refusal(self, answer: RegistryAnswer, place: str) -> Exception:
        return self.dialogue.client.verdicts.fault(self.dialogue.worst(answer), place, self.attempt.number)

    def _notes(self, answer: RegistryAnswer) -> str:
        """Warnings of a success, as sentences of ours."""
        sentences = (self.dialogue.client.verdicts.sentence(one.code) for one in answer.errors)
        return " ; ".join(dict.fromkeys(sentences))


def _entry_id(number: int) -> str:
    return f"Document{number + 1:02d}"
