"""The enrich step: the register only takes away (D1, D2, D5, D8)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from router.cda.document import read
from router.exchange import Event, Exchange
from router.register import Register
from router.request import Action, Dialect, Identifier, Patient, Recipient, RecipientKind, TransmissionRequest
from router.steps.enrich import Enrich, EnrichStep
from tests.cda.cda_samples import cda
from tests.register.register_samples import (
    INS_1,
    INS_2,
    PSEUDONYMS,
    TEST_OID,
    StillClock,
    change,
    ins,
    ipp,
    zfa,
)

NO_INS = (f'<id root="{TEST_OID}" extension="{INS_1}"/>', "")


@pytest.fixture
def register(tmp_path: Path) -> Iterator[Register]:
    """An empty register."""
    opened = Register(f"sqlite:///{tmp_path / 'register.db'}", PSEUDONYMS, StillClock())
    yield opened
    opened.close()


def exchange(*, action: Action = Action.INITIAL, ins_in_cda: bool = False, **fields: object) -> Exchange:
    """A message for DMP, a doctor and the patient, whose identity is qualified."""
    number = Identifier(value=INS_1, authority=TEST_OID, kind="INS")
    local = Identifier(value="3", namespace="CHU-X", kind="PI")
    header = read(cda(change=() if ins_in_cda else (NO_INS,))).header
    request = TransmissionRequest(
        dialect=Dialect.V2_1,
        action=action,
        feed="sil",
        control_id="015",
        patient=Patient(ins=number, ipp=local, identifiers=(local, number), status=("VALI",)),
        recipients=(
            Recipient(rank=1, kind=RecipientKind.PROFESSIONAL, address="adam.hoda@test-ci-sis.mssante.fr"),
            Recipient(rank=2, kind=RecipientKind.PATIENT, address=f"{INS_1}@patient.mssante.fr"),
        ),
        dmp=True,
        mss_professionals=True,
        mss_patient=True,
        documents=(header,),
    )
    return Exchange(Event("e", "sil", "k", b""), request=request.model_copy(update=fields))


def codes(found: Exchange) -> list[str]:
    """The codes of the decisions."""
    return [decision.code for decision in found.decisions]


def test_d8_a_patient_nobody_spoke_of_changes_nothing(register: Register) -> None:
    """D8: an unknown patient is noted in the story, and the request stays."""
    before = exchange()
    after = Enrich(register)(before)
    assert after.request == before.request
    assert [decision.text for decision in after.decisions] == ["patient inconnu du registre"]


def test_d8_a_patient_without_objection_changes_nothing(register: Register) -> None:
    """D8: qualified and not opposed: nothing to say."""
    register.apply("e1", change("A01", ipp("3"), ins(INS_1), zfa=zfa("INO")))
    before = exchange()
    after = Enrich(register)(before)
    assert after.request == before.request and after.decisions == ()


@pytest.mark.parametrize("action", [Action.INITIAL, Action.REPLACE])
def test_d8_an_opposed_patient_keeps_mssante_and_the_sender_is_told(register: Register, action: Action) -> None:
    """D8: ZFA-9 = IO: the DMP leg is inadmissible (Z01 N), the mails go on."""
    register.apply("e1", change("A01", ipp("3"), ins(INS_1), zfa=zfa("IO")))
    before = exchange(action=action)
    after = Enrich(register)(before)
    request = after.asked()
    assert request.dmp and request.dmp_inadmissible is not None
    assert request.dmp_inadmissible[0] == "OPPOSITION"
    assert request.recipients == before.asked().recipients
    assert request.patient == before.asked().patient
    assert codes(after) == ["OPPOSITION"]


def test_d1_an_opposition_only_warns_for_a_deletion(register: Register) -> None:
    """D1: a deletion is never blocked by the opposition."""
    register.apply("e1", change("A01", ipp("3"), ins(INS_1), zfa=zfa("IO")))
    after = Enrich(register)(exchange(action=Action.DELETE))
    assert after.asked().dmp_inadmissible is None
    assert codes(after) == ["OPPOSITION"]


def test_d8_an_opposition_without_dmp_says_nothing(register: Register) -> None:
    """D8: DESTDMP = N: there is nothing to take away."""
    register.apply("e1", change("A01", ipp("3"), zfa=zfa("IO")))
    after = Enrich(register)(exchange(dmp=False))
    assert after.asked().dmp_inadmissible is None and after.decisions == ()


def test_d8_an_opposition_is_found_by_ins_and_through_a_merge(register: Register) -> None:
    """D8: the patient is found by his INS, or by an IPP that was merged."""
    register.apply("e1", change("A01", ipp("99"), ins(INS_1), zfa=zfa("IO")))
    assert codes(Enrich(register)(exchange())) == ["OPPOSITION"]
    register.apply("e2", change("A40", ipp("98"), mrg=ipp("3"), zfa=zfa("IO")))
    without_ins = exchange(patient=exchange().asked().patient.model_copy(update={"ins": None}))
    assert codes(Enrich(register)(without_ins)) == ["OPPOSITION"]


@pytest.mark.parametrize(
    "later",
    [
        [("A31", (ipp("3"),), {"status": "PROV"})],
        [("A31", (ipp("3"), ins(INS_1)), {"status": "VALI~DOUT"})],
        [("A47", (), {"mrg": ins(INS_1)})],
        [("A47", (ipp("3"), ins(INS_2)), {"mrg": ins(INS_1)})],
        [("A31", (ipp("3"), ins(INS_2)), {})],
    ],
)
def test_d2_an_ins_that_no_longer_holds_leaves_by_no_road(
    register: Register, later: list[tuple[str, tuple[str, ...], dict[str, str]]]
) -> None:
    """D2: downgraded, withdrawn or replaced since: no DMP, no patient mail, no INS; the doctor's mail goes on."""
    register.apply("e1", change("A01", ipp("3"), ins(INS_1)))
    for n, (event, ids, fields) in enumerate(later):
        register.apply(f"later-{n}", change(event, *ids, **fields))
    after = Enrich(register)(exchange())
    request = after.asked()
    assert request.dmp_inadmissible is not None and request.dmp_inadmissible[0] == "R45"
    assert request.patient.ins is None
    assert [one.value for one in request.patient.identifiers] == ["3"]
    doctor, patient = request.recipients
    assert doctor.refusal is None
    assert patient.refusal is not None and patient.refusal[0] == "510"
    assert "R45" in codes(after)
    assert all(INS_1 not in decision.text for decision in after.decisions)


