"""What the DMP sink refuses before any call, at the moment of sending (dmp §6, §10; decisions D1, D2, D9)."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import pytest

from router.errors import Refused, RouterError, Unavailable
from router.payload import DocumentOrder
from router.request import Action, Author, Code, DocumentHeader, Identifier, Masks, Structure, TransmissionRequest
from router.simulators.sender import HOPITAL_A, Maker
from router.sinks.dmp import vihf
from router.sinks.dmp.preflight import Case, Moment, check, doubts
from router.sinks.dmp.settings import DmpConfig, LpsConfig, VihfConfig
from router.software import our_version
from router.structures import StructureConfig
from router.xds.tables import tables
from tests.sinks.dmp_world import request

Change = Callable[[TransmissionRequest], TransmissionRequest]
LPS = LpsConfig(homologation="TEST-0001")
MAKER = Maker(31)
SAMPLE = MAKER.document("biology", MAKER.patient(age=50))
ASKED = request(SAMPLE)
OURS = StructureConfig(finess=HOPITAL_A.finess, name=HOPITAL_A.name, source_oid="1.2.250.1.213.1.4.99.7")


def config(**changes: Any) -> DmpConfig:
    given: dict[str, Any] = {
        "url": "https://dmp.test/services",
        "auth": {"certificate": "auth.pem"},
        "sign": {"certificate": "sign.pem"},
        "lps": LPS,
    }
    return DmpConfig.model_validate(given | changes)


def judge(
    asked: TransmissionRequest,
    *,
    data: bytes = SAMPLE.content,
    environment: Any = "qualification",
    structure: StructureConfig | None = None,
    **changes: Any,
) -> None:
    moment = Moment(config(**changes), tables(), environment, time.time())
    check(Case(DocumentOrder(request=asked, structure=structure), [data]), moment)


def code_of(asked: TransmissionRequest, **options: Any) -> str:
    """The code with which it is refused, '' when it passes."""
    try:
        judge(asked, **options)
    except RouterError as fault:
        return fault.code
    return ""


def asking(**changes: Any) -> Change:
    return lambda asked: asked.model_copy(update=changes)


def document(**changes: Any) -> Change:
    """The same request with one document changed."""

    def change(asked: TransmissionRequest) -> TransmissionRequest:
        return asked.model_copy(update={"documents": (asked.documents[0].model_copy(update=changes),)})

    return change


def identity(value: str = "", authority: str = "") -> Change:
    """Another INS, in the message and in the document alike."""

    def change(asked: TransmissionRequest) -> TransmissionRequest:
        held = asked.patient.ins
        assert held is not None
        ins = held.model_copy(update={"value": value or held.value, "authority": authority or held.authority})
        patient = asked.patient.model_copy(update={"ins": ins, "identifiers": (ins,)})
        return document(patient=patient)(asked.model_copy(update={"patient": patient}))

    return change


NAMELESS = (
    ASKED.documents[0]
    .authors[0]
    .model_copy(
        update={"person": ASKED.documents[0].authors[0].person.model_copy(update={"given": ""})}  # type: ignore[union-attr]
    )
)

IPP_FIRST = ASKED.documents[0].patient.model_copy(
    update={
        "identifiers": (
            Identifier(value="IPP-1", authority="1.2.250.1.999.9"),
            *ASKED.documents[0].patient.identifiers,
        )
    }
)

REFUSED: list[tuple[str, Change]] = [
    ("PFI-DESTDMP", asking(dmp=False)),
    ("PFI-R52", asking(dmp_inadmissible=("R52", "type de document absent de JDV_J66"))),
    ("PFI-INS", asking(patient=ASKED.patient.model_copy(update={"ins": None}))),
    ("PFI-INS-OID", identity(authority="1.2.250.1.213.1.4.2")),
    ("PFI-INS-OID", identity(authority="1.2.250.1.213.1.4.8")),
    ("PFI-INS-KEY", identity(value="279035121518900")),
    ("PFI-INS-KEY", identity(value="2790351215189")),
    ("PFI-INS-KEY", identity(value="154032a12312345")),
    ("PFI-INS-CDA", document(patient=ASKED.patient.model_copy(update={"ins": None}))),
    (
        "PFI-INS-CDA",
        document(
            patient=ASKED.patient.model_copy(
                update={"ins": Identifier(value="154032A12345678", authority="1.2.250.1.213.1.4.10")}
            )
        ),
    ),
    ("PFI-EXTENSION", document(extension="42")),
    ("PFI-ID", document(uid="urn:uuid:1")),
    ("PFI-ID", document(uid="1.02.3")),
    ("PFI-ACTION", asking(action=Action.REPLACE)),
    ("PFI-ACTION", document(replaces="1.2.3")),
    ("PFI-HASH", document(sha1="0" * 40)),
    ("PFI-FUTURE", document(effective_time="20990101120000+0100")),
    ("PFI-MEDIA", document(level=1, media_type="image/png")),
    ("PFI-FORMAT", document(template_ids=("1.2.250.1.213.1.1.1.10",))),
    ("PFI-CLASS", document(code=Code(code="99999-9", system="2.16.840.1.113883.6.1"))),
    ("PFI-LEGAL", document(legal_authenticator=None)),
    ("PFI-LEGAL", document(legal_authenticator=NAMELESS)),
    ("PFI-LEGAL", document(legal_authenticator=NAMELESS.model_copy(update={"person": None}))),
    ("PFI-R39", document(patients=2)),
    ("PFI-INS-FIRST", document(patient=IPP_FIRST)),
    ("PFI-AUTHOR", document(authors=())),
    ("PFI-AUTHOR", document(authors=(NAMELESS,))),
    ("PFI-MASKS", asking(masks=Masks(masque_ps=True, invisible_patient=True))),
    ("PFI-SECRET", asking(masks=Masks(connexion_secrete=True))),
    ("PFI-RESTRICTED", document(confidentiality=Code(code="R"))),
    ("PFI-RESTRICTED", document(confidentiality=Code(code="V"))),
]


@pytest.mark.parametrize(("code", "change"), REFUSED, ids=[f"{at}-{code}" for at, (code, _) in enumerate(REFUSED)])
def test_refused_before_any_call(code: str, change: Change) -> None:
    """Each with a code of the router's own, told from the DMP's by its prefix."""
    assert code_of(change(ASKED)) == code


def test_what_is_right_passes() -> None:
    """The request that the others were bent from."""
    assert code_of(ASKED) == ""


ALWAYS = ("PFI-DESTDMP", "PFI-R52", "PFI-INS", "PFI-INS-OID", "PFI-INS-KEY", "PFI-INS-CDA", "PFI-EXTENSION", "PFI-ID")


@pytest.mark.parametrize(("code", "change"), REFUSED, ids=[f"{at}-{code}" for at, (code, _) in enumerate(REFUSED)])
def test_form_never_blocks_a_deletion(code: str, change: Change) -> None:
    """Type, format, class, masks, dates don't hold up a deletion; the patient and the identifier do (decisions D1)."""
    bent = change(ASKED).model_copy(update={"action": Action.DELETE})
    absent = all(one.patient.ins is None for one in bent.documents)
    assert code_of(bent) == (code if code in ALWAYS and not absent else "")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"facility_type": Code(code="SA66", system="1.2.250.1.71.4.2.4")},
            "SA66 : présence non vérifiée dans JDV_J61",
        ),
        (
            {"practice_setting": Code(code="ESSMS", system="1.2.250.1.213.1.1.4.9")},
            "ESSMS : présence non vérifiée dans",
        ),
        ({}, ""),
    ],
)
def test_a_code_that_nobody_could_verify_passes_with_a_word(changes: dict[str, Any], told: str) -> None:
    """The official list of our version lacks it and a later one may hold it: nobody is refused for that."""
    asked = document(**changes)(ASKED)
    assert code_of(asked) == ""
    moment = Moment(config(), tables(), "qualification", time.time())
    said = doubts(Case(DocumentOrder(request=asked), [SAMPLE.content]), moment)
    assert said.startswith(told) and bool(said) is bool(told)


