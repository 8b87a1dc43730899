"""Replay, discard, and a discard taken back: only the owner of the lane obeys (architecture §delivery-state).

A command stands on the sink's own topic with the key of its delivery. Each is journalled with what became of
it. Reading a command twice, after a crash, does nothing the second time.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

from router.contracts import DISCARDED, Header, Outgoing, Record, Row
from router.engine.dead_letters.evidence import proof
from router.engine.delivery import command_marks, row_transitions
from router.engine.delivery.durable_writer import DurableWriter
from router.engine.delivery.lanes import Lanes
from router.engine.delivery.payload_cache import PayloadCache
from router.engine.delivery.pending_delivery import PREDECESSOR, Place
from router.engine.delivery.sink_calls import SinkCalls
from router.engine.delivery.supersession_rules import overtaken_by, versions
from router.engine.delivery.worker_settings import WorkerSettings
from router.exchange import JournalEntry, ReceiptKind, State
from router.wire import journal_record, receipt_record

REPLAY: Final = "replay"
DISCARD: Final = "discard"
TAKE_BACK: Final = "take-back"
TAKEN_BACK_WITHIN: Final = 7 * 86_400.0
"""Seconds after a discard in which it may be taken back."""
_CODE: Final = "discarded_code"
_TEXT: Final = "discarded_text"
BY: Final = "by"
"""Header: who gave the command."""
BYTES_AGAIN: Final = "nouvel envoi (octets perdus)"
"""Who gave the command, when it was a sender that repeated what the bus had lost."""

REFUSALS: Final = {
    "REPLAY-UNKNOWN": "Aucune livraison de cet identifiant.",
    "REPLAY-DONE": "Refusé : déjà livré.",
    "REPLAY-OVERTAKEN": "Refusé : une version ultérieure ou une suppression du même document l'a remplacé.",
    "REPLAY-PENDING": "Refusé : la livraison est encore en cours.",
    "REPLAY-CHANGED": "Refusé : rejoué ou essayé de nouveau depuis que cette liste a été faite ; en refaire une.",
    "DISCARD-DONE": "Refusé : déjà livré.",
    "DISCARD-SUPERSEDED": "Refusé : déjà remplacé ou abandonné.",
    "DISCARD-PENDING": "Refusé : une tentative est en cours.",
    "TAKE-BACK-NONE": "Refusé : ce n'est pas un message en échec abandonné par une personne.",
    "TAKE-BACK-LATE": "Refusé : abandonné il y a plus de 7 jours.",
    "TAKE-BACK-ORDER": "Refusé : ce flux garde l'ordre, et ce qui attendait derrière lui est parti depuis.",
}
"""Why a command was not obeyed; the code stands in the journal, the text is for people."""
ACCEPTED: Final = {REPLAY: "Rejeu accepté.", DISCARD: "Abandon accepté.", TAKE_BACK: "Abandon repris."}


def replay_refusal(row: Row, versions: list[Row]) -> str:
    """Code of why this row can't be replayed, or "". `versions`: what the ledger holds of its document."""
    match row.state:
        case State.DONE:
            return "REPLAY-DONE"
        case State.SUPERSEDED:
            return "REPLAY-OVERTAKEN"
        case State.DEAD:
            return "REPLAY-OVERTAKEN" if overtaken_by(row, versions) else ""
        case State.PARKED if row.code != PREDECESSOR:
            made = [one for one in versions if one.state is State.DONE]  # what waits behind it goes after it
            return "REPLAY-OVERTAKEN" if overtaken_by(row, made) else ""
    return "REPLAY-PENDING"


def discard_refusal(row: Row) -> str:
    """Code of why this row can't be discarded, or ""."""
    codes = {State.DONE: "DISCARD-DONE", State.SUPERSEDED: "DISCARD-SUPERSEDED", State.BEGUN: "DISCARD-PENDING"}
    return codes.get(row.state, "")


def take_back_refusal(row: Row, now: float) -> str:
    """Code of why the discard of this row can't be taken back, or "". Only what was a dead letter becomes one again:
    of any other its sender was told that it was given up.
    """
    if row.state is not State.SUPERSEDED or row.code != DISCARDED or row_transitions.BEFORE not in row.evidence:
        return "TAKE-BACK-NONE"
    if row.delivery.strict:
        return "TAKE-BACK-ORDER"
    return "TAKE-BACK-LATE" if now - row.updated > TAKEN_BACK_WITHIN else ""


