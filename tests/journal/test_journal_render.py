"""A story as an operator reads it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from router.contracts import SystemClock
from router.exchange import Disposition, Receipt, State
from router.journal.render import Line, render
from router.journal.store import Journal
from router.journal.views import EventStory
from tests.journal.journal_samples import START, receipt, received, whole

pytestmark = pytest.mark.usefixtures("french")


def told(tmp_path: Path, *more: Receipt) -> EventStory:
    journal = Journal(f"sqlite:///{tmp_path / 'journal.db'}", SystemClock())
    journal.write(*whole())
    journal.write([], more)
    (story,) = journal.story("MSG0001")
    journal.close()
    return story


def text(lines: list[Line]) -> str:
    return "\n".join(line.text for line in lines)


def test_a_story_says_what_was_asked_and_what_became_of_it(tmp_path: Path) -> None:
    """Message, sender, request, document, each destination with its end, and the proofs, on one screen."""
    lines = render(told(tmp_path))
    page = text(lines)
    for words in (
        "Message MSG0001 du flux sil",
        "par mllp",
        "de SIL|LABO",
        "286 Ko",
        "demande : création — DMP, MSSanté professionnels",
        "dmp.chu (DMP) : remis, 3 essais",
        "mssante.chu (adam.hoda@x.mssante.fr) : remis",
        "alerte     R51 valeur hors jeu",
        "service indisponible (2 fois)",
        "Message-ID <abc@segur>",
        "lot 2.25.99",
    ):
        assert words in page
    assert len(lines) <= 24
    assert {line.style for line in lines} <= {"title", "plain", "good", "warning", "bad", "dim"}


def test_a_failure_says_why(tmp_path: Path) -> None:
    """A dead letter is shown with its code and reason, where it is looked for first."""
    dead = receipt(
        2,
        START + 60,
        ok=False,
        disposition=Disposition.DEAD_LETTERED,
        state=State.DEAD,
        code="MSS-550",
        text="boîte inconnue",
    )
    lines = render(told(tmp_path, dead))
    (line,) = [line for line in lines if "mssante.chu (adam" in line.text and " : " in line.text]
    assert "en échec — MSS-550 boîte inconnue" in line.text
    assert line.style == "bad"


def test_a_refused_message_shows_its_fault(tmp_path: Path) -> None:
    """A message that got AE has no destinations: its story is the rule that refused it."""
    journal = Journal(f"sqlite:///{tmp_path / 'refused.db'}", SystemClock())
    entry = received(at=START, ack="AE", code="R45", place="PID-32", text="identité non qualifiée", warnings=())
    journal.write([replace(entry, kind="refused")], [])
    page = text(render(journal.story("MSG0001")[0]))
    assert "réponse AE" in page
    assert "refusé" in page
    assert "R45 [PID-32] identité non qualifiée" in page
    assert "Destinations" not in page
    journal.close()


@pytest.mark.parametrize(("behind", "said"), [(None, False), (1.0, False), (90.0, True)])
def test_a_late_journal_says_so(tmp_path: Path, behind: float | None, said: bool) -> None:
    """When the journal is behind the bus the reader is told that the end of the story may be missing."""
    page = text(render(told(tmp_path), behind=behind))
    assert ("90 s de retard" in page) is said
