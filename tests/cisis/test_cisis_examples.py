"""The national example messages behave as hl7-input §9 says."""

from __future__ import annotations

import pytest

from router.request import Action
from tests.cisis.messages import Codes, check, told, warned
from tests.examples import example

CODES = Codes(JDV_J07={"11502-2", "18748-4"}, JDV_J66={"11502-2", "18748-4"})


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("mdm-init-n1.hl7", Action.INITIAL),
        ("mdm-replace-n1.hl7", Action.REPLACE),
        ("mdm-delete-n1.hl7", Action.DELETE),
        ("oru-init-n3.hl7", Action.INITIAL),
    ],
)
def test_real_documents_are_accepted(name: str, action: Action) -> None:
    """AA, with the action and the flaws noted."""
    verdict = check(example(name), CODES)
    assert told(verdict) == [] and verdict.request is not None
    assert verdict.request.action is action
    assert verdict.request.patient.qualified and verdict.request.dmp


def test_the_sentence_in_the_place_of_a_document_is_refused() -> None:
    """AE 207 at OBX-5.5."""
    assert told(check(example("mdm-init-placeholder.hl7"), CODES)) == [("R35", "207", "OBX^1^5^1^5", "906")]


def test_the_wrong_patient_address_of_the_flagship_example_is_skipped() -> None:
    """Its twenty digits are nobody's INS: 510 for that recipient, the professional is served."""
    verdict = check(example("oru-init-n3.hl7"), CODES)
    assert verdict.request is not None
    assert [one.refusal[0] if one.refusal else "" for one in verdict.request.recipients] == ["", "510"]
    assert {"R75", "R86"} <= warned(verdict)


def test_the_replacement_follows_the_initial_transmission() -> None:
    """The chain of the examples: the new version names the first one."""
    first = check(example("mdm-init-n1.hl7"), CODES).request
    second = check(example("mdm-replace-n1.hl7"), CODES).request
    gone = check(example("mdm-delete-n1.hl7"), CODES).request
    assert first is not None and second is not None and gone is not None
    assert second.replaces == first.principal.id and gone.principal.id == second.principal.id


@pytest.mark.parametrize("name", ["adt/a01-admission.hl7", "adt/a03-sortie.hl7"])
def test_an_adt_on_a_documents_feed_is_refused(name: str) -> None:
    """AE 200, no crash."""
    assert [one[1] for one in told(check(example(name), CODES))] == ["200"]
