"""What the journal promises on each database. A subclass gives the fixture `journal` (open, empty)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import pytest

from router.exchange import PATIENT, Disposition, JournalEntry, State
from router.journal.criteria import OUTCOMES, BadCriterion, Counts, Criteria, Cursor
from router.journal.store import Journal
from router.journal.tables import DAY
from router.journal.views import Activity
from tests.journal.journal_samples import OID, START, decided, receipt, received, whole


def fill(journal: Journal) -> None:
    """A delivered event, a refused one, and one that was only received."""
    entries, receipts = whole()
    facts: dict[str, Any] = {
        "document_type": "11502-2",
        "structures": ("750000018",),
        "level": 3,
        "qualified": True,
        "recipients": (("adam.hoda@x.mssante.fr", "810001234567", "HODA Adam"),),
    }
    journal.write([replace(entries[0], **facts), *entries[1:]], receipts)
    refused = JournalEntry(
        event_id="r" * 64, kind="refused", at=START + 100, feed="ris", ack="AE", code="R45", control_id="X"
    )
    journal.write([refused, received("b" * 64, START + 200, patients=())], [])


def found(journal: Journal, limit: Any = 100, **criteria: Any) -> str:
    """First letters of the events found."""
    return "".join(one.event.event_id[0] for one in journal.search(Criteria(**criteria), limit).events)


class JournalContract:
    """Every promise, one test each."""

    def test_what_came_by_a_feed(self, journal: Journal) -> None:
        """Its last message, and how many since a time, of which so many were refused."""
        assert journal.activity("sil", 0.0) == Activity(None, 0, 0)
        for number, ack in enumerate(("AA", "AE", "AR", "AA")):
            kind: Literal["received", "refused"] = "received" if ack == "AA" else "refused"
            entry = replace(received(f"{number}" * 64, START + number, ack=ack), kind=kind)
            journal.write([entry, replace(entry, event_id="r" + entry.event_id[1:], feed="ris")], [])
        assert journal.activity("sil", START + 1) == Activity(START + 3, 3, 2)
        assert journal.activity("sil", START + 9) == Activity(START + 3, 0, 0)
        assert journal.hours("sil", START + 2 - 3600, 2) == [2, 2] and journal.hours("sil", START + 4, 2) == [0, 0]

    def test_a_story_is_told_in_order(self, journal: Journal) -> None:
        """Reception, warning, choice, decision, attempts, outcomes and reports, by time."""
        journal.write(*whole())
        (story,) = journal.story("MSG0001")
        assert [(moment.kind, moment.ok) for moment in story.timeline] == [
            ("received", None),
            ("warning", None),
            ("decision", None),
            ("decided", None),
            ("attempt", False),
            ("attempt", False),
            ("delivery", True),
            ("delivery", True),
            ("dsn", True),
        ]
        assert story.event.asked == ("dmp", "mssante")
        assert (story.event.received, story.event.touched) == (START, START + 9)
        assert story.documents == (f"{OID}^77",)
        assert [(d.sink, d.disposition, d.attempts) for d in story.deliveries] == [
            ("dmp.chu", "delivered", 3),
            ("mssante.chu", "delivered", 1),
        ]

    @pytest.mark.parametrize(
        "asked",
        [
            "e" * 64,
            "eeeeeeee",
            "MSG0001",
            f"{OID}^77",
            OID,
            f"urn:oid:{OID}",
            f"{OID}^other",
            "<abc@segur>",
            "abc@segur",
            "d" * 31 + "2",
            "dddddddd-dddd-dddd-dddd-ddddddddddd2",
            "2.25.99",
            "lineage-1",
            "pseudonym-1",
        ],
    )
    def test_any_id_leads_to_the_story(self, journal: Journal, asked: str) -> None:
        """Every name under which somebody may know the event, as they would paste it."""
        journal.write(*whole())
        journal.write([received("f" * 64, control_id="MSG0002", documents=("1.9",), lineage="l", patients=("p",))], [])
        assert [story.event.event_id for story in journal.story(asked)] == ["e" * 64]

    def test_an_unknown_id_has_no_story(self, journal: Journal) -> None:
        """Nothing is found, nothing is raised; wildcards of SQL are no wildcards here."""
        journal.write(*whole())
        for asked in ("MSG9999", "", "%", "%%%%%%%%%", "e_______", "eeeeeeez", "\0", "\udcff", "0" * 70_000):
            assert journal.story(asked) == []

    def test_an_id_used_twice_leads_to_both(self, journal: Journal) -> None:
        """Senders use the same MSH-10 again: both stories, newest first."""
        journal.write([received("a" * 64, START), received("b" * 64, START + 60)], [])
        assert [story.event.event_id[0] for story in journal.story("MSG0001")] == ["b", "a"]

    def test_reading_a_topic_again_adds_nothing(self, journal: Journal) -> None:
        """The same lines, in another order and in other batches, leave the same stories."""
        entries, receipts = whole()
        journal.write(entries, receipts)
        before = journal.story("MSG0001")
        for line in reversed(receipts):
            journal.write([], [line])
        journal.write(entries[::-1], receipts[:2])
        assert journal.story("MSG0001") == before

    def test_the_order_of_arrival_does_not_matter(self, journal: Journal) -> None:
        """Two topics are read side by side: a receipt may come before the reception of its event."""
        entries, receipts = whole()
        journal.write([], receipts[::-1])
        (alone,) = journal.story("abc@segur")
        assert len(alone.timeline) == 5
        assert alone.event.feed == "sil"
        journal.write(entries[::-1], [])
        (story,) = journal.story("MSG0001")
        assert [d.disposition for d in story.deliveries] == ["delivered", "delivered"]
        assert len(story.timeline) == 9

    def test_a_delivery_that_was_only_decided_is_under_way(self, journal: Journal) -> None:
        """Before its first receipt a delivery has no disposition."""
        journal.write([received(), decided()], [])
        (story,) = journal.story("MSG0001")
        assert [d.disposition for d in story.deliveries] == ["", ""]

    def test_the_latest_receipt_of_a_delivery_counts(self, journal: Journal) -> None:
        """A delivery ended as its last receipt says."""
        entries, receipts = whole()
        dead = receipt(2, START + 50, ok=False, disposition=Disposition.DEAD_LETTERED, state=State.DEAD, code="550")
        journal.write(entries, [*receipts, dead])
        (story,) = journal.story("MSG0001")
        assert {d.sink: d.disposition for d in story.deliveries} == {
            "dmp.chu": "delivered",
            "mssante.chu": "dead_lettered",
        }

    def test_search_joins_its_conditions(self, journal: Journal) -> None:
        """Every criterion alone and together with others, newest first, up to a limit."""
        fill(journal)
        assert found(journal) == "bre"
        assert found(journal, limit=1) == "b"
        assert found(journal, feed="sil") == "be"
        assert found(journal, since=START + 100, until=START + 200) == "r"
        assert found(journal, outcome="refused") == found(journal, code="R45") == "r"
        assert found(journal, sink="dmp.chu", outcome="delivered") == "e"
        assert found(journal, outcome="waiting") == found(journal, code="MSS-552") == ""
        assert found(journal, patients=("pseudonym-1", "other")) == "e"
        assert found(journal, patients=()) == ""
        assert found(journal, feed="sil", outcome="refused") == ""
        assert found(journal, pipeline="biologie", outcome="delivered", feed="sil") == "e"

    @pytest.mark.parametrize(
        "recipient",
        ["Adam.Hoda@x.mssante.fr", "<adam.hoda@x.mssante.fr>", "x.mssante.fr", "@X.mssante.fr", "10001234567",
         "810001234567", "hoda", "Adam Hôda", "HODA, Adam"],
    )  # fmt: skip
    def test_a_recipient_is_found_under_every_form(self, journal: Journal, recipient: str) -> None:
        """Address, domain, RPPS with and without its prefix, name in any order, case and accents."""
        fill(journal)
        assert found(journal, recipient=recipient) == "e"
        assert found(journal, recipient=recipient, outcome="delivered") == "e"

    def test_other_criteria_are_normalised_too(self, journal: Journal) -> None:
        """FINESS bare or as Struct_IdNat, a sender by either of its parts, a type by its code."""
        fill(journal)
        assert found(journal, structure="750000018") == found(journal, structure="1750000018") == "e"
        assert found(journal, sender="labo") == found(journal, sender="SIL|LABO") == "be"
        assert found(journal, type="11502-2", sender="sil") == "e"

    @pytest.mark.parametrize("asked", ["%", "_", "adam%", "' OR 1=1 --", "*", "\x1b[2J", "\0", "ho%a"])
    def test_wildcards_and_sql_are_text(self, journal: Journal, asked: str) -> None:
        """Nothing is found for what nobody is called, whatever SQL would make of it; all is still there."""
        fill(journal)
        for name in ("recipient", "sender", "type", "feed", "pipeline", "sink", "code"):
            try:
                assert found(journal, **{name: asked}) == ""
            except BadCriterion as fault:
                assert "recipient" in fault.text
        assert found(journal) == "bre"

    def test_what_is_no_criterion_is_said(self, journal: Journal) -> None:
        """An outcome, a FINESS and a recipient that can't be are answered with the forms that can."""
        for wrong in ({"outcome": "lost"}, {"structure": "75"}, {"recipient": "a@b"}):
            with pytest.raises(BadCriterion):
                found(journal, **wrong)

    def test_a_patients_mailbox_is_no_recipient(self, journal: Journal) -> None:
        """It carries the INS: it is in no term, and asking for it says how to ask."""
        mailbox = "187015912345612@patient.mssante.fr"
        to_patient = replace(received("p" * 64), recipients=((mailbox, "", "DUPONT Marie"),))
        made = replace(decided("p" * 64), deliveries=(("d7", "mssante.chu", mailbox), ("d8", "mssante.chu", PATIENT)))
        journal.write([to_patient, made], [])
        assert found(journal, recipient="patient.mssante.fr") == ""
        with pytest.raises(BadCriterion, match="patient"):
            found(journal, recipient=mailbox)

    def test_search_goes_page_by_page(self, journal: Journal) -> None:
        """Events beyond the first pages are found, also those that were received at the same instant."""
        many = [received(f"{n:064}", START + n // 700, control_id=str(n), patients=()) for n in range(2000)]
        journal.write([*many, received("e" * 64, START - 1, document_type="11502-2")], [])
        assert found(journal, sender="sil", feed="sil", type="11502-2") == "e"
        assert len(found(journal, sender="sil", feed="sil", limit=3000)) == 2001
        assert len(set(journal.search(Criteria(feed="sil"), 3000).events)) == 2001

    def test_a_slow_search_is_cut(self, journal: Journal) -> None:
        """What was found by then is answered, and that it is not all."""
        many = [received(f"{n:064}", START + n, control_id=str(n)) for n in range(2000)]
        journal.write(many, [])
        answer = journal.search(Criteria(feed="sil", outcome="waiting"), seconds=0)
        assert (answer.cut, answer.complete) == (True, False)
        assert not journal.search(Criteria(feed="sil")).cut

    def test_more_than_the_limit_is_said(self, journal: Journal) -> None:
        """A list that ends at its limit is not complete."""
        fill(journal)
        assert not journal.search(Criteria(), 2).complete
        assert journal.search(Criteria(), 3).complete

    def test_an_event_of_another_structure_is_as_if_it_were_not(self, journal: Journal) -> None:
        """Search, counts and stories show events of one's own structures only; those of none are for who sees all."""
        fill(journal)
        established: dict[str, Any] = {"structures": ("750000018",), "speaks_for": "750000018"}
        foreign = replace(received("f" * 64, START + 300), structures=("340000017", "750000018"), control_id="FOREIGN")
        known = replace(JournalEntry(event_id="k" * 64, kind="refused", at=START + 400, code="R45"), **established)
        said = JournalEntry(event_id="s" * 64, kind="refused", at=START + 500, code="R80", structures=("750000018",))
        journal.write([foreign, known, said], [])
        own = frozenset({"750000018"})
        assert found(journal) == "skfbre"
        assert found(journal, within=own) == "ke"
        assert found(journal, within=own | {"340000017", "000000000"}) == "kfe"
        assert found(journal, within=frozenset()) == ""
        assert found(journal, within=own, sender="SIL") == found(journal, within=own, recipient="hoda") == "e"
        assert found(journal, within=own, outcome="refused") == "k"
        assert found(journal, within=own, structure="750000018", limit=1) == "k"
        assert journal.counts(Criteria(within=own)) == Counts(total=2, outcomes={"delivered": 1, "refused": 1})
        for asked in ("FOREIGN", "f" * 64, "ffffffff", "b" * 64, "s" * 64):
            assert len(journal.story(asked)) == 1
            assert journal.story(asked, wanted=Criteria(within=own)) == journal.story("no such id") == []
        assert [one.event.structure for one in journal.story("MSG0001", wanted=Criteria(within=own))] == ["750000018"]

    def test_a_list_goes_on_behind_its_last_event(self, journal: Journal) -> None:
        """Pages together are the whole list, each event once, also of one instant and while others come."""
        journal.write([received(f"{n:064}", START + n // 5, control_id=str(n), patients=()) for n in range(23)], [])
        asked, pages = Criteria(feed="sil", sender="LABO"), []
        after: Cursor | None = None
        while True:
            page = journal.search(asked, 4, after=after)
            pages.append([one.event.event_id for one in page.events])
            journal.write([received(f"a{len(pages):063}", START + 900 + len(pages))], [])
            if page.next is None:
                break
            assert not page.complete
            after = Cursor.parse(str(page.next))
        assert [len(page) for page in pages] == [4, 4, 4, 4, 4, 3]
        whole_list = [one.event.event_id for one in journal.search(replace(asked, until=START + 500), 100).events]
        assert [name for page in pages for name in page] == whole_list
        assert sorted(map(int, whole_list)) == list(range(23))
        for wrong in ("", "x", "nan_1", "inf_", "_"):
            with pytest.raises(BadCriterion):
                Cursor.parse(wrong)

    def test_events_are_counted_by_outcome(self, journal: Journal) -> None:
        """An event counts once under each outcome that a delivery has; in all are those that the search finds."""
        fill(journal)
        late = receipt(2, START + 50, ok=False, disposition=Disposition.DEAD_LETTERED, state=State.DEAD, code="MSS-552")
        journal.write([], [late])
        every = Counts(total=3, outcomes={"delivered": 1, "failed": 1, "refused": 1})
        assert journal.counts(Criteria()) == every
        for outcome in OUTCOMES:
            asked = Criteria(outcome=outcome)
            assert journal.counts(asked) == replace(every, total=len(journal.search(asked).events))
        assert journal.counts(Criteria(outcome="failed")).total == 1
        assert journal.counts(Criteria(sink="dmp.chu")) == Counts(total=1, outcomes={"delivered": 1})
        assert journal.counts(Criteria(recipient="x.mssante.fr", code="MSS-552")).outcomes == {"failed": 1}
        assert journal.counts(Criteria(feed="none")) == Counts(total=0, outcomes={})
        cut = journal.counts(Criteria(feed="sil"), seconds=0)
        assert cut.cut
        assert not journal.counts(Criteria(feed="sil")).cut

    def test_outcomes_go_by_the_time_of_reception(self, journal: Journal) -> None:
        """Receipts that come before their event are found in its period once it is there."""
        entries, receipts = whole()
        journal.write([], [replace(one, at=one.at + 500) for one in receipts])
        journal.write(entries, [])
        assert found(journal, outcome="delivered", since=START, until=START + 1) == "e"
        assert found(journal, outcome="delivered", since=START + 1) == ""

    def test_indicators_have_their_columns(self, journal: Journal) -> None:
        """Type, structure, level and whether the identity was qualified stand with the event."""
        fill(journal)
        (event,) = (one.event for one in journal.search(Criteria(type="11502-2")).events)
        assert (event.document_type, event.structure, event.level, event.qualified) == (
            "11502-2", "750000018", 3, True,
        )  # fmt: skip

    def test_pruning_forgets_what_is_over(self, journal: Journal) -> None:
        """Days that are over go with all their lines; an event with a delivery under way, or touched since, stays."""
        entries, receipts = whole()
        journal.write(entries, receipts)
        open_event = replace(decided("o" * 64), deliveries=(("d9", "dmp.chu", "DMP"),))
        journal.write([received("o" * 64, control_id="OPEN"), open_event], [])
        late = replace(receipt(1, START + 9 * DAY), event_id="l" * 64, delivery_id="d8")
        journal.write(
            [received("l" * 64, control_id="LATE"), received("n" * 64, START + DAY, control_id="NEXT")], [late]
        )
        command = JournalEntry(event_id="c" * 64, kind="command", at=START + 1, code="DISCARD", source="dupont")
        journal.write([command], [])
        assert journal.oldest() == START
        end = (START // DAY + 1) * DAY
        assert journal.prune(end - 1) == 0
        assert journal.prune(end) == 1
        assert journal.story("MSG0001") == journal.story("abc@segur") == journal.story("c" * 64) == []
        assert sorted(found(journal)) == ["l", "n", "o"]
        assert [len(journal.story(name)[0].deliveries) for name in ("OPEN", "LATE", "NEXT")] == [1, 1, 0]
        assert found(journal, sender="SIL", outcome="waiting") == "o"
        assert journal.prune(end) == 0
        journal.write([], [replace(receipt(1, START + 60), event_id="o" * 64, delivery_id="d9")])
        assert journal.prune(end) == 1
        assert found(journal) == "nl"
        assert journal.prune(START + 30 * DAY) == 2
        assert found(journal) == "" and journal.story("LATE") == []

    def test_progress_only_goes_forward(self, journal: Journal) -> None:
        """How far the journal has read the bus, whatever is read again."""
        assert journal.written_up_to() is None
        journal.write([received()], [], seen=20.0)
        journal.write([received()], [], seen=10.0)
        assert journal.written_up_to() == 20.0
        journal.clear()
        assert journal.written_up_to() is None
        assert journal.story("MSG0001") == []

    def test_odd_characters_pass(self, journal: Journal) -> None:
        """What senders put in MSH-10 is text: accents, quotes, a NUL that PostgreSQL would refuse."""
        journal.write([received(control_id="n°'1\"\0é")], [])
        assert len(journal.story("n°'1\"é")) == 1
