"""Rules R50–R65: type, identity and versions of the document, and the structure that signs."""

from __future__ import annotations

import base64

import pytest

from tests.cisis.messages import (
    DOCUMENT,
    FINESS,
    PARENT,
    RCT,
    SB,
    Codes,
    asked,
    cda,
    check,
    deletion,
    edit,
    mdm,
    oru,
    pair,
    replacement,
    told,
    warned,
)
from tests.typed import present

OLD = "2.0^CISIS_CDA_HL7_V2"
OLDEST = "1.2^CISIS_CDA_HL7_V1"


@pytest.mark.parametrize(
    ("path", "place"), [("TXA-2", "TXA^1^2"), ("OBR-4.1", "OBR^1^4^1^1"), ("OBX[1]-3.1", "OBX^1^3^1^1")]
)
def test_R50_the_type_is_the_same_everywhere(path: str, place: str) -> None:
    """R50: AE 207/906 at the place that differs."""
    assert ("R50", "207", place, "906") in told(check(edit(mdm(), {path: "11490-0"})))


def test_R50_obr_4_of_a_1_2_sender_is_not_compared() -> None:
    """R50: OBR only since 2.0; a deletion is only warned (D1)."""
    assert told(check(edit(oru(version=OLDEST), {"OBR-4.1": "34555-3"}))) == []
    verdict = check(edit(deletion(), {"OBR-4.1": "11490-0"}))
    assert verdict.ack_code == "AA" and "R50" in warned(verdict)


def test_R51_the_type_is_in_j07() -> None:
    """R51: AE 103; a warning when the value set is not loaded, and for a deletion."""
    unknown = edit(oru(cda(code="34555-3")), {"OBX[1]-3.1": "34555-3", "OBR-4.1": "34555-3"})
    assert ("R51", "103", "OBX^1^3^1^1", "") in told(check(asked(unknown, DESTDMP="N")))
    assert "R51" in warned(check(asked(unknown, DESTDMP="N"), codes=Codes()))
    verdict = check(deletion(cda(code="34112-4")), codes=Codes(JDV_J07=set(), JDV_J66=set()))
    assert verdict.ack_code == "AA" and {"R51", "R52"} <= warned(verdict)


def test_R52_the_type_is_in_j66_when_the_dmp_is_asked_for() -> None:
    """R52: AE 103 with the DMP alone, the leg alone with a mail (D4), a warning when J66 is not loaded."""
    message = edit(oru(cda(code="34112-3")), {"OBX[1]-3.1": "34112-3", "OBR-4.1": "34112-3"})
    alone = asked(message, DESTMSSANTEPS="N", DESTMSSANTEPAT="N")
    assert told(check(alone)) == [("R52", "103", "OBX^1^3^1^1", "")]
    assert told(check(message, dmp_inadmissible="message")) == [("R52", "103", "OBX^1^3^1^1", "")]
    assert present(present(check(message).request).dmp_inadmissible)[0] == "R52"
    assert "R52" not in warned(check(asked(message, DESTDMP="N")))
    verdict = check(alone, codes=Codes(JDV_J07={"34112-3"}))
    assert verdict.ack_code == "AA" and "R52" in warned(verdict)


def test_R52_a_set_that_is_not_loaded_is_told_once() -> None:
    """R52: and R51: one warning for a process, not one for each document; another process tells it again."""
    lacking = Codes()
    assert {"R51", "R52"} <= warned(check(oru(), codes=lacking))
    for _ in range(3):
        assert not {"R51", "R52"} & warned(check(oru(), codes=lacking))
    assert {"R51", "R52"} <= warned(check(oru(), codes=Codes()))


def test_R53_a_strange_coding_system_is_only_noted() -> None:
    """R53: absent, unknown or different from the CDA's."""
    for system in ("", "LOINC", "TRE_A05"):
        verdict = check(edit(oru(), {"OBX[1]-3.3": system}))
        assert verdict.ack_code == "AA" and "R53" in warned(verdict)