def test_a_deletion_goes_without_the_ins_in_the_document() -> None:
    """R43 only warns for it (D1): the INS of the message says whose document it is; another one is refused."""
    deletion = asking(action=Action.DELETE)(ASKED)
    assert code_of(document(patient=ASKED.patient.model_copy(update={"ins": None}))(deletion)) == ""


@pytest.mark.parametrize(
    ("environment", "authority", "passes"),
    [
        ("qualification", "1.2.250.1.213.1.4.10", True),
        ("qualification", "1.2.250.1.213.1.4.11", True),
        ("qualification", "1.2.250.1.213.1.4.8", False),
        ("qualification", "1.2.250.1.213.1.4.9", False),
        ("production", "1.2.250.1.213.1.4.8", True),
        ("production", "1.2.250.1.213.1.4.9", True),
        ("production", "1.2.250.1.213.1.4.10", False),
        ("production", "1.2.250.1.213.1.4.11", False),
    ],
)
def test_ins_oids_belong_to_one_world(environment: str, authority: str, passes: bool) -> None:
    """A test INS never leaves production, a real one never reaches a test DMP (decisions D9)."""
    assert (code_of(identity(authority=authority)(ASKED), environment=environment) == "") is passes


@pytest.mark.parametrize("value", ["154032A12345" + "6xx", "160022B033001xx"])
def test_corsican_births(value: str) -> None:
    """2A and 2B count as 19 and 18 in the key; in lower case they are refused."""
    number = value[:13]
    key = 97 - int(number.replace("2A", "19").replace("2B", "18")) % 97
    assert code_of(identity(value=f"{number}{key:02d}")(ASKED)) == ""
    assert code_of(identity(value=f"{number}{key % 97 + 1:02d}")(ASKED)) == "PFI-INS-KEY"
    assert code_of(identity(value=f"{number}{key:02d}".lower())(ASKED)) == "PFI-INS-KEY"


