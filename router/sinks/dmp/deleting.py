"""One delivery's deletion: TD3.1b and TD3.3c for each document, each on its own (dmp §1.7, §5.5; decisions D1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from router.contracts import Outcome, Row
from router.errors import Refused, RouterError
from router.language import T_
from router.sinks.dmp import deposit_history, transactions
from router.sinks.dmp.answers import RegistryAnswer
from router.sinks.dmp.job import Job
from router.sinks.dmp.singly import Memory, Part, each, summed_up
from router.xds import metadata
from router.xds.datatypes import oid_of

ALREADY: Final = "déjà supprimé"
LOST: Final = "supprimé par une tentative dont la réponse s'était perdue"


@dataclass(frozen=True, slots=True)
class Shown:
    """What the DMP shows of some documents: their references; and of which it could not be asked."""

    found: Mapping[Part, tuple[str, ...]] = field(default_factory=dict)
    faults: Mapping[Part, RouterError] = field(default_factory=dict)

    def __or__(self, other: Shown) -> Shown:
        return Shown({**self.found, **other.found}, {**self.faults, **other.faults})

    def __bool__(self) -> bool:
        return bool(self.found)


@dataclass(frozen=True, slots=True)
class Deletion:
    """One attempt at the deletion that a job is about."""

    job: Job = field(repr=False)

    async def delete(self) -> Outcome:
        """TD3.1b, then TD3.3c for each document that the DMP has: both of a pair, each on its own (dmp §1.7)."""
        rows, memory = await self.job.rows(), Memory.of(self.job.attempt)
        shown = await self.still_shown(rows)
        faults = dict(shown.faults)
        made: dict[Part, str] = {}
        if shown.found:
            gone = deposit_history.deleted(
                rows, self.job.delivery.document, self.job.delivery.id, [part.unique_id for part in self.job.parts]
            )
            act = partial(self._delete_one, shown.found, gone, memory)
            made, refused = await each(shown.found, act, memory, making=True)
            faults |= refused
        if faults:
            raise summed_up(faults, tuple(made), memory, T_("N{n} supprimé"))
        if not made and not memory.made:
            return self._nothing_to_delete(rows)
        return self.job.done("Deleted", " ; ".join(dict.fromkeys(filter(None, made.values()))))

    async def still_shown(self, rows: Sequence[Row] | None = None) -> Shown:
        """What this deletion has to take down, of what the DMP still shows and no earlier attempt took down.

        What the message names, and what we fed under its name: both of a pair. When the version to delete is not
        there, the one that it was to replace may still be shown: that one goes. Of a pair just fed of which only one
        is shown, none is taken down yet: both must go.
        Raises `Refused` when it was deposited under another identity, or when an older version may be there that we
        can't name; `Unavailable` while something may not show yet.
        """
        rows = await self.job.rows() if rows is None else rows
        memory, document = Memory.of(self.job.attempt), self.job.delivery.document
        last = deposit_history.newest_deposit(rows, document)
        self._same_identity(last)
        fed = [Part(level, unique_id) for unique_id, level in deposit_history.known_parts(rows, document).items()]
        wanted = [part for part in dict.fromkeys((*self.job.parts, *fed)) if not memory.has_made(part.unique_id)]
        shown = await self._shown(wanted)
        doubts = deposit_history.doubtful(rows, document)
        tried = doubts if last is None else [*doubts, last]
        missing = [part for part in wanted if part not in shown.found and part not in shown.faults]
        if tried and missing:
            self.job.visible(max(row.updated for row in tried))
        if shown.found or shown.faults or memory.made:
            return shown | await self._older(rows, missing)
        older = {row.delivery.document for row in doubts} - {document}
        if older and (doubt := await self._in_doubt(older, deposit_history.predecessor(rows, document))).found:
            return doubt
        if last is not None and last.delivery.document != document:
            return await self._shown(
                [Part(level, unique_id) for level, unique_id in deposit_history.deposited_ids(last)]
            )
        return Shown()

    async def _older(self, rows: Sequence[Row], missing: Sequence[Part]) -> Shown:
        """Of a version of which one document never arrived, what it was to replace is shown still: that goes too."""
        older = []
        for part in missing:
            last = deposit_history.newest_deposit(rows, self.job.delivery.document, part.level)
            if last is not None and last.delivery.document != self.job.delivery.document:
                older += [Part(level, one) for level, one in deposit_history.deposited_ids(last) if level == part.level]
        return await self._shown(older)

    async def _in_doubt(self, older: set[str], predecessor: str) -> Shown:
        """What the DMP shows of older versions of unknown outcome: the document names its predecessor, nobody more."""
        if older != {predecessor}:
            text = "une version antérieure a peut-être atteint le DMP : vérifier et supprimer par withdraw"
            raise Refused("PFI-DELETE-DOUBT", "TD3.1b", text)
        headers = self.job.case.request.documents
        return await self._shown([Part(one.level, former) for one in headers if (former := self.job.former(one))])

    async def _shown(self, parts: Sequence[Part]) -> Shown:
        """Of these, what the DMP finds; a refusal of one question never leaves the next unasked."""

        async def find(part: Part) -> tuple[str, ...]:
            return await self.job.dialogue.find(part.unique_id)

        found, faults = await each(parts, find, Memory.of(self.job.attempt), making=False)
        return Shown({part: references for part, references in found.items() if references}, faults)

    async def _delete_one(
        self, found: Mapping[Part, Sequence[str]], gone: frozenset[str], memory: Memory, part: Part
    ) -> str:
        """As Approved; when the state is another, ask again once and try Archived as well. Returns what to add.

        `gone`: uniqueIds that we know deleted. A DMP that goes on showing them says that their state has changed.
        """
        unique_id, reference = part.unique_id, found[part][-1]
        answer = await self._update(unique_id, reference, transactions.APPROVED)
        if not answer.ok and self.job.kind(answer) == "requery":
            again = await self.job.dialogue.find(unique_id)
            if not again:
                return ""
            if again[-1] != reference:
                answer = await self._update(unique_id, again[-1], transactions.APPROVED)
            if not answer.ok and self.job.kind(answer) == "requery":
                answer = await self._update(unique_id, again[-1], transactions.ARCHIVED)
        if answer.ok:
            return ""
        if self.job.kind(answer) in ("requery", "duplicate") and (unique_id in gone or memory.is_unsure(unique_id)):
            return ALREADY if unique_id in gone else LOST
        raise self.job.refusal(answer, transactions.DELETE.name)

    async def _update(self, unique_id: str, entry_uuid: str, status: str) -> RegistryAnswer:
        await self.job.context.pace.turn(self.job.structure.id_nat)
        lot = metadata.submission_set(
            self.job.case.request,
            self.job.structure,
            unique_id=oid_of(self.job.delivery.id, f"delete {unique_id} {status} {entry_uuid}"),
            now=self.job.context.tools.clock.now(),
            codes=self.job.context.codes,
        )
        body = transactions.delete(lot, entry_uuid, status)
        return await self.job.dialogue.registry(
            transactions.DELETE, body, submission_set=lot.unique_id, document=unique_id
        )

    def _nothing_to_delete(self, rows: Sequence[Row]) -> Outcome:
        """The DMP has none of the documents, and would show them by now.

        Raises `Refused` `PFI-DELETE-ABSENT` when we can't say why.
        """
        if self.job.attempt.unknown:
            return self.job.done("Deleted", LOST)
        named = [part.unique_id for part in self.job.parts]
        if deposit_history.deleted(rows, self.job.delivery.document, self.job.delivery.id, named):
            return self.job.done("Deleted", ALREADY)
        if deposit_history.known_unfed(rows, self.job.delivery.document):
            return self.job.done("NeverFed", "le document n'avait jamais atteint le DMP : rien à supprimer")
        raise Refused("PFI-DELETE-ABSENT", "TD3.1b", "le document à supprimer n'est pas dans le DMP")

    def _same_identity(self, deposit: Row | None) -> None:
        """Raises `Refused` `PFI-PATIENT`: deposited under another identity, `withdraw` is the way (decisions D1)."""
        under = deposit.evidence.get(deposit_history.PATIENT, "") if deposit else ""
        if under and under != self.job.patient:
            text = "déposé sous une autre identité : suppression par la commande withdraw"
            raise Refused("PFI-PATIENT", "PID-3", text)