def test_R60_txa_12_is_the_id_of_the_cda() -> None:
    """R60: AE 207/906 when it differs, 101 when absent; three real forms are tolerated."""
    assert told(check(mdm(txa="1.2.3"))) == [("R60", "207", "TXA^1^12", "906")]
    assert told(check(mdm(txa=""))) == [("R60", "101", "TXA^1^12", "")]
    verdict = check(mdm(txa=f"{DOCUMENT}^CHU X"))
    assert verdict.ack_code == "AA" and "R60" in warned(verdict)
    with_extension = cda(code="18748-4", extension="81")
    for form in (f"81^^{DOCUMENT}^ISO", f"{DOCUMENT}.81", f"81^CHU X^{DOCUMENT}^ISO"):
        assert "R60" not in {one[0] for one in told(check(mdm(with_extension, txa=form)))}


def test_R61_txa_13_names_what_the_cda_replaces() -> None:
    """R61: AE 101 when absent on T10, 207/906 when another."""
    assert told(check(edit(replacement(), {"TXA-13": ""}))) == [("R61", "101", "TXA^1^13", "")]
    assert told(check(edit(replacement(), {"TXA-13": "1.2.3"}))) == [("R61", "207", "TXA^1^13", "906")]
    assert present(check(replacement()).request).replaces == PARENT
    assert check(edit(deletion(), {"TXA-13": "1.2.3"})).ack_code == "AA"


@pytest.mark.parametrize("parents", [(), (PARENT, "1.2.3"), (DOCUMENT,)], ids=["none", "two", "itself"])
def test_R62_a_replacement_has_one_parent_that_is_another(parents: tuple[str, ...]) -> None:
    """R62: AE 207/900."""
    message = oru(cda(parents=parents), status="C", order="RO")
    assert told(check(message)) == [("R62", "207", "OBX^1^5^1^5", "900")]


def test_R62_an_old_pair_may_have_one_parent_and_an_initial_one_is_noted() -> None:
    """R62: in a pair of 2.0 the second document may lack it; a parent on F warns."""
    documents = (cda(level=1, parents=(PARENT,)), cda(level=3, uid="1.2.250.1.999.7.82"))
    verdict = check(oru(*documents, status="C", order="SC", version=OLD))
    assert verdict.ack_code == "AA" and "R62" in warned(verdict)
    assert told(check(oru(*documents, status="C", order="RO"))) == [("R62", "207", "OBX^2^5^1^5", "900")]
    assert "R62" in warned(check(oru(cda(parents=(PARENT,)))))


def test_R63_fixed_fields_of_txa_are_only_noted() -> None:
    """R63: TXA-1, TXA-3 and TXA-17."""
    verdict = check(edit(mdm(), {"TXA-1": "2", "TXA-17": "XX"}))
    assert verdict.ack_code == "AA" and "R63" in warned(verdict)


def test_R64_an_id_with_extension_is_not_for_the_dmp() -> None:
    """R64: AE with the DMP alone since 2.1, the leg alone before or with a mail, nothing when the site joins them."""
    alone = {"DESTMSSANTEPS": "N", "DESTMSSANTEPAT": "N"}
    document = cda(extension="81")
    assert told(check(asked(oru(document), **alone))) == [("R64", "207", "OBX^1^5^1^5", "906")]
    mdm_alone = mdm(cda(code="18748-4", extension="81"), txa=f"81^^{DOCUMENT}^ISO", metadata=alone)
    assert told(check(mdm_alone)) == [("R64", "207", "TXA^1^12", "906")]
    assert present(present(check(oru(document)).request).dmp_inadmissible)[0] == "R64"
    old = check(asked(oru(document, version=OLD, order="SC"), **alone))
    assert old.ack_code == "AA" and present(present(old.request).dmp_inadmissible)[0] == "R64"
    assert told(check(asked(oru(document), **alone), dmp_id_extension="concat")) == []
    letters = asked(oru(cda(extension="A81")), **alone)
    assert told(check(letters, dmp_id_extension="concat")) == [("R64", "207", "OBX^1^5^1^5", "906")]
    gone = check(deletion(cda(code="18748-4", extension="81"), txa=f"81^^{DOCUMENT}^ISO", metadata=alone))
    assert gone.ack_code == "AA" and present(gone.request).dmp_inadmissible is None


