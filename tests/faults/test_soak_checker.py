"""The soak's checker on histories written by hand: it must see what is wrong, and only that."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.soak.checker import DELETE, STORE, Checker
from benchmarks.soak.history import Called, Fact, Letter, Mailed, Message, Relayed, Told

DOCTOR = "dr@medecin.test.mssante.fr"
FIRST = Message("S1", "set", 0, "1.1", "initial", (DOCTOR,))
SECOND = Message("S2", "set", 1, "1.2", "replace", (DOCTOR,))
GONE = Message("S3", "set", 2, "1.2", "delete", (DOCTOR,))


def relay(number: int) -> Message:
    return Message(f"R{number}", "patient", number)


def taken(checker: Checker, *messages: Message) -> None:
    """These are handed over and acknowledged, in this order."""
    for at, message in enumerate(messages):
        checker.sent(message)
        checker.answered(message.control, "AA", message.control, at)


def stored(message: Message, *, ok: bool = True, name: str = "") -> Called:
    return Called(1, STORE, message.uid, name or f"lot {message.uid}", ok)


def mailed(message: Message, name: str = "", at: float = 1) -> Mailed:
    return Mailed(at, message.uid, message.action, DOCTOR, name or f"<{message.control}@x>")


def told(message: Message, kind: str, yes: bool = True, name: str = "") -> Told:
    recipient = DOCTOR if kind == "Z02" else ""
    return Told(2, message.control, kind, yes, recipient, "" if yes else "552", name or f"{message.control}{kind}{yes}")


def whole(message: Message) -> list[Fact]:
    """Everything that becomes of a version that arrives."""
    return [stored(message), mailed(message), told(message, "Z01"), told(message, "Z02")]


def ended(
    messages: list[Message], facts: list[Fact], *letters: Letter, shown: tuple[str, ...] = (), hidden: bool = True
) -> Checker:
    """Everything is acknowledged first, then these facts come; the judgement is over."""
    checker = Checker(lambda _since, _until: hidden)
    taken(checker, *messages)
    for fact in facts:
        checker.fact(fact)
    checker.finish(letters, shown)
    return checker


def kinds(checker: Checker) -> list[tuple[str, str]]:
    return [(one.kind, one.control) for one in checker.violations]


GOOD_LIFE: list[Fact] = [
    *whole(FIRST),
    *whole(SECOND),
    Called(3, DELETE, "1.2", "lot of deletion", ok=True),
    mailed(GONE),
    told(GONE, "Z01"),
    told(GONE, "Z02"),
]


def test_a_good_history_breaks_nothing() -> None:
    """Relays in order, a document published, replaced and deleted, everything told: no violation."""
    facts = [Relayed(1, "R0"), Relayed(1, "R1"), *GOOD_LIFE]
    assert kinds(ended([relay(0), relay(1), FIRST, SECOND, GONE], facts)) == []


@pytest.mark.parametrize("deleted", ["1.2", "1.1", ""], ids=["itself", "an earlier version", "nothing left"])
def test_an_acknowledgement_may_come_after_all_that_it_stands_for(deleted: str) -> None:
    """The first one was lost, the sender asks again when everything has been done and told."""
    checker = Checker()
    for message in (FIRST, SECOND, GONE):
        checker.sent(message)
    gone = [Called(3, DELETE, deleted, "lot of deletion", ok=True)] if deleted else []
    for fact in [*whole(FIRST), *whole(SECOND), *gone, mailed(GONE), told(GONE, "Z01"), told(GONE, "Z02")]:
        checker.fact(fact)
    for message in (FIRST, SECOND, GONE):
        checker.answered(message.control, "AA", message.control, 9)
    assert checker.open == {}
    assert checker.finish([], ()) == []


@pytest.mark.parametrize("missing", range(len(GOOD_LIFE)))
def test_each_missing_fact_is_seen(missing: int) -> None:
    """Whatever is left out of a good history, a deposit, a mail or an answer, makes a violation."""
    facts = [fact for number, fact in enumerate(GOOD_LIFE) if number != missing]
    absent = GOOD_LIFE[missing]
    shown = ("1.2",) if isinstance(absent, Called) and absent.transaction == DELETE else ()
    assert kinds(ended([FIRST, SECOND, GONE], facts, shown=shown))


def test_a_lost_relay_is_reported() -> None:
    """Acknowledged, never arrived, no dead letter."""
    assert kinds(ended([relay(0), relay(1)], [Relayed(1, "R1")])) == [("lost", "R0")]


def test_a_relay_that_was_never_acknowledged_is_not_missed() -> None:
    """Nothing was promised."""
    checker = Checker()
    checker.sent(relay(0))
    assert checker.finish([], []) == []


def test_a_dead_letter_explains_only_its_own_message() -> None:
    """A letter of the same sink but of another message explains nothing."""
    mine, other = Letter("hl7.dpi", "", "HL7-AE", "e", "R0"), Letter("hl7.dpi", "", "HL7-AE", "e", "R9")
    assert kinds(ended([relay(0)], [], mine)) == []
    assert kinds(ended([relay(0)], [], other)) == [("lost", "R0")]


def test_one_dead_letter_does_not_explain_two_mails() -> None:
    """Two refused mails to one mailbox need two letters."""
    other = Message("S9", "other", 0, "2.1", "initial", (DOCTOR,))
    facts: list[Fact] = []
    for message in (FIRST, other):
        facts += [stored(message), told(message, "Z01"), told(message, "Z02", yes=False)]
    letter = Letter("mssante.x", DOCTOR, "MSS-552", "e")
    assert kinds(ended([FIRST, other], facts, letter, letter)) == []
    assert [kind for kind, _ in kinds(ended([FIRST, other], facts, letter))] == ["lost"]


def test_a_superseded_version_needs_no_dead_letter() -> None:
    """Told N, and a later deletion of the same document was acknowledged."""
    facts: list[Fact] = [told(FIRST, "Z01", yes=False), told(FIRST, "Z02", yes=False)]
    gone = Message("S3", "set", 1, "1.1", "delete", (DOCTOR,))
    facts += [mailed(gone), told(gone, "Z01"), told(gone, "Z02")]
    checker = ended([FIRST, gone], facts)
    assert kinds(checker) == []
    assert checker.counts["superseded"] == 2


@pytest.mark.parametrize(
    "twice",
    [
        [stored(FIRST), stored(FIRST)],
        [stored(FIRST), stored(FIRST, ok=False, name="another lot")],
        [mailed(FIRST), mailed(FIRST, "<another@x>")],
        [told(FIRST, "Z01"), told(FIRST, "Z01", name="another")],
    ],
)
def test_duplicates_are_reported(twice: list[Fact]) -> None:
    """A second accepted deposit, a second submission id, a second Message-ID, a second MSH-10 of an answer."""
    checker = ended([FIRST], [*whole(FIRST), twice[-1]])
    assert kinds(checker) == [("duplicated", "S1")]


@pytest.mark.parametrize("hidden", [True, False])
def test_a_repeat_needs_a_fault_that_hid_the_first(hidden: bool) -> None:
    """Under the same identifier it is allowed, and counted, after a fault; without any it is a duplicate."""
    checker = ended([FIRST], [*whole(FIRST), mailed(FIRST, at=5)], hidden=hidden)
    assert kinds(checker) == ([] if hidden else [("duplicated", "S1")])
    assert checker.counts["mails repeated under the same identifier"] == hidden


def test_a_repeat_after_everything_has_ended_is_a_duplicate() -> None:
    """No fault explains what leaves again once nothing was left to do."""
    checker = Checker()
    taken(checker, relay(0))
    checker.fact(Relayed(1, "R0"))
    checker.quiet_since(10)
    checker.fact(Relayed(11, "R0"))
    assert kinds(checker) == [("duplicated", "R0")]


@pytest.mark.parametrize(
    ("messages", "facts", "inverted"),
    [
        ([relay(0), relay(1)], [Relayed(1, "R1"), Relayed(2, "R0")], "R0"),
        ([relay(0), relay(1)], [Relayed(1, "R0"), Relayed(2, "R1"), Relayed(3, "R0")], "R0"),
        ([FIRST, SECOND], [stored(SECOND), stored(FIRST), *whole(FIRST)[1:], *whole(SECOND)[1:]], "S1"),
        ([FIRST, SECOND], [mailed(SECOND), *whole(FIRST), stored(SECOND), *whole(SECOND)[2:]], "S1"),
    ],
)
def test_inversions_are_reported(messages: list[Message], facts: list[Fact], inverted: str) -> None:
    """A relay, a deposit or a mail that comes after its successor, a late repeat included."""
    assert ("inverted", inverted) in kinds(ended(messages, facts))


def test_a_deleted_document_that_comes_back_is_reported() -> None:
    """Stored after its deletion; or still shown at the end, in whichever version."""
    back = ended([FIRST, SECOND, GONE], [*GOOD_LIFE, stored(FIRST)])
    assert {kind for kind, _ in kinds(back)} == {"duplicated", "inverted"}
    assert kinds(ended([FIRST, SECOND, GONE], GOOD_LIFE, shown=("1.1",))) == [("inverted", "S3")]


@pytest.mark.parametrize("named", ["1.1", "1.2"])
def test_the_notice_of_a_deletion_speaks_of_the_version_that_the_mailbox_has(named: str) -> None:
    """The replacement was refused there: the notice names the first one, without any document."""
    notice = Mailed(3, named, "delete", DOCTOR, "<S3@x>")
    facts = [notice if isinstance(fact, Mailed) and fact.action == "delete" else fact for fact in GOOD_LIFE]
    assert kinds(ended([FIRST, SECOND, GONE], facts)) == []


def _poison(checker: Checker) -> None:
    checker.sent(Message("S8", "bad", 0, "8.1", poison=True))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda c: c.answered("S8", "AA", "S8", 1),
        lambda c: c.fact(Called(1, STORE, "8.1", "lot", ok=True)),
        lambda c: c.fact(told(Message("S8", "bad", 0), "Z01")),
        lambda c: c.fact(Relayed(1, "R7")),
    ],
)
def test_what_nobody_sent_or_was_refused_must_not_leave(wrong: Callable[[Checker], None]) -> None:
    """An unreadable message that is acknowledged or delivered, and a message out of nowhere."""
    checker = Checker()
    _poison(checker)
    wrong(checker)
    assert [kind for kind, _ in kinds(checker)] == ["untrue"]


def test_a_lie_is_reported() -> None:
    """Told Y without a mail; told N although it arrived."""
    without: list[Fact] = [fact for fact in whole(FIRST) if not isinstance(fact, Mailed)]
    assert ("untrue", "S1") in kinds(ended([FIRST], without))
    denied: list[Fact] = [*whole(FIRST)[:3], told(FIRST, "Z02", yes=False)]
    assert kinds(ended([FIRST], denied)) == [("untrue", "S1")]


def test_a_good_message_that_is_refused_is_reported() -> None:
    """AE for a message that is in order, and an ACK of another message."""
    checker = Checker()
    checker.sent(relay(0))
    checker.answered("R0", "AE", "R0", 1)
    checker.sent(relay(1))
    checker.answered("R1", "AA", "R0", 1)
    assert kinds(checker) == [("untrue", "R0"), ("untrue", "R1")]