class CommandHandler:
    """Obeys the commands of one sink worker; called from its dispatcher, one at a time."""

    def __init__(
        self, settings: WorkerSettings, lanes: Lanes, payloads: PayloadCache, calls: SinkCalls, writer: DurableWriter
    ) -> None:
        self._clock = settings.clock
        self._names = settings.names
        self._lanes = lanes
        self._payloads = payloads
        self._calls = calls
        self._writer = writer

    async def obey(self, record: Record) -> None:
        """Carry out one command record, or say why not."""
        id_, command = record.headers.get(Header.DELIVERY, ""), record.headers[Header.COMMAND]
        row = await self._row(id_)
        if row is None:
            await self._say(record, None, "REPLAY-UNKNOWN")
        elif command_marks.mark(record) not in row.commands:
            obeyed = {DISCARD: self._discard, TAKE_BACK: self._take_back}.get(command, self._replay)
            await obeyed(record, row)

    async def decided_again(self, row: Row, known: Row) -> Row | None:
        """A delivery that today's pipelines made again on purpose: its row, or None when it is refused.

        What the same order of a person brings once more, after a crash, was obeyed already.
        """
        if row.commands and row.commands[-1] in known.commands:
            return None
        refusal = "REPLAY-PENDING" if known.state is not State.DEAD else ""
        refusal = replay_refusal(known, await self._versions(known)) or refusal
        if refusal:
            await self._write(known, refusal, source=row.delivery.pipeline, partition=row.partition)
            return None
        again = replace(
            _here(known, row.partition, row.sequence),  # the same destination of the same event: its lane stays
            delivery=replace(known.delivery, replay=row.delivery.replay),
            bytes_at=row.bytes_at,
            state=State.READY,
            evidence=row_transitions.made_so_far(known.evidence),
            commands=known.commands if not row.commands else command_marks.marked(known.commands, row.commands[-1]),
            waited=0.0,
            last_try=0.0,
            next_try=0.0,
            updated=self._clock.now(),
        )
        await self._writer.write([again.partition], rows=[again])
        return again

    async def bytes_again(self, row: Row, known: Row) -> Row | None:
        """A repeat brings the bytes of a delivery of which the bus has lost them: it is tried with those.

        Returns the row of a dead letter that begins again; None when it is under way, or refused.
        """
        present = await self._row(known.delivery.id)
        if present is None or present.state is State.BEGUN:
            return None
        now = self._clock.now()
        again = replace(_here(present, row.partition, row.sequence), bytes_at=row.bytes_at, updated=now)
        if present.state is not State.DEAD:
            pending = self._lanes.find(known.delivery.id)
            if pending is not None:
                pending.row = again = replace(pending.row, bytes_at=row.bytes_at)
            await self._write(again, REPLAY, source=BYTES_AGAIN, partition=row.partition, save=True)
            return None
        if refusal := replay_refusal(present, await self._versions(present)):
            await self._write(present, refusal, source=BYTES_AGAIN, partition=row.partition)
            return None
        evidence = row_transitions.made_so_far(present.evidence)
        again = replace(again, state=State.READY, evidence=evidence, waited=0.0, next_try=0.0)
        await self._write(again, REPLAY, source=BYTES_AGAIN, partition=row.partition, save=True)
        return again

    # --------------------------------------------------------------------------------------- internals

    async def _row(self, id_: str) -> Row | None:
        """The present row: what memory knows is newer than what the ledger says."""
        lanes = self._lanes
        while True:
            found: Row | None = (await self._writer.ask(lambda ledger: ledger.get([id_]))).get(id_)
            if found is None or lanes.find(id_) is not None or not lanes.backlog.loading(found):
                break
            await asyncio.sleep(0.01)  # on its way from the ledger; it may have ended when we look again
        if (pending := lanes.find(id_)) is None or found is None:
            return found
        return replace(pending.row, state=State.BEGUN) if pending.place is Place.IN_FLIGHT else pending.row

    async def _versions(self, row: Row) -> list[Row]:
        return await self._writer.ask(lambda ledger: versions(ledger, row.delivery))

    async def _replay(self, record: Record, row: Row) -> None:
        now = self._clock.now()
        known = await self._versions(row)
        if refusal := replay_refusal(row, known) or _changed(record, row):
            await self._say(record, row, refusal, shown=proof(row, self._names, known))
            return
        evidence = {name: value for name, value in row.evidence.items() if name not in ("place", "cause")}
        again = replace(
            _here(row, record.partition, record.offset),
            delivery=replace(row.delivery, replay=row.delivery.replay + 1),
            state=State.READY,
            evidence=evidence,
            commands=command_marks.marked(row.commands, command_marks.mark(record)),
            waited=0.0,
            next_try=0.0,
            updated=now,
        )
        await self._say(record, again, REPLAY)
        pending = self._lanes.find(row.delivery.id)
        if pending is not None:
            pending.row, pending.due = again, 0.0
        elif row.state is State.DEAD:
            self._lanes.add(again)
        self._lanes.backlog.retry(row.delivery.lane)

    async def _discard(self, record: Record, row: Row) -> None:
        now = self._clock.now()
        if refusal := discard_refusal(row) or _changed(record, row):
            await self._say(record, row, refusal)
            return
        gone = replace(
            _here(row_transitions.superseded(row, row.delivery.event_id, now), record.partition, record.offset),
            code=DISCARDED,
            text=record.headers.get(Header.TEXT, ""),
        )
        evidence = {k: v for k, v in gone.evidence.items() if k != "superseded_by"}
        if row.state is State.DEAD:
            evidence |= {_CODE: row.code, _TEXT: row.text}
        gone = replace(gone, evidence=evidence, commands=command_marks.marked(row.commands, command_marks.mark(record)))
        records = []
        if row.state is not State.DEAD:  # its sender has not been told yet
            self._lanes.discard(row)  # nothing passes it before that is durable: a crash would bring it back, too late
            records = [receipt_record(row_transitions.receipt(gone, await self._calls.context_of(gone), now))]
        await self._say(record, gone, DISCARD, records)
        pending = self._lanes.supersede(row, row.delivery.event_id)
        if pending is not None:
            self._payloads.release(pending)
        if row.delivery.strict:
            self._lanes.unblock(row)
        self._lanes.backlog.retry(row.delivery.lane)

    async def _take_back(self, record: Record, row: Row) -> None:
        """The dead letter of before: nothing is sent until somebody replays it."""
        now = self._clock.now()
        if refusal := take_back_refusal(row, now) or _changed(record, row):
            await self._say(record, row, refusal)
            return
        own = (_CODE, _TEXT, row_transitions.BEFORE)
        again = replace(
            _here(row, record.partition, record.offset),
            state=State.DEAD,
            code=row.evidence.get(_CODE) or DISCARDED,
            text=row.evidence.get(_TEXT, ""),
            evidence={name: value for name, value in row.evidence.items() if name not in own},
            commands=command_marks.marked(row.commands, command_marks.mark(record)),
            updated=now,
        )
        await self._say(record, again, TAKE_BACK)

    async def _say(
        self,
        record: Record,
        row: Row | None,
        code: str,
        records: list[Outgoing] | None = None,
        *,
        shown: str = "",
    ) -> None:
        """Journal a command and what became of it; a refused replay is told by a receipt too. `shown`: the proof."""
        by, reason = record.headers.get(BY, ""), shown or record.headers.get(Header.TEXT, "")
        if row is None:
            entry = JournalEntry(
                event_id=record.headers.get(Header.ID, ""),
                kind="command",
                at=self._clock.now(),
                code=code,
                text=REFUSALS[code],
                source=by,
            )
            await self._writer.write([record.partition], records=[journal_record(entry)])
            return
        await self._write(
            row,
            code,
            source=by,
            partition=record.partition,
            reason=reason,
            records=records or [],
            save=code in ACCEPTED,
        )

    async def _write(
        self,
        row: Row,
        code: str,
        *,
        source: str,
        partition: int,
        reason: str = "",
        records: list[Outgoing] | None = None,
        save: bool = False,
    ) -> None:
        now, delivery = self._clock.now(), row.delivery
        text = ACCEPTED.get(code) or REFUSALS[code]
        entry = JournalEntry(
            event_id=delivery.event_id,
            kind="command",
            at=now,
            feed=delivery.feed,
            pipeline=delivery.pipeline,
            origin=str(delivery.origin),
            source=source,
            code=code.upper(),
            text=f"{text} {reason}".strip(),
            deliveries=((delivery.id, delivery.sink, delivery.label),),
        )
        out = [*(records or []), journal_record(entry)]
        if code in REFUSALS:
            refused = replace(
                row_transitions.receipt(row, {}, now),
                kind=ReceiptKind.ATTEMPT,
                ok=False,
                disposition=None,
                code=code,
                text=text,
            )
            out.append(receipt_record(refused))
        await self._writer.write([partition], records=out, rows=[row] if save else [])


def _changed(record: Record, row: Row) -> str:
    return command_marks.changed(record.headers.get(command_marks.SEEN), row)


def _here(row: Row, partition: int, sequence: int) -> Row:
    """The row in the partition where its key stands now: its topic may have been made anew with more of them."""
    return row if row.partition == partition else replace(row, partition=partition, sequence=sequence)
