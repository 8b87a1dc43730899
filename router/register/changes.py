"""One ADT change inside one transaction: whom it is about, and what becomes of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from router.exchange import Origin, Pseudonyms
from router.register import stays, worklist
from router.register.adt import OPPOSED, AdtChange, Identities, Prior
from router.register.patient import Applied, ins_pseudonym, ipp_pseudonym
from router.register.tables import ALIAS, PATIENT

IPP: Final = "ipp"
INS: Final = "ins"
_NOT_ASKED: Final = "NA"

Record = dict[str, Any]


class Change:
    """Applies one change. `now`: Unix time of the event; `until`: the same, when it is told again."""

    def __init__(
        self,
        db: Connection,
        pseudonyms: Pseudonyms,
        event_id: str,
        origin: Origin | None,
        now: float,
        *,
        until: float | None = None,
        again: bool = False,
    ) -> None:
        self._db = db
        self._pseudonyms = pseudonyms
        self._event_id = event_id
        self._origin = origin
        self._now = now
        self._until = until
        self._again = again
        self._withdrawn: list[str] = []
        """Identifiers taken from a patient: when they name nobody any more, what has left under them is work."""
        self._moved: list[str] = []
        """Identifiers of a patient who loses a file (A44): what has left under them is work."""

    def make(self, change: AdtChange) -> Applied:
        """Raises `Clash` when another process wrote the same patient meanwhile."""
        heard = [self._heard(one) for one in _one_by_one(change)]
        stale = any(concerned for concerned, _ in heard) and not any(described for _, described in heard)
        names_nobody = worklist.retired(self._db, self._withdrawn)
        reason = worklist.Reason(self._event_id, change.event)
        alert = worklist.open_for(self._db, [*self._moved, *names_nobody], reason, self._now, self._until)
        return Applied(new=True, stale=stale, alert=alert)

    def _heard(self, change: AdtChange) -> tuple[int, int]:
        """How many records a change concerns, and how many of them it describes: the others know better."""
        records = self._records_after(change)
        current = [record for record in records if not self._is_stale(record, change)]
        if current:
            feed = self._origin.topic.removeprefix("in.") if self._origin is not None else ""
            whose = current[0]["id"]
            stays.moved(self._db, self._pseudonyms, change, whose, feed=feed, event_id=self._event_id, now=self._now)
        for record in current:
            self._describe(record, change)
        return len(records), len(current)

    # ------------------------------------------------------------------------------------- whom it is about

    def _records_after(self, change: AdtChange) -> list[Record]:
        """The records that the message describes, once merges and identifiers are up to date."""
        if change.kind == "merge":
            return [self._merged(prior, change) for prior in change.priors]
        if change.kind == "identifiers":
            return [record for prior in change.priors for record in self._renamed(prior, change)]
        if change.kind == "move":
            for prior in change.priors:
                self._moved += self._aliases(record["id"] for record in self._known(prior.former))
                self._moved += [alias for alias, _ in self._names(prior.former)]
        return self._known_or_new(change.patient)

    def _merged(self, prior: Prior, change: AdtChange) -> Record:
        """A40: the former identity follows the one that stays, from now on and for every question."""
        survivor = self._known_or_new(prior.stays)[0]
        for former in self._known_or_new(prior.former):
            if former["id"] == survivor["id"]:  # both numbers were already his
                gone = {alias for alias, _ in self._names(prior.former)} - {a for a, _ in self._names(prior.stays)}
                self._retire(sorted(gone), change.event, survivor["id"])
                continue
            self._retire(self._aliases([former["id"]]), change.event, former["id"])
            former["merged_into"] = survivor["id"]
            self._save(former)
            self._inherit(survivor, former)
        return survivor

    def _renamed(self, prior: Prior, change: AdtChange) -> list[Record]:
        """A47: identifiers of one patient are replaced; an INS that is not replaced is withdrawn (D8)."""
        records = self._renamed_records(prior)
        former = {alias for alias, _ in self._names(prior.former)}
        for record in records:
            self._attach(record, prior.former)
            self._retire(sorted(former), change.event, record["id"])
            if record["ins"] in former or (prior.former.ins and not record["ins"]):
                self._set_ins(record, "", qualified=False)
            self._attach(record, prior.stays)
            self._save(record)
        return records

    def _renamed_records(self, prior: Prior) -> list[Record]:
        """By IPP, the former one or the one that stays, where there is any: several files may bear one INS, and those
        of others keep it. Files that nobody knows but by this INS are meant too."""
        named = prior.former if prior.former.ipps else Identities(prior.stays.ipps, prior.former.ins)
        records = self._known(named)
        if named.ipps and not prior.former.ipps:
            records += [one for one in self._known(prior.former) if not self._has_ipp(one["id"])]
        return records or self._known_or_new(prior.stays or prior.former)

    def _has_ipp(self, patient: str) -> bool:
        query = sa.select(ALIAS.c.alias).where(ALIAS.c.patient == patient, ALIAS.c.kind == IPP).limit(1)
        return self._db.execute(query).first() is not None

    def _known_or_new(self, identities: Identities) -> list[Record]:
        records = self._known(identities)
        if not records and identities:
            record = {
                "id": self._names(identities)[0][0],
                "ins": "",
                "qualified": None,
                **dict.fromkeys(_TEXTS, ""),
                "partition": -1,
                "offset": -1,
                "since": self._now,
                "updated": self._now,
            }
            self._db.execute(PATIENT.insert().values(record))
            records = [record]
        for record in records:
            self._attach(record, identities)
        return records

    def _known(self, identities: Identities) -> list[Record]:
        """The living records of these identifiers: by IPP; by INS only when no IPP is given, and not those that
        have lost it while another bears it."""
        names = self._names(identities)
        wanted = [alias for alias, kind in names if kind == IPP] or [alias for alias, _ in names]
        if not wanted:
            return []
        rows = self._db.execute(sa.select(ALIAS).where(ALIAS.c.alias.in_(wanted))).all()
        bearers = [row for row in rows if row.kind == INS and not row.retired]
        survivors = {self._survivor(row.patient)["id"] for row in bearers or rows}
        return [self._record(one) for one in sorted(survivors)]

    def _survivor(self, patient: str) -> Record:
        record = self._record(patient)
        seen = {patient}
        while record["merged_into"] and record["merged_into"] not in seen:
            seen.add(record["merged_into"])
            record = self._record(record["merged_into"])
        return record

    def _record(self, patient: str) -> Record:
        """The record, locked: it is read, changed and written whole."""
        query = sa.select(PATIENT).where(PATIENT.c.id == patient).with_for_update()
        return dict(self._db.execute(query).mappings().one())

    # ------------------------------------------------------------------------------------- what becomes of them

    def _describe(self, record: Record, change: AdtChange) -> None:
        self._describe_identity(record, change)
        if change.opposition and (change.opposition != _NOT_ASKED or not record["opposition"]):
            # NA says that nobody asked this time: it does not undo what the patient once said
            record |= {"opposition": change.opposition, "opposition_at": change.opposition_at[:32]}
        if change.consent and (change.consent != _NOT_ASKED or not record["consent"]):
            record |= {"consent": change.consent, "consent_at": change.consent_at[:32]}
        record["dmp"] = change.dmp or record["dmp"]
        record |= {"last_event": change.event, "recorded": change.recorded[:32]}
        if self._origin is not None:
            record |= {
                "topic": self._origin.topic,
                "partition": self._origin.partition,
                "offset": self._origin.offset,
            }
        self._save(record)

    def _describe_identity(self, record: Record, change: AdtChange) -> None:
        """Validated with an INS: qualified. Not validated: not, whatever was before. Else: as it was."""
        if change.status is None:
            return
        record["status"] = " ".join(change.status.codes)[:200]
        written = self._written_ins(change)
        if not change.status.validated:
            self._set_ins(record, written or record["ins"], qualified=False)
        elif written:
            if record["ins"] not in ("", written):
                self._retire([record["ins"]], change.event, record["id"])
            self._set_ins(record, written, qualified=True)

    def _written_ins(self, change: AdtChange) -> str:
        found = change.patient.ins
        return ins_pseudonym(self._pseudonyms, found[0]) if found else ""

    def _set_ins(self, record: Record, alias: str, *, qualified: bool) -> None:
        if (record["ins"], record["qualified"]) != (alias, qualified):
            record |= {"ins": alias, "qualified": qualified, "since": self._now}

    def _inherit(self, survivor: Record, former: Record) -> None:
        """An opposition stated under the former identity stays, unless the other one said otherwise later."""
        stated = survivor["opposition"] not in ("", _NOT_ASKED)
        later = (former["opposition_at"], former["opposition"] == OPPOSED) > (
            survivor["opposition_at"],
            survivor["opposition"] == OPPOSED,
        )
        if former["opposition"] not in ("", _NOT_ASKED) and (later or not stated):
            survivor |= {"opposition": former["opposition"], "opposition_at": former["opposition_at"]}
            self._save(survivor)

    def _is_stale(self, record: Record, change: AdtChange) -> bool:
        """Whether a later event of this patient was applied before this one."""
        if self._origin is None or not record["topic"]:
            return False
        ours, theirs = change.recorded[:14], str(record["recorded"])[:14]
        length = min(len(ours), len(theirs))
        ours, theirs = ours[:length], theirs[:length]
        if (self._origin.topic, self._origin.partition) == (record["topic"], record["partition"]):
            # A topic that was made anew begins at 0 again: what is told later there is no older event.
            return self._origin.offset < int(record["offset"]) and (self._again or not theirs < ours)
        return ours < theirs

    # ---------------------------------------------------------------------------------------------- identifiers

    def _names(self, identities: Identities) -> list[tuple[str, str]]:
        """(pseudonym, kind) of each identifier, IPPs first."""
        return [(ipp_pseudonym(self._pseudonyms, one), IPP) for one in identities.ipps] + [
            (ins_pseudonym(self._pseudonyms, one), INS) for one in identities.ins
        ]

    def _attach(self, record: Record, identities: Identities) -> None:
        """These identifiers name this patient; an IPP that names another one already keeps doing so."""
        for alias, kind in self._names(identities):
            rows = self._db.execute(sa.select(ALIAS).where(ALIAS.c.alias == alias)).mappings().all()
            mine = next((row for row in rows if row["patient"] == record["id"]), None)
            if mine is None and not (kind == IPP and rows):
                self._db.execute(ALIAS.insert().values(alias=alias, patient=record["id"], kind=kind))
            elif mine is not None and mine["retired"]:
                same = (ALIAS.c.alias == alias) & (ALIAS.c.patient == record["id"])
                self._db.execute(ALIAS.update().where(same).values(retired="", retired_by=""))

    def _aliases(self, patients: Iterable[str]) -> list[str]:
        query = sa.select(ALIAS.c.alias).where(ALIAS.c.patient.in_(list(patients))).order_by(ALIAS.c.alias)
        return list(self._db.execute(query).scalars())

    def _retire(self, aliases: Sequence[str], event: str, patient: str) -> None:
        same = ALIAS.c.alias.in_(aliases) & (ALIAS.c.patient == patient)
        self._db.execute(ALIAS.update().where(same).values(retired=self._event_id, retired_by=event))
        self._withdrawn += aliases

    def _save(self, record: Record) -> None:
        record["updated"] = self._now
        self._db.execute(PATIENT.update().where(PATIENT.c.id == record["id"]).values(record))


def _one_by_one(change: AdtChange) -> list[AdtChange]:
    """An A40 of several pairs as several of one: what a PID says is said of its own patient. A ZFA that follows
    several is said of the first."""
    if change.kind != "merge" or not change.priors:
        return [change]
    others = replace(change, opposition="", opposition_at="", consent="", consent_at="", dmp="")
    return [
        replace(others if rank else change, patient=prior.stays, status=prior.status, priors=(prior,))
        for rank, prior in enumerate(change.priors)
    ]


_TEXTS: Final = (
    "status",
    "opposition",
    "opposition_at",
    "consent",
    "consent_at",
    "dmp",
    "merged_into",
    "last_event",
    "recorded",
    "topic",
)
