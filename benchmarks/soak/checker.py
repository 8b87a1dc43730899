"""Is anything lost, duplicated or inverted? Judged from what neighbours saw; nothing of the router is imported here.

Facts are fed in the order in which each neighbour saw them, so a violation is known at once; `finish` adds what can
only be known at the end. The rules:

- *lost*: an acknowledged message's destination got nothing, and there is neither a dead letter nor a later version
  or deletion of the same document to explain it; or the sender was never told of it.
- *duplicated*: a document stored twice, or asked for twice under two submission ids; a mail under two Message-IDs, an
  answer under two MSH-10; or a repeat of any of them although no fault can have hidden the first one's outcome.
- *inverted*: in one lane (a patient's relays; a document at the DMP; a document at one recipient) something arrived
  after what was sent later. A deletion may overtake, nothing may come after it.
- *untrue*: the sender was told what did not happen, or something left that was refused.

With hostile peers (`hostile.py`) also *delayed*: a good sender waited more than 2 s longer for its acknowledgement, or
a stranger's mail stopped the reading of the inbox. That a stranger's report was believed is *untrue*.

A repeat under the same identifier after a fault is allowed for mail and HL7, and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from benchmarks.soak.history import Called, Fact, Letter, Mailed, Message, Relayed, Told
from benchmarks.soak.waits import Comparison

Kind = Literal["lost", "duplicated", "inverted", "untrue", "delayed", "unsealed"]
STORE, DELETE = "TD2.1", "TD3.3c"
RELAY, DMP = "relay", "dmp"
FORGED_ERRORS: Final = frozenset({"550", "904"})
"""What forged reports say of mails that have arrived; no neighbour of the soak says so in truth."""
Place = tuple[str, str]
"""(MSH-10, destination): `relay`, `dmp`, `mail:<address>`, `told:dmp`, `told:mail:<address>`."""
Hidden = Callable[[float, float], bool]


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise, about one message."""

    kind: Kind
    control: str
    text: str


def always(_since: float, _until: float) -> bool:
    """A fault may have hidden any outcome."""
    return True


def destinations(message: Message) -> tuple[str, ...]:
    """Where one accepted message must arrive."""
    if not message.uid:
        return (RELAY,)
    return (DMP, *(f"mail:{one}" for one in message.recipients))


