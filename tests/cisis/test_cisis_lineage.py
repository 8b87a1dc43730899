"""Keys and lineages: the order survives a change of identity, and no deletion reaches another document (D7)."""

from __future__ import annotations

from router.cisis.lineage import document_pseudonym, lineage, ordering_key, patient_pseudonyms, replaces_pseudonym
from router.exchange import Pseudonyms
from router.request import TransmissionRequest
from tests.cisis.messages import DOCUMENT, INS, IPP_OID, PARENT, asked, cda, check, edit, oru, replacement

P = Pseudonyms(b"test")
SET = "1.2.250.1.999.7"
MAIL = {"DESTDMP": "N", "DESTMSSANTEPAT": "N"}


def request(data: bytes) -> TransmissionRequest:
    found = check(data).request
    assert found is not None
    return found


def test_the_set_id_orders_and_links() -> None:
    """Two versions of one document have one key and one lineage, two documents of a patient have two."""
    first, second = (request(oru(cda(uid=f"{SET}.{n}", set_id=SET))) for n in (1, 2))
    other = request(oru(cda(uid=f"{SET}.3", set_id=f"{SET}.9")))
    assert ordering_key(first, P) == ordering_key(second, P) and lineage(first, P) == lineage(second, P)
    assert ordering_key(other, P) != ordering_key(first, P) and lineage(other, P) != lineage(first, P)


def test_the_n3_of_a_pair_decides() -> None:
    """The set of the N3, wherever it stands."""
    n1 = cda(level=1, uid=f"{SET}.1", set_id=f"{SET}.100")
    n3 = cda(level=3, uid=f"{SET}.2", set_id=SET)
    alone = request(oru(n3))
    for documents in ((n1, n3), (n3, n1)):
        assert ordering_key(request(oru(*documents)), P) == ordering_key(alone, P)


def test_without_a_set_the_patient_orders_and_the_document_links() -> None:
    """Same patient, same key; a deletion of one of his documents must not touch the other."""
    one, two = (request(oru(cda(uid=f"{SET}.{n}"))) for n in (1, 2))
    assert ordering_key(one, P) == ordering_key(two, P)
    assert lineage(one, P) != lineage(two, P)
    assert lineage(one, P) == document_pseudonym(one, P)


def test_the_key_does_not_change_when_the_identity_is_qualified() -> None:
    """The same CDA, before and after VALI, is in one order: by IPP and authority."""
    document = cda(ids=((IPP_OID, "IPP1"),))
    before, after = (request(edit(asked(oru(document), **MAIL), {"PID-32": status})) for status in ("PROV", "VALI"))
    assert before.patient.ins is None and after.patient.ins is not None
    assert ordering_key(before, P) == ordering_key(after, P)


def test_the_ins_of_the_cda_then_the_document_are_the_last_resorts() -> None:
    """Without IPP the INS as written orders; without any identifier in common, the document."""
    ins_only = oru(cda(ids=(("1.2.250.1.213.1.4.10", INS),)))
    bare = edit(ins_only, {"PID-3": f"{INS}^^^A&1.2.250.1.213.1.4.10&ISO^INS"})
    assert ordering_key(request(bare), P) == P.of("ins", INS)


def test_a_replacement_names_its_predecessor() -> None:
    """In the same form as the predecessor's own id."""
    found = request(replacement())
    assert replaces_pseudonym(found, P) == P.of("document", PARENT)
    assert document_pseudonym(found, P) == P.of("document", DOCUMENT)
    assert replaces_pseudonym(request(oru()), P) == ""


def test_the_journal_keeps_pseudonyms_of_every_number() -> None:
    """What an operator types is hashed in the same way; nothing stands in clear."""
    found = patient_pseudonyms(request(oru()), P)
    assert set(found) == {P.of("ins", INS), P.of("ipp", IPP_OID, "IPP1")}
    assert all(INS not in one and "IPP1" not in one for one in found)
