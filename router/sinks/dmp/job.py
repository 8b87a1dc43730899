"""One delivery's transactions to publish and to replace (dmp §1.1, §1.8, §5.5; decisions D1); see also `deleting`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from functools import partial
from typing import Final

from router.contracts import Attempt, Outcome, Row
from router.errors import Refused, Unavailable
from router.exchange import Delivery
from router.language import T_
from router.payload import reply_context
from router.request import Action, DocumentHeader
from router.sinks.dmp import deposit_history, transactions
from router.sinks.dmp.answers import RegistryAnswer
from router.sinks.dmp.canonical import document_digest
from router.sinks.dmp.channel import Pace
from router.sinks.dmp.dialogue import Dialogue
from router.sinks.dmp.lot import Content, publication, set_id
from router.sinks.dmp.preflight import Case
from router.sinks.dmp.settings import LEG, DmpConfig
from router.sinks.dmp.singly import Memory, Part, each, summed_up
from router.sinks.tools import Tools
from router.structures import StructureConfig
from router.xds import metadata
from router.xds.tables import Tables

LARGE: Final = 1 << 20
"""Bytes of documents from which they are checked, and their canonical form is made, off the event loop."""


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
    def parts(self) -> tuple[Part, ...]:
        """The documents of the request, in its order."""
        return tuple(Part(header.level, header.uid) for header in self.case.request.documents)

    @property
    def structure(self) -> StructureConfig:
        """The structure the sender speaks for. Raises `Refused` `PFI-SENDER` when the site knows none."""
        if self.case.order.structure is None:
            raise Refused("PFI-SENDER", "PRT-8", "structure émettrice absente de la configuration")
        return self.case.order.structure

    # --------------------------------------------------------------------------------------- initial and replace

    async def feed(self) -> Outcome:
        """TD2.1, after TD3.1b of the predecessor when it replaces one.

        A pair of first versions is one lot; the documents of a replacement leave one by one (decisions D1).
        """
        request = self.case.request
        if request.action is not Action.REPLACE:
            return self.done(*await self._feed(range(len(request.documents)), {}, self._sets()[0]))
        memory, rows = Memory.of(self.attempt), await self.rows()
        left = [part for part in self.parts if not memory.has_made(part.unique_id)]
        results, faults = await each(left, partial(self._replace_one, rows, memory), memory, making=True)
        if faults:
            raise summed_up(faults, tuple(results), memory, T_("N{n} remplacé"))
        statuses = [status for status, _ in results.values()]
        notes = " ; ".join(dict.fromkeys(note for _, note in results.values() if note))
        return self.done("Duplicate" if "Duplicate" in statuses else "Success", notes)

    async def _replace_one(self, rows: Sequence[Row], memory: Memory, part: Part) -> tuple[str, str]:
        """TD3.1b, TD2.1 of one document; once more when the reference of its predecessor was stale."""
        number = self.parts.index(part)
        replaced = await self._replaced(rows, number)
        unsure = memory.is_unsure(part.unique_id)
        set_unique_id = self._sets()[number]
        try:
            return await self._feed([number], replaced, set_unique_id, unsure=unsure)
        except _Stale as stale:
            again = await self._replaced(rows, number, tried=replaced)
            if again == replaced:
                raise self.refusal(stale.answer, transactions.PUBLISH.name) from None
        try:
            return await self._feed([number], again, set_unique_id, unsure=unsure)
        except _Stale as stale:
            raise self.refusal(stale.answer, transactions.PUBLISH.name) from None

    async def _feed(
        self, numbers: Sequence[int], replaced: Mapping[str, str], set_unique_id: str, *, unsure: bool | None = None
    ) -> tuple[str, str]:
        """TD2.1 of these documents as one lot: (status, text). Raises `_Stale` when what it replaces was not found."""
        answer = await self._publish(numbers, replaced, set_unique_id)
        if answer.ok:
            return "Success", self._notes(answer)
        kind = self.kind(answer)
        if kind == "duplicate" and await self._is_ours(answer, set_unique_id, numbers, unsure):
            return "Duplicate", "déjà enregistré par une tentative dont la réponse s'était perdue"
        if kind == "requery" and replaced:
            raise _Stale(answer)
        raise self.refusal(answer, transactions.PUBLISH.name)

    async def _is_ours(
        self, answer: RegistryAnswer, set_unique_id: str, numbers: Sequence[int], unsure: bool | None
    ) -> bool:
        """Whether the identifier that exists already is there by an earlier attempt of ours, with the same bytes.

        The set's identifier derives from the delivery's, which derives from the bytes: where the DMP names it, it is
        this lot (IHE TF-3: codeContext gives the identifier). Otherwise an attempt of unknown outcome must have been
        made, and no other delivery of ours may have fed the document with other bytes.
        """
        mine = {self.case.request.documents[number].uid: self.case.request.documents[number] for number in numbers}
        if any(set_unique_id in one.context for one in answer.errors):
            return len(mine) == 1 or all([await self.dialogue.find(uid) for uid in mine])  # it may be there by half
        if not (self.attempt.unknown if unsure is None else unsure):
            return False
        rows = await self.rows()
        other = [deposit_history.hashes(row) for row in rows if row.delivery.id != self.delivery.id]
        return all(fed.get(uid, header.sha1) == header.sha1 for fed in other for uid, header in mine.items())

    async def _publish(self, numbers: Sequence[int], replaced: Mapping[str, str], set_unique_id: str) -> RegistryAnswer:
        config, request = self.context.config, self.case.request
        contents = [await self._content(number) for number in numbers]
        await self.context.pace.turn(self.structure.id_nat)
        self.attempt.recheck()
        now = self.context.tools.clock.now()
        lot = metadata.submission_set(
            request, self.structure, unique_id=set_unique_id, now=now, codes=self.context.codes
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
        return await self.dialogue.registry(
            transactions.PUBLISH, made.body, made.attachments, submission_set=set_unique_id
        )

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

    async def _replaced(
        self, rows: Sequence[Row], number: int, tried: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """Entry id -> entryUUID of what this document replaces; `tried`: a reference that turned out to be stale."""
        header = self.case.request.documents[number]
        former = self.former(header)
        references = await self.dialogue.find(former) if former else ()
        references = references or await self._instead(rows, header, former)
        stale = (tried or {}).get(_entry_id(number), "")
        if not references:
            return {}
        return {_entry_id(number): next((one for one in reversed(references) if one != stale), stale)}

    async def _instead(self, rows: Sequence[Row], header: DocumentHeader, former: str) -> tuple[str, ...]:
        """The references of what our ledger knows this document replaces, or () to publish as a first version.

        `former`: the predecessor that is named and that the DMP doesn't have; "" for a document of a pair that names
        none. Raises `Refused` `PFI-REPLACE-…` when publishing would be unsafe (decisions D1), `Unavailable` while the
        DMP may not yet show what we have just fed.
        """
        told = deposit_history.ancestry(rows, self.delivery.replaces, self.delivery.id, header.level)
        if told.kind == "absent" and self.context.config.replace_when_absent == "publish":
            return ()
        if told.kind == "none" and not former:
            return ()
        if told.kind == "deposited":
            ancestor = dict(told.ids).get(header.level, "")
            if ancestor and ancestor != former and (references := await self.dialogue.find(ancestor)):
                return references
            self.visible(told.at)
        if not former:
            text = "le document ne nomme pas celui qu'il remplace et aucun dépôt connu ne le dit"
            raise Refused("PFI-REPLACE-UNNAMED", "relatedDocument", text)
        raise Refused("PFI-REPLACE-ABSENT", "TD3.1b", "le document à remplacer n'est pas dans le DMP")

    def former(self, header: DocumentHeader) -> str:
        """The id of what this document replaces; "" when neither it nor, for the principal one, the request says it.

        Some senders name the predecessor of the principal document in both: that is none for the other one.
        """
        request = self.case.request
        principal = request.principal.replaces or request.replaces
        if header is request.principal:
            return principal
        return header.replaces if header.replaces != principal else ""

    def visible(self, deposited: float) -> None:
        """Raises `Unavailable` while the DMP may not yet show what we fed at that time (Unix seconds)."""
        left = deposited + self.context.config.visibility_delay - self.context.tools.clock.now()
        if left > 0:
            text = "le DMP ne montre pas encore la dernière version déposée"
            raise Unavailable("PFI-NOT-YET", "TD3.1b", text, circuit=False, retry_after=left)

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
            "submission_set": " ".join(self._sets()),
            deposit_history.HASHES: " ".join(f"{one.uid}={one.sha1}" for one in request.documents),
            "xds_status": status,
            deposit_history.PATIENT: self.patient,
        }
        digests = self.dialogue.digests
        if sent := digests.get(transactions.PUBLISH.name) or digests.get(transactions.DELETE.name):
            evidence["soap_sha256"] = sent
        return Outcome(text=text, evidence=evidence, context=reply_context(self.case.order, LEG))

    def _sets(self) -> list[str]:
        """Identifiers of the lots of this delivery."""
        singly = self.case.request.action is Action.REPLACE and len(self.parts) > 1
        return (
            [set_id(self.delivery.id, part.unique_id) for part in self.parts] if singly else [set_id(self.delivery.id)]
        )

    async def rows(self) -> Sequence[Row]:
        """Our own past deliveries of this document's lineage, and of its predecessor's where it differs."""
        archive, families = self.context.tools.archive, (self.delivery.lineage, self.delivery.replaces)
        rows: dict[str, Row] = {}
        async with self.context.asking:
            for family in dict.fromkeys(filter(None, families)):
                for row in await asyncio.to_thread(archive.lineage, self.context.name, family):
                    rows[row.delivery.id] = row
        return list(rows.values())

    def kind(self, answer: RegistryAnswer) -> str:
        return self.dialogue.client.verdicts.of(self.dialogue.worst(answer))

    def refusal(self, answer: RegistryAnswer, place: str) -> Exception:
        return self.dialogue.refusal(answer, place)

    def _notes(self, answer: RegistryAnswer) -> str:
        """Warnings of a success, as sentences of ours."""
        sentences = (self.dialogue.client.verdicts.sentence(one.code) for one in answer.errors)
        return " ; ".join(dict.fromkeys(sentences))


class _Stale(Exception):
    """What a lot was to replace is not the document's present reference; `answer` says so."""

    def __init__(self, answer: RegistryAnswer) -> None:
        super().__init__()
        self.answer = answer


def _entry_id(number: int) -> str:
    return f"Document{number + 1:02d}"
