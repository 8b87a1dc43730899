"""A document that its sender has deleted and sends anew under the same id."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from router.contracts import SystemClock
from router.journal.criteria import ANY
from router.journal.render import render
from router.journal.store import Journal
from router.language import in_language
from tests.journal.journal_samples import OID, START, received

A, B = "750100125", "750100208"
WARNING = "sa suppression a été demandée par le message"


def told(journal: Journal, event: str, within: frozenset[str] | None = None) -> list[str]:
    """The lines of the story that speak of a deletion."""
    (story,) = journal.story(event, 1, replace(ANY, within=within), look_back=True)
    with in_language("fr"):
        return [line.text for line in render(story) if WARNING in line.text]


def test_a_document_that_comes_again_after_its_deletion_says_so(tmp_path: Path) -> None:
    """`explain` names the message that asked for the deletion; not what came before it, nor another hospital's, nor a
    deletion that was refused."""
    journal = Journal(f"sqlite:///{tmp_path / 'journal.db'}", SystemClock())
    first, gone, again, other = "a" * 64, "b" * 64, "c" * 64, "d" * 64
    refused = {"action": "delete", "control_id": "REFUSED", "ack": "AE", "speaks_for": A}
    journal.write(
        [
            received(first, speaks_for=A, control_id="FIRST"),
            received("e" * 64, START + 5, **refused),
            received(gone, START + 10, action="delete", speaks_for=A, control_id="GONE"),
            received(again, START + 20, speaks_for=A, control_id="AGAIN"),
            received(other, START + 20, speaks_for=B, control_id="OTHER"),
        ],
        [],
    )
    assert told(journal, first) == told(journal, gone) == told(journal, other) == []
    (line,) = told(journal, again)
    assert f"document {OID}^77" in line and "message GONE" in line and "les mails demandés partent" in line
    assert told(journal, again, frozenset({A})) == [line]
    journal.write([received("f" * 64, START + 15, action="delete", control_id="NOBODYS")], [])
    assert "message NOBODYS" in told(journal, again)[0] and told(journal, again, frozenset({A})) == [line]
    journal.close()