def stamp(seconds: float) -> str:
    return time.strftime("%Y%m%d%H%M%S+0000", time.gmtime(time.time() + seconds))


def test_a_sender_whose_clock_is_ahead_waits() -> None:
    """Two minutes ahead: the lane waits as long, so that document ≤ submission ≤ VIHF; an hour is refused."""
    with pytest.raises(Unavailable) as caught:
        judge(document(effective_time=stamp(120))(ASKED))
    assert caught.value.circuit is False
    assert 100 < (caught.value.retry_after or 0) <= 120
    assert code_of(document(effective_time=stamp(3600))(ASKED)) == "PFI-FUTURE"
    assert code_of(document(effective_time=stamp(-1))(ASKED)) == ""
    today = time.strftime("%Y%m%d", time.gmtime(time.time() + 12 * 3600))
    assert code_of(document(effective_time=today)(ASKED)) == ""


def test_too_large() -> None:
    """`max_document_bytes` counts the document's own bytes."""
    assert code_of(ASKED, max_document_bytes=len(SAMPLE.content)) == ""
    assert code_of(ASKED, max_document_bytes=len(SAMPLE.content) - 1) == "PFI-SIZE"


def test_bytes_that_changed() -> None:
    """One byte more than at reception."""
    assert code_of(ASKED, data=SAMPLE.content + b"\n") == "PFI-HASH"


def test_a_new_version_needs_a_new_id() -> None:
    """MODIF_CONF_CODE with an unchanged CDA id is refused (dmp §10.15)."""
    bent = document(replaces=SAMPLE.uid)(ASKED).model_copy(update={"action": Action.REPLACE, "replaces": SAMPLE.uid})
    assert code_of(bent) == "PFI-SAME-ID"


def test_site_options() -> None:
    """Restricted documents and types without class pass when the site says so."""
    assert code_of(document(confidentiality=Code(code="R"))(ASKED), restricted="send") == ""
    assert code_of(document(code=Code(code="99999-9"))(ASKED), default_class="10") == ""
    naive = document(effective_time="20240101120000")(ASKED)
    assert code_of(naive) == ""
    assert code_of(naive, naive_time="") == "XDS-DTM"


@pytest.mark.parametrize(
    ("sender", "code"),
    [
        (None, "PFI-SENDER"),
        (Author(), "PFI-SENDER"),
        (Author(structure=ASKED.sender.structure if ASKED.sender else None), "PFI-SENDER"),
    ],
)
def test_an_incomplete_sender(sender: Author | None, code: str) -> None:
    """No VIHF without a structure and somebody who answers for it."""
    with pytest.raises(Refused) as caught:
        vihf.subject(sender, OURS, VihfConfig(), LPS)
    assert caught.value.code == code


def test_nobody_signs_as_another_structure() -> None:
    """The number of the VIHF is the site's own; a message of another structure is refused, not signed (D11)."""
    assert vihf.subject(ASKED.sender, OURS, VihfConfig(), LPS).structure == OURS.id_nat
    others = OURS.model_copy(update={"finess": "690123456"})
    for structure in (None, others, StructureConfig(name="", source_oid="1.2.3")):
        with pytest.raises(Refused) as caught:
            vihf.subject(ASKED.sender, structure, VihfConfig(), LPS)
        assert (caught.value.code, caught.value.place) == ("PFI-SENDER", "PRT-8")


@pytest.mark.parametrize(("version", "written"), [("", our_version()), ("7.2", "7.2")])
def test_the_vihf_names_the_version_of_the_software(version: str, written: str) -> None:
    """LPS_Version: this router's own, unless the site file gives another."""
    lps = LPS.model_copy(update={"version": version})
    speaker = vihf.subject(ASKED.sender, OURS, VihfConfig(), lps)
    values = vihf.plain_values(ASKED, speaker, patient_cx="x", sector="SA01", vihf=VihfConfig(), lps=lps)
    assert dict(values)["LPS_Version"] == written


def test_who_answers_for_an_automaton() -> None:
    """`vihf.responsible` when PRT SB names a structure alone."""
    sender = Author(structure=ASKED.sender.structure if ASKED.sender else None)
    found = vihf.subject(sender, OURS, VihfConfig(responsible="3750100125/DSI"), LPS)
    assert found.id == "3750100125/DSI"
    assert found.roles == (vihf.AUTOMATE,)