def test_R65_a_feed_speaks_for_its_own_structures() -> None:
    """R65: a PRT-8 of the SB outside the list is AE 207/906, also in the prefixed form."""
    assert told(check(oru(), structures=["750100125"])) == [("R65", "207", "PRT^1^8^1^10", "906")]
    assert told(check(oru(), structures=["750100125", FINESS])) == []
    prefixed = SB.replace(f"FINEG^^^{FINESS}", f"IDNST^^^1{FINESS}")
    verdict = check(oru(parts=(prefixed,), metadata={"DESTMSSANTEPS": "N", "DESTMSSANTEPAT": "N"}), structures=[FINESS])
    assert verdict.request is not None and verdict.request.sender is not None
    assert verdict.request.sender.structure is not None
    assert (verdict.request.sender.structure.id, verdict.request.sender.structure.finess) == (f"1{FINESS}", FINESS)


LETTER = {"DESTDMP": "N", "DESTMSSANTEPAT": "N"}
"""A message that asks for mails to professionals only."""
OTHER = "750100125"
ABSENT = [("R65", "207", "PRT^1^8^1^10", "906")]
NAMELESS = "|".join([*SB.split("|")[:8], "", *SB.split("|")[9:]])
"""A PRT SB without PRT-8."""


@pytest.mark.parametrize(
    ("structures", "facilities", "answer", "speaks_for"),
    [
        ([FINESS], {}, [], FINESS),
        ([OTHER, FINESS], {"Organisation-Y": FINESS}, [], FINESS),
        ([OTHER, FINESS], {}, ABSENT, None),
        ([OTHER, "750100133"], {"Organisation-Y": FINESS}, ABSENT, None),
        ([], {}, [], ""),
    ],
    ids=["the only one", "by MSH-4", "several", "MSH-4 of another feed", "no site"],
)
def test_R65_a_letter_without_PRT_8_speaks_for_the_structure_the_site_names(
    structures: list[str], facilities: dict[str, str], answer: object, speaks_for: str | None
) -> None:
    """R65: the feed's only structure, else that of MSH-4, else AE (decisions D11)."""
    for parts in ((RCT,), (NAMELESS, RCT)):
        message = edit(oru(parts=parts, metadata=LETTER), {"MSH-4": "Organisation-Y"})
        verdict = check(message, structures=structures, facilities=facilities)
        assert told(verdict) == answer
        assert (verdict.request.speaks_for if verdict.request else None) == speaks_for


def test_R65_a_structure_that_only_the_CDA_names_must_be_ours_for_the_DMP_alone() -> None:
    """R65: what another hospital signed may be mailed in our name; the DMP would take it for the other's (D11)."""
    found = check(oru(version=OLDEST, parts=(RCT,), metadata=LETTER), structures=[OTHER])
    assert told(found) == [] and found.request is not None and found.request.speaks_for == OTHER
    assert ("R65", "207", "PRT^1^8^1^10", "906") in told(
        check(oru(version=OLDEST, parts=(RCT,), metadata=LETTER | {"DESTDMP": "Y"}), structures=[OTHER])
    )


def test_the_principal_document_of_a_pair_is_the_n3() -> None:
    """D7: lineage and order follow the N3."""
    verdict = check(pair())
    assert verdict.request is not None and verdict.request.principal.level == 3


def n1(content: bytes, media: str = "application/pdf", how: str = ' representation="B64"') -> bytes:
    """A document whose body has this content; without base64 when `how` is empty."""
    body = base64.b64encode(content).decode() if how else content.decode()
    old = b'<text mediaType="application/pdf" representation="B64">JVBERi0xLjQK<'
    assert old in cda()
    return cda().replace(old, f'<text mediaType="{media}"{how}>{body}<'.encode())


