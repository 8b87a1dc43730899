"""What the journal says of mails that nothing was heard of, on each database."""

from __future__ import annotations

from dataclasses import replace

import pytest

from router.exchange import ReceiptKind
from router.journal.silence import Asked
from router.journal.store import Journal
from router.journal.tables import DAY
from tests.journal.journal_samples import START, receipt, received

LATE, NEUTRAL = "MSS-LATE", ("MSS-SLOW",)


def _asked(journal: Journal, since: float = START - DAY, within: frozenset[str] | None = None, limit: int = 9) -> str:
    found = journal.silent(LATE, NEUTRAL, Asked(since=since, within=within, limit=limit))
    return "".join(sorted(one.delivery_id[-1] for one in found))


class UnheardContract:
    """Every promise, one test each."""

    @pytest.fixture
    def told(self, journal: Journal) -> Journal:
        """Mail 1 and 2 of an event of one structure, 3 of another's, each silent since its report."""
        for number, (event, finess, day) in enumerate(
            (("a", "750000018", 0), ("a", "750000018", 0), ("b", "690000001", 2)), 1
        ):
            at = START + day * DAY
            sent = replace(receipt(2, at + 5), event_id=event * 64, delivery_id=f"m{number}")
            late = replace(sent, kind=ReceiptKind.DSN, at=at + 50 + number, ok=False, code=LATE, disposition=None)
            journal.write([received(event * 64, at, structures=(finess,))], [sent, late])
        return journal

    def test_mails_of_which_a_report_was_the_last_word_are_silent(self, told: Journal) -> None:
        """Of the structures and of the time that are asked for, the newest messages first."""
        assert _asked(told) == "123"
        assert _asked(told, within=frozenset({"750000018"})) == "12" and _asked(told, within=frozenset()) == ""
        assert _asked(told, since=START + DAY) == "3" == _asked(told, limit=1)
        (one,) = told.silent(LATE, NEUTRAL, Asked(since=START + DAY, within=None, limit=9))
        assert (one.event_id, one.control_id, one.structure) == ("b" * 64, "MSG0001", "690000001")
        assert (one.sink, one.label, one.at) == ("mssante.chu", "adam.hoda@x.mssante.fr", START + 2 * DAY + 53)

    @pytest.mark.parametrize(
        ("kind", "code", "silent"),
        [
            (ReceiptKind.DSN, "", "23"),
            (ReceiptKind.DSN, "MSS-552", "23"),
            (ReceiptKind.MDN, "", "23"),
            (ReceiptKind.DSN, "MSS-SLOW", "123"),
            (ReceiptKind.ATTEMPT, "", "123"),
        ],
    )
    def test_a_later_word_ends_the_silence(self, told: Journal, kind: ReceiptKind, code: str, silent: str) -> None:
        """A report that says something, of this mail alone; one that is no news changes nothing."""
        word = replace(receipt(2, START + 90, kind), event_id="a" * 64, delivery_id="m1", ok=not code, code=code)
        told.write([], [word])
        assert _asked(told) == silent

    def test_events_are_known_by_their_deliveries(self, told: Journal) -> None:
        """All at once, of the days that are asked for; what is unknown is left out."""
        found = told.of_deliveries(["m1", "m2", "m3", "m4"], START, START + DAY)
        assert {id_: event.event_id[0] for id_, event in found.items()} == {"m1": "a", "m2": "a"}
        assert found["m1"].structure == "750000018"
        assert set(told.of_deliveries({"m3"}, START + DAY, START + 3 * DAY)) == {"m3"} and not told.of_deliveries(
            (), 0, 9
        )

    def test_a_word_of_before_does_not_end_it(self, told: Journal) -> None:
        """What was heard first, and then contradicted by silence, is silent."""
        word = replace(receipt(2, START + 20, ReceiptKind.DSN), event_id="a" * 64, delivery_id="m1")
        told.write([], [word])
        assert _asked(told) == "123"

    def test_what_ended_with_a_code_is_listed(self, told: Journal) -> None:
        """The deliveries whose last outcome has it, and no report."""
        kept = replace(receipt(2, START + 60, code="MSS-KEEPS"), event_id="a" * 64, delivery_id="m2")
        told.write([], [kept])
        for within, ids in ((None, ["m2"]), (frozenset({"750000018"}), ["m2"]), (frozenset({"690000001"}), [])):
            asked = Asked(since=START - DAY, within=within, limit=9)
            assert [one.delivery_id for one in told.ended_with("MSS-KEEPS", asked)] == ids
            assert told.ended_with(LATE, asked) == []