@pytest.mark.parametrize(
    ("code", "roles"),
    [
        ("G15_21/H", [("21", "1.2.250.1.71.1.2.7"), ("H", "1.2.250.1.71.4.2.6")]),
        ("G15_21/DM", [("21", "1.2.250.1.71.1.2.7"), ("DM", "1.2.250.1.71.4.2.6")]),
        ("G15_21/SM54", []),
        ("G15_21/Z", []),
        ("G15_21", []),
        ("G15_10/H", []),
        ("G15_10/SM26", [("10", "1.2.250.1.71.1.2.7"), ("SM26", "1.2.250.1.71.4.2.5")]),
        ("G15_60", [("60", "1.2.250.1.71.1.2.7")]),
    ],
)
def test_a_pharmacist_says_his_section_a_doctor_his_specialty(code: str, roles: list[tuple[str, str]]) -> None:
    """Second role of the VIHF: section of the register (G05) for 21, savoir-faire (R01) for 10; no mixture."""
    found = vihf.roles_of((code, "Profession - Libellé", "1.2.250.1.213.1.1.4.5"))
    assert [(one.code, one.system) for one in found] == roles
    assert all(one.label for one in found)


def test_faults_hold_no_value() -> None:
    """None of the refusals quotes the patient or the document."""
    secrets = [SAMPLE.uid, str(ASKED.patient.ins.value if ASKED.patient.ins else ""), ASKED.patient.birth_family]
    for _, change in REFUSED:
        with pytest.raises(RouterError) as caught:
            judge(change(ASKED))
        assert not any(secret in str(caught.value) for secret in secrets if secret)


def test_cases_print_nothing() -> None:
    """A case can be logged."""
    header: DocumentHeader = ASKED.documents[0]
    shown = repr(dataclasses.replace(Case(DocumentOrder(request=ASKED), [SAMPLE.content])))
    assert header.title not in shown
    assert str(SAMPLE.content[:20]) not in shown


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"facility_type": Code(code="SA01", system="1.2.250.1.71.4.2.4")}, ""),
        ({"facility_type": Code(code="SA99", system="1.2.250.1.71.4.2.4")}, "PFI-VALUE-SET"),
        ({"facility_type": Code(code="SA01", system="1.2.250.1.213.1.1.4.9")}, "PFI-VALUE-SET"),
        ({"facility_type": None}, "PFI-METADATA"),
        ({"practice_setting": Code(code="HAD", system="1.2.250.1.213.1.1.4.9")}, ""),
        ({"practice_setting": Code(code="HOPITAL", system="1.2.250.1.213.1.1.4.9")}, "PFI-VALUE-SET"),
        ({"practice_setting": None}, "PFI-METADATA"),
    ],
)
def test_facility_and_practice_are_in_their_value_sets(change: dict[str, Any], code: str) -> None:
    """JDV_J61 and JDV_J62, code and system; a deletion is not held up by them (decisions D1)."""
    assert code_of(document(**change)(ASKED)) == code
    assert code_of(document(**change)(ASKED.model_copy(update={"action": Action.DELETE}))) == ""


def own(finess: str) -> StructureConfig:
    return StructureConfig(finess=finess, name="CHU", source_oid="1.2.250.1.999")


def test_the_vihf_never_names_another_structure_than_the_sites() -> None:
    """The message's number is not the site's structure: refused before anything is signed, a deletion too (D11)."""
    named = ASKED.sender.structure if ASKED.sender else None
    assert named is not None
    assert code_of(ASKED, structure=own(named.finess)) == ""
    assert code_of(ASKED, structure=own("690781810")) == "PFI-STRUCTURE"
    gone = ASKED.model_copy(update={"action": Action.DELETE})
    assert code_of(gone, structure=own("690781810")) == "PFI-STRUCTURE"


def test_one_author_at_least_is_of_the_structure_of_the_vihf() -> None:
    """The DMP refuses a document of which no author is of the structure: we say so before the call."""
    named = ASKED.sender.structure if ASKED.sender else None
    assert named is not None
    author = ASKED.documents[0].authors[0]
    other = author.model_copy(update={"structure": Structure(id="1690781810", finess="690781810", kind="IDNST")})
    for authors, code in (((other,), "PFI-AUTHOR-STRUCTURE"), ((other, author), "")):
        assert code_of(document(authors=authors)(ASKED), structure=own(named.finess)) == code
    gone = ASKED.model_copy(update={"action": Action.DELETE})
    assert code_of(document(authors=(other,))(gone), structure=own(named.finess)) == ""