class Checker:
    """Feed `sent`, `answered` and `fact` as they happen, then `finish`."""

    def __init__(self, hidden: Hidden = always) -> None:
        """`hidden(since, until)`: whether a fault then may have hidden an outcome from the router."""
        self.violations: list[Violation] = []
        self.messages: dict[str, Message] = {}
        self.acked: dict[str, float] = {}
        self.refused: dict[str, str] = {}
        self.open: dict[Place, None] = {}
        """What must still happen, oldest first."""
        self.given_up: dict[Place, str] = {}
        """Told `N`: to be explained by a later version or a dead letter. -> the code that was told."""
        self.counts: Counter[str] = Counter()
        self._hidden = hidden
        self._quiet = float("inf")
        self._arrived: dict[Place, float] = {}
        self._over: set[Place] = set()
        """What has happened, perhaps before the sender got its acknowledgement: a lost one comes after the answers."""
        self._high: dict[str, tuple[int, str]] = {}
        self._names: dict[Place, set[str]] = {}
        self._versions: dict[str, Message] = {}
        self._families: dict[str, list[Message]] = {}
        self._told: dict[tuple[str, str, bool], str] = {}
        self.stored: set[str] = set()
        self.deleted: set[str] = set()

    # ------------------------------------------------------------------------------------------ the sender

    def sent(self, message: Message) -> None:
        """The sender begins to hand a message over: from here on it may arrive."""
        self.messages[message.control] = message
        if message.uid and not message.poison:
            self._versions[f"{message.uid} {message.action}"] = message
            self._families.setdefault(message.lane, []).append(message)

    def answered(self, control: str, code: str, about: str, at: float) -> None:
        """The sender got an acknowledgement: MSA-1, MSA-2."""
        message = self.messages[control]
        if about != control:
            self._break("untrue", control, f"acknowledged as {about!r}")
        if code != "AA":
            self.refused[control] = code
            self.counts["refused as it must be" if message.poison else "refused"] += 1
            if not message.poison:
                self._break("untrue", control, f"a good message was refused: {code}")
            return
        if message.poison:
            self._break("untrue", control, "an unreadable message was acknowledged")
            return
        self.acked[control] = at
        for one in destinations(message):
            self._expect((control, one))
            if one != RELAY:
                self._expect((control, f"told:{one}"))

    def _expect(self, place: Place) -> None:
        if place not in self._over and place not in self.given_up:
            self.open[place] = None

    # -------------------------------------------------------------------------------------- the neighbours

    def fact(self, fact: Fact) -> None:
        """A neighbour saw something."""
        if isinstance(fact, Relayed):
            self._relayed(fact)
        elif isinstance(fact, Called):
            self._called(fact)
        elif isinstance(fact, Mailed):
            self._mailed(fact)
        else:
            self._answer(fact)

    def _relayed(self, fact: Relayed) -> None:
        message = self._known(fact.control, "the HL7 receiver")
        if message is not None:
            self._in_order(message, f"{message.lane}|{RELAY}", "the HL7 receiver")
            self._arrive((message.control, RELAY), fact.at, fact.control, "relays", repeats=True)

    def _called(self, fact: Called) -> None:
        action = "delete" if fact.transaction == DELETE else ""
        message = self._version(fact.uid, action) or (self._version(fact.uid, "initial", "replace") if action else None)
        if message is None:
            self._break("untrue", "?", f"{fact.transaction} at the DMP of a document nobody sent: {fact.uid}")
            return
        place = (message.control, DMP)
        if fact.transaction == STORE and self._another_name(place, fact.set_id):
            self._break("duplicated", message.control, f"asked the DMP twice, under two submission ids: {fact.uid}")
        if not fact.ok:
            self.counts["deposits asked again and refused by the DMP"] += place in self._arrived
            return
        self._in_order(self._deleting(message) if action else message, f"{message.lane}|{DMP}", "the DMP")
        (self.deleted if action else self.stored).add(fact.uid)
        if action and message.action != "delete":
            return  # an earlier version that the deletion of a later one took along
        self._arrive(place, fact.at, fact.set_id, "deposits", repeats=False)

    def _mailed(self, fact: Mailed) -> None:
        message = self._version(fact.uid, fact.action)
        if message is None and fact.action == "delete":  # it speaks of the version that this mailbox has
            older = self._version(fact.uid, "initial", "replace")
            message = self._deleting(older) if older is not None else None
        if message is None or fact.recipient not in message.recipients:
            control = message.control if message else "?"
            self._break("untrue", control, f"a mail nobody asked for, of {fact.uid or 'no document'}")
            return
        self._in_order(message, f"{message.lane}|{fact.recipient}", f"mailbox {fact.recipient}")
        self._arrive((message.control, f"mail:{fact.recipient}"), fact.at, fact.message_id, "mails", repeats=True)

    def _answer(self, fact: Told) -> None:
        message = self._known(fact.control, "an answer to the sender")
        if message is None:
            return
        if fact.kind == "Z03" or (not fact.yes and fact.error in FORGED_ERRORS):
            self._break("untrue", message.control, f"told {fact.kind} {fact.error}: nobody but a stranger said so")
        leg = DMP if fact.kind == "Z01" else f"mail:{fact.recipient}"
        name = f"told:{leg}:{'Y' if fact.yes else 'N'}"
        self._arrive((message.control, name), fact.at, fact.id, "answers", repeats=True)
        self._told[message.control, leg, fact.yes] = fact.error
        self._end((message.control, f"told:{leg}"))
        place = (message.control, leg)
        if fact.yes and leg == DMP and message.action == "delete":
            self._end(place)  # that nothing is left to see is looked at in `finish`
        elif not fact.yes and place not in self._arrived:
            self.given_up[place] = fact.error
            self.open.pop(place, None)

    # ---------------------------------------------------------------------------------------- hostile peers

    def compared(self, waits: Comparison) -> None:
        """How long good senders waited, before the strangers came and among them; on a starved machine only told."""
        for one, more in waits.delayed() if waits.judged else ():
            self._break("delayed", one.control, f"acknowledged {more:.1f} s later than usual, among strangers")

    def unread(self, mails: int) -> None:
        """Mails that are still in the inbox at the end."""
        if mails:
            self._break("delayed", "?", f"{mails} mails of the inbox were never read")

    def believed(self, names: Iterable[str]) -> None:
        """Mails of strangers that the router filed among the reports which count."""
        for name, times in Counter(names).items():
            self._break("untrue", "?", f"{times} {name} were taken for reports that count")

    def copied(self, files: int) -> None:
        """Files into which the router copied what a stranger only linked to."""
        if files:
            self._break("untrue", "?", f"a file that a stranger linked to was copied {files} times")

    # ---------------------------------------------------------------------------------------------- rules

    def _arrive(self, place: Place, at: float, name: str, what: str, *, repeats: bool) -> None:
        first = self._arrived.get(place)
        if first is None:
            self._arrived[place] = at
            self._another_name(place, name)
            self._end(place)
            self.counts[what] += 1
        elif self._another_name(place, name):
            self._break("duplicated", place[0], f"{place[1]}: twice, under two identifiers")
        elif not repeats:
            self._break("duplicated", place[0], f"{place[1]}: taken twice")
        elif at > self._quiet or not self._hidden(first, at):
            self._break("duplicated", place[0], f"{place[1]}: repeated although nothing went wrong between")
        else:
            self.counts[f"{what} repeated under the same identifier"] += 1

    def _another_name(self, place: Place, name: str) -> bool:
        """Note an identifier; whether another one was there before."""
        names = self._names.setdefault(place, set())
        other = bool(names) and name not in names
        names.add(name)
        return other

    def _end(self, place: Place) -> None:
        self._over.add(place)
        self.open.pop(place, None)
        self.given_up.pop(place, None)

    def _in_order(self, message: Message, lane: str, where: str) -> None:
        rank, control = self._high.get(lane, (-1, ""))
        if message.rank < rank:
            self._break("inverted", message.control, f"{where}: after {control}, which was sent later")
        else:
            self._high[lane] = message.rank, message.control

    def _deleting(self, message: Message) -> Message:
        """The message that asked for the deletion of this one's family."""
        return next((one for one in self._families[message.lane] if one.action == "delete"), message)

    def quiet_since(self, at: float) -> None:
        """Everything has ended: whatever arrives after this moment, no fault explains any more."""
        self._quiet = at

    def _known(self, control: str, where: str) -> Message | None:
        message = self.messages.get(control)
        if message is None or message.poison:
            self._break("untrue", control, f"{where}: of a message that was never sent or is unreadable")
            return None
        return message

    def _version(self, uid: str, *actions: str) -> Message | None:
        wanted = ("initial", "replace") if actions == ("",) else actions
        return next((m for one in wanted if (m := self._versions.get(f"{uid} {one}")) is not None), None)

    def _break(self, kind: Kind, control: str, text: str) -> None:
        self.violations.append(Violation(kind, control, text))

    # ------------------------------------------------------------------------------------------------ the end

    def unexplained(self) -> list[Place]:
        """Told `N` without a later version or deletion of the same document: dead letters must explain these."""
        return [place for place in self.given_up if not self._overtaken(place[0])]

    def finish(self, letters: Iterable[Letter], approved: Iterable[str]) -> list[Violation]:
        """Everything is quiet. `letters`: all dead letters; `approved`: documents that the DMP still shows."""
        left = list(letters)
        for place in [*self.unexplained(), *[one for one in self.open if not one[1].startswith("told:")]]:
            letter = next((one for one in left if _explains(one, place)), None)
            if letter is None:
                self._break("lost", place[0], f"{place[1]}: acknowledged, never arrived, no dead letter")
            else:
                left.remove(letter)
                self.counts["dead-lettered"] += 1
        for control, name in self.open:
            if name.startswith("told:"):
                self._break("lost", control, f"{name.partition(':')[2]}: the sender was never told")
        self.counts["superseded"] = sum(self._overtaken(control) for control, _ in self.given_up)
        self._truth()
        self._gone(approved)
        return self.violations

    def _truth(self) -> None:
        for control, leg, yes in self._told:
            place = (control, leg)
            deletion = leg == DMP and self.messages[control].action == "delete"
            if yes and place not in self._arrived and not deletion:
                self._break("untrue", control, f"{leg}: told that it arrived, and it did not")
            elif not yes and place in self._arrived and (control, leg, True) not in self._told:
                if not self._overtaken(control):
                    self._break("untrue", control, f"{leg}: told that it failed, and it arrived")
                else:
                    self.counts["told as superseded though an unknown attempt had arrived"] += 1

    def _gone(self, approved: Iterable[str]) -> None:
        """A deleted document is seen no more, whichever of its versions had reached the DMP."""
        shown = set(approved)
        for family in self._families.values():
            deletion = next((one for one in family if one.action == "delete" and one.control in self.acked), None)
            if deletion is None or (deletion.control, DMP, False) in self._told:
                continue
            for one in family:
                if one.uid in shown:
                    shown.discard(one.uid)
                    self._break("inverted", deletion.control, f"deleted, but the DMP still shows version {one.rank}")

    def _overtaken(self, control: str) -> bool:
        """Whether a later version or deletion of the same document was acknowledged."""
        message = self.messages[control]
        family = self._families.get(message.lane, ())
        return any(one.rank > message.rank and one.control in self.acked for one in family)

    def total(self, kind: Kind) -> int:
        return sum(one.kind == kind for one in self.violations)


_SINKS: Final = {RELAY: "hl7", DMP: "dmp"}


def _explains(letter: Letter, place: Place) -> bool:
    """Whether a dead letter is that of this destination: by its message where known, else by its recipient."""
    control, leg = place
    kind = _SINKS.get(leg, "mssante")
    if letter.sink.partition(".")[0] != kind:
        return False
    if letter.control and letter.control != control:
        return False
    return bool(letter.control) if kind != "mssante" else letter.label == leg.removeprefix("mail:")