@pytest.mark.parametrize(
    ("media", "content"),
    [
        ("application/pdf", b"%PDF-1.4\n"),
        ("application/pdf", b"\n" * 1000 + b"%PDF-1.4\n"),
        ("image/png", b"\x89PNG\r\n\x1a\n\0\0"),
        ("image/jpeg", b"\xff\xd8\xff\xe0\0\x10JFIF"),
        ("image/tiff", b"II*\0\x08\0\0\0"),
        ("image/tiff", b"MM\0*\0\0\0\x08"),
        ("text/rtf", b"\xef\xbb\xbf{\\rtf1 Bonjour}"),
        ("text/plain; charset=utf-8", "Cher confrère, 12 % {\\rtf".encode()),
        ("application/msword", b"anything"),
    ],
)
def test_R54_a_body_that_is_what_it_says_is_taken(media: str, content: bytes) -> None:
    """R54: by the first bytes of the type; of a type that the table does not hold nothing is asked."""
    assert check(oru(n1(content, media))).ack_code == "AA"


@pytest.mark.parametrize(
    ("media", "content"),
    [
        ("application/pdf", b"Not a pdf at all"),
        ("application/pdf", b""),
        ("application/pdf", b" " * 1024 + b"%PDF-1.4\n"),
        ("image/png", b"\xff\xd8\xff"),
        ("image/jpeg", b"\x89PNG\r\n\x1a\n"),
        ("image/tiff", b"%PDF-1.4"),
        ("text/rtf", b"Bonjour"),
        ("text/plain", b"%PDF-1.4"),
        ("text/plain", b"\xd0\xcf\x11\0"),
    ],
)
def test_R54_a_body_that_is_not_what_it_says_is_refused(media: str, content: bytes) -> None:
    """R54: AE 207/906 at the document, all or nothing: the DMP would take it and the mail would not."""
    verdict = check(oru(n1(content, media)))
    assert told(verdict) == [("R54", "207", "OBX^1^5^1^5", "906")] and media in verdict.faults[0].text
    assert verdict.request is None
    removed = check(oru(n1(content, media), status="D", order="CA"))
    assert removed.ack_code == "AA" and "R54" in warned(removed)


def test_R54_a_body_that_is_no_base64_is_refused() -> None:
    """R54: cut or damaged inside; blanks, line ends and a missing padding are no damage."""
    pdf = b"%PDF-1.4\n" + bytes(range(256)) * 40
    written = base64.b64encode(pdf)
    assert (
        check(oru(n1(pdf).replace(written, b"\r\n\t".join((written[:76], written[76:].rstrip(b"=")))))).ack_code == "AA"
    )
    verdict = check(oru(n1(pdf).replace(written, written[:200] + b"*" + written[200:])))
    assert told(verdict) == [("R54", "207", "OBX^1^5^1^5", "906")] and "base64" in verdict.faults[0].text
    assert told(check(oru(n1(b"%PDF-1.4 in clear", how=""))))[0][0] == "R54"
    assert check(oru(n1(b"Bonjour", "text/plain", how=""))).ack_code == "AA"


@pytest.mark.parametrize("decoy", [b"", b'<!-- <nonXMLBody><text representation="B64">QQ==</text> -->'])
def test_R54_the_body_is_found_however_it_is_written(decoy: bytes) -> None:
    """R54: with a prefix, a comment before it or within it, a text in CDATA."""
    raw = n1(b"%PDF-1.4\n")
    change = (b"<component><nonXMLBody>", decoy + b"<component><nonXMLBody><!-- corps -->")
    commented = raw.replace(*change).replace(b"JVBERi0xLjQK", b"<![CDATA[JVBERi0xLjQK]]>")
    assert commented != raw and check(oru(commented)).ack_code == "AA"
    wrong = commented.replace(b"JVBERi0xLjQK", base64.b64encode(b"nothing"))
    if not decoy:
        assert told(check(oru(wrong)))[0][0] == "R54"


def test_a_type_without_a_label_gets_that_of_the_value_set() -> None:
    """mssante §1.3: subject, file names and metadata never show the bare code; a label that is there stays."""
    bare = cda().replace(b' displayName="Compte rendu"', b"")
    assert present(check(oru(bare)).request).principal.code.label == "libellé de 11502-2"
    assert present(check(oru()).request).principal.code.label == "Compte rendu"