def test_d2_a_document_that_holds_the_ins_leaves_by_no_road(register: Register) -> None:
    """R46/D2: a CDA with the INS of an unqualified identity may not be transmitted to anybody."""
    register.apply("e1", change("A01", ipp("3"), ins(INS_1)))
    register.apply("e2", change("A31", ipp("3"), status="PROV"))
    after = Enrich(register)(exchange(ins_in_cda=True))
    refusals = [recipient.refusal for recipient in after.asked().recipients]
    assert [refusal and refusal[0] for refusal in refusals] == ["554", "510"]
    assert "R46" in codes(after)


def test_d2_a_withdrawal_that_named_the_ins_alone_is_obeyed(register: Register) -> None:
    """D2: the IPP's file says nothing of the INS; the withdrawn INS itself does."""
    register.apply("e1", change("A01", ipp("3"), status="", fictitious=""))
    register.apply("e2", change("A47", mrg=ins(INS_1)))
    assert Enrich(register)(exchange()).asked().patient.ins is None


def test_d2_another_hospitals_doubt_does_not_unqualify_our_file(register: Register) -> None:
    """D2: the file of the message's own IPP decides before that of another hospital."""
    register.apply("e1", change("A01", ipp("3"), ins(INS_1)))
    register.apply("e2", change("A01", "77^^^AUTRE^PI", ins(INS_1), status="PROV"))
    assert Enrich(register)(exchange()).asked().patient.ins is not None


def test_d1_a_deletion_without_qualified_ins_points_to_withdraw(register: Register) -> None:
    """D1: the sender and the operator are told that the deletion needs a person."""
    register.apply("e1", change("A31", ipp("3"), status="PROV"))
    request = Enrich(register)(exchange(action=Action.DELETE)).asked()
    assert request.dmp_inadmissible is not None
    assert "segur-router withdraw" in request.dmp_inadmissible[1]


def test_d5_an_earlier_refusal_keeps_its_reason(register: Register) -> None:
    """D5: what a rule already refused is not renamed."""
    register.apply("e1", change("A01", ipp("3"), status="PROV", zfa=zfa("IO")))
    before = exchange(dmp_inadmissible=("R64", "identifiant"))
    assert Enrich(register)(before).asked().dmp_inadmissible == ("R64", "identifiant")


def test_an_exchange_without_request_passes(register: Register) -> None:
    """A relayed message has no request and is left alone."""
    before = Exchange(Event("e", "adt", "k", b""))
    assert Enrich(register)(before) is before


def test_the_step_knows_the_register_only() -> None:
    """The configuration names the one place where a patient is looked up."""
    assert EnrichStep.model_validate({"patient": "register"}).patient == "register"
    with pytest.raises(ValidationError):
        EnrichStep.model_validate({"patient": "annuaire"})
