"""The simulated DMP, called by a client that shares no code with the router's sink."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from lxml import etree

from router.simulators.authority import Certificates, make_certificates
from router.simulators.dmp import APPROVED, ARCHIVED, DELETED, DEPRECATED, DmpConfig, DmpSimulator
from router.simulators.sender import HOPITAL_A, HOPITAL_B, CdaSample, Maker
from tests.simulators.dmp_client import Client, now, outcome, patient_cx
from tests.typed import attribute, present

Play = Callable[[DmpSimulator, Client], Awaitable[None]]
MAKER = Maker(11)
A, B = HOPITAL_A.finess, HOPITAL_B.finess


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("ca"), {A: "Hopital A", B: "Hopital B"}, variants=True)


@pytest.fixture
def play(certificates: Certificates) -> Callable[..., None]:
    """Runs a scene against a fresh DMP, as hospital A or another."""

    def run(scene: Play, *, finess: str = A, **options: Any) -> None:
        async def whole() -> None:
            config = DmpConfig(certificates=certificates, **options)
            context = certificates.client_context(f"{finess}-auth")
            async with DmpSimulator(config) as dmp, httpx.AsyncClient(verify=context, timeout=10) as http:
                await scene(dmp, Client(dmp.url, certificates, finess, http))

        asyncio.run(whole())

    return run


def _sample(kind: str = "biology") -> CdaSample:
    return MAKER.document(kind, MAKER.patient())


def test_a_right_submission_is_kept(play: Callable[..., None]) -> None:
    """A complete lot, signed by libraries not ours, is accepted, and its bytes kept untouched."""

    async def scene(dmp: DmpSimulator, client: Client) -> None:
        sample = _sample()
        assert outcome(await client.provide(sample)) == ("Success", "")
        kept = dmp.documents[sample.uid]
        assert kept.status == APPROVED
        assert kept.content == sample.content
        assert [(one.transaction, one.ok, one.documents) for one in dmp.received] == [("TD2.1", True, (sample.uid,))]
        assert sample.patient is not None
        assert str(sample.patient.ins) not in repr(dmp.received)

    play(scene)


def test_replacing_and_deleting(play: Callable[..., None]) -> None:
    """RPLC deprecates the old version and renews its entryUUID; TD3.3c deletes the new one."""

    async def scene(dmp: DmpSimulator, client: Client) -> None:
        first = _sample()
        second, patient = MAKER.replacement(first), patient_cx(first)
        await client.provide(first)
        old = await client.entry_uuid(first.uid, patient)
        assert outcome(await client.provide(second, rplc=old)) == ("Success", "")
        assert [dmp.documents[one.uid].status for one in (first, second)] == [DEPRECATED, APPROVED]
        assert dmp.documents[first.uid].entry_uuid != old
        assert dmp.received[-1].replaced == (first.uid,)
        third = MAKER.replacement(second)
        current = await client.entry_uuid(first.uid, patient)
        assert outcome(await client.provide(third, rplc=current))[0] == "XDSRegistryDeprecatedDocumentError"
        assert outcome(await client.provide(third, rplc=old))[0] == "UnresolvedReferenceException"
        target = await client.entry_uuid(second.uid, patient)
        assert outcome(await client.delete(target, patient)) == ("Success", "")
        assert dmp.documents[second.uid].status == DELETED
        assert await client.entry_uuid(second.uid, patient) == ""

    play(scene)


def test_status_must_be_the_present_one_to_delete(play: Callable[..., None]) -> None:
    """An archived document is deleted with OriginalStatus Archived only."""

    async def scene(dmp: DmpSimulator, client: Client) -> None:
        sample = _sample()
        patient = patient_cx(sample)
        await client.provide(sample)
        dmp.touch(sample.uid, ARCHIVED)
        target = await client.entry_uuid(sample.uid, patient)
        assert outcome(await client.delete(target, patient))[0] == "XDSMetadataUpdateOperationError"
        assert outcome(await client.delete(target, patient, original=ARCHIVED))[0] == "Success"

    play(scene)


def test_only_its_own_structure_may_delete_or_replace(certificates: Certificates, play: Callable[..., None]) -> None:
    """Hospital B can neither delete nor replace what hospital A published."""

    async def scene(dmp: DmpSimulator, client: Client) -> None:
        sample = _sample()
        patient = patient_cx(sample)
        await client.provide(sample)
        target = await client.entry_uuid(sample.uid, patient)
        context = certificates.client_context(f"{B}-auth")
        async with httpx.AsyncClient(verify=context) as http:
            other = Client(dmp.url, certificates, B, http)
            assert outcome(await other.delete(target, patient))[0] == "LocalPolicyRestrictionError"
            newer = MAKER.replacement(sample)
            assert outcome(await other.provide(newer, rplc=target))[0] == "LocalPolicyRestrictionError"

    play(scene)


def test_a_set_or_a_document_is_registered_once(play: Callable[..., None]) -> None:
    """The same set again, the same document in another set, the same id with other bytes: three refusals."""

    async def scene(dmp: DmpSimulator, client: Client) -> None:
        sample, chosen = _sample(), client.new_set()
        assert outcome(await client.provide(sample, set_id=chosen))[0] == "Success"
        assert outcome(await client.provide(sample, set_id=chosen))[0] == "XDSDuplicateUniqueIdInRegistry"
        assert outcome(await client.provide(sample))[0] == "XDSDuplicateUniqueIdInRegistry"
        changed = MAKER.document("biology", present(sample.patient), uid=sample.uid)
        assert outcome(await client.provide(changed))[0] == "XDSNonIdenticalHash"
        assert len(dmp.documents) == 1

    play(scene)


def test_patients_without_or_with_a_closed_dmp(play: Callable[..., None]) -> None:
    """No DMP and a closed DMP have their own codes, in TD2.1 and in TD0.2."""

    async def scene(dmp: DmpSimulator, client: Client) -> None:
        absent, closed, there = _sample(), _sample(), _sample()
        dmp.patient(present(present(absent.patient).ins), "none")
        dmp.patient(present(present(closed.patient).ins), "closed")
        assert outcome(await client.provide(absent))[0] == "XDSUnknownPatientId"
        assert outcome(await client.provide(closed))[0] == "DMPClosed"
        answers = [await client.exists(patient_cx(one)) for one in (absent, closed, there)]
        roots = [etree.fromstring(one.content) for one in answers]
        v3 = "{urn:hl7-org:v3}"
        assert [attribute(one, f".//{v3}queryResponseCode", "code") for one in roots] == ["NF", "OK", "OK"]
        states = [one.find(f".//{v3}patient/{v3}statusCode") for one in roots]
        assert [one.get("code") if one is not None else "" for one in states] == ["", "terminated", "active"]

    play(scene)


TAMPERED_METADATA = {
    "hash": ('Slot name="hash"><ValueList><Value>', 'Slot name="hash"><ValueList><Value>0', "hash"),
    "size": ('Slot name="size"><ValueList><Value>', 'Slot name="size"><ValueList><Value>1', "size"),
    "missing slot": ('Slot name="languageCode"', 'Slot name="unknown"', "languageCode"),
    "doubled slot": ('Slot name="languageCode"', 'Slot name="hash"', "en double"),
    "DTM with offset": ('submissionTime"><ValueList><Value>', 'submissionTime"><ValueList><Value>+', "submissionTime"),
    "no typeCode": ("f0306f51-975f-434e-a61c-c59651d33983", "f0306f51-975f-434e-a61c-000000000000", "code obligatoire"),
    "other typeCode": ('nodeRepresentation="11502-2"', 'nodeRepresentation="18748-4"', "typeCode"),
    "class unknown": ('nodeRepresentation="10"', 'nodeRepresentation="99"', "J57"),
    "title too long": (
        'value="Compte rendu"/></Name><Classification',
        f'value="{"x" * 129}"/></Name><Classification',
        "128",
    ),
    "other institution": (f"IDNST^^^1{A}", "IDNST^^^1000000000", "AuthorInstitution"),
    "author without a given name": ("^DUPONT^Jean^", "^DUPONT^^", "authorPerson"),
    "wrong INS key": ("&amp;1.2.250.1.213.1.4.10&amp;ISO^NH", "&amp;1.2.250.1.213.1.4.2&amp;ISO^NH", "patientId"),
    "unowned classification": ('classifiedObject="Document01"', 'classifiedObject="Document02"', "classifiedObject"),
    "no N, R or V first": ('nodeRepresentation="N" ', 'nodeRepresentation="MASQUE_PS" ', "confidentialityCode"),
    "id twice": ('id="x002"', 'id="x001"', "id en double"),
    "no membership": ("AssociationType:HasMember", "AssociationType:Other", "HasMember"),
    "reserved attribute": ('ExtrinsicObject id="Document01"', 'ExtrinsicObject status="x" id="Document01"', "réservés"),
}


@pytest.mark.parametrize("name", TAMPERED_METADATA)
def test_wrong_metadata_are_refused(name: str, play: Callable[..., None]) -> None:
    """Each rule on the metadata refuses what breaks it, and nothing is stored."""
    before, after, said = TAMPERED_METADATA[name]

    async def scene(dmp: DmpSimulator, client: Client) -> None:
        client.edit = lambda body: body.replace(before, after)
        code, context = outcome(await client.provide(_sample()))
        assert code in {"XDSRegistryMetadataError", "InvalidDocumentContent", "XDSPatientIdDoesNotMatch"}
        assert said in context
        assert not dmp.documents

    play(scene)


def _masked(body: str) -> str:
    """The same request, its document masked from professionals and from the patient."""
    start = body.rindex("<ExternalIdentifier", 0, body.index('registryObject="Document01"'))
    added = "".join(
        f'<Classification id="m{rank}" classifiedObject="Document01" nodeRepresentation="{mask}" '
        'classificationScheme="urn:uuid:f4f85eac-e6cb-4883-b524-f2705394840f"><Slot name="codingScheme"><ValueList>'
        f'<Value>1.2.250.1.213.1.1.4.13</Value></ValueList></Slot><Name><LocalizedString value="{mask}"/></Name>'
        "</Classification>"
        for rank, mask in enumerate(("MASQUE_PS", "INVISIBLE_PATIENT"))
    )
    return body[:start] + added + body[start:]


def test_both_masks_together_are_refused(play: Callable[..., None]) -> None:
    """MASQUE_PS and INVISIBLE_PATIENT on one document are refused, though the signature entry carries both."""

    async def scene(dmp: DmpSimulator, client: Client) -> None:
        client.edit = _masked
        assert "cumul" in outcome(await client.provide(_sample()))[1]
        assert not dmp.documents

    play(scene)


def test_other_bytes_than_announced_are_refused(play: Callable[..., None]) -> None:
    """A document changed on the wire breaks hash, and the lot's signature would too."""

    async def scene(dmp: DmpSimulator, client: Client) -> None:
        sample = _sample()
        response = await client.provide(sample, data=sample.content.replace(b"Hopital A", b"Hopital Z"))
        assert outcome(response)[0] == "XDSRegistryMetadataError"
        assert not dmp.documents

    play(scene)


def test_missing_part_is_a_missing_document(play: Callable[..., None]) -> None:
    """An include whose part is not attached."""

    async def scene(_: DmpSimulator, client: Client) -> None:
        assert outcome(await client.provide(_sample(), drop_part="doc1@test"))[0] == "XDSMissingDocument"

    play(scene)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("<xad:SigningTime>2", "<xad:SigningTime>1", "SignedProperties"),
        ("1.2.840.10065.1.12.1.14", "1.2.840.10065.1.12.1.99", "purposeOfSignature"),
        ("AA==", "AQ==", "Manifest"),
        ("<ds:SignatureValue>", "<ds:SignatureValue>AAAA", "valeur de signature"),
    ],
)
def test_tampered_lot_signature_is_refused(before: str, after: str, said: str, play: Callable[..., None]) -> None:
    """Manifest, signed properties, purpose and value are all verified."""

    async def scene(dmp: DmpSimulator, client: Client) -> None:
        response = await client.provide(_sample(), signature_edit=lambda text: text.replace(before, after))
        code, context = outcome(response)
        assert code == "XDSRepositoryMetadataError"
        assert said in context
        assert not dmp.documents

    play(scene)


def test_tampered_vihf_is_refused(play: Callable[..., None]) -> None:
    """One letter changed after the signature: a fault, no effect."""

    async def scene(dmp: DmpSimulator, client: Client) -> None:
        client.vihf = {"after": lambda text: text.replace("DUPONT Jean", "DURAND Jean")}
        code, text = outcome(await client.provide(_sample()))
        assert code == "Fault"
        assert "empreinte" in text
        assert not dmp.documents

    play(scene)


@pytest.mark.parametrize("signer", ["auth", "sign-expired", "auth-expired"])
def test_wrong_certificate_signs_the_vihf(signer: str, play: Callable[..., None]) -> None:
    """A TLS certificate, or one past its dates, can't sign: DMPInvalidCertificate."""

    async def scene(_: DmpSimulator, client: Client) -> None:
        client.signer = signer
        assert outcome(await client.provide(_sample()))[0] == "DMPInvalidCertificate"

    play(scene)


TAMPERED_VIHF = {
    "attribute missing": ('Name="LPS_Nom"', 'Name="LPS_Autre"', "LPS_Nom"),
    "mode": ("INDIRECTE", "DIRECTE", "INDIRECTE"),
    "no specialty": ('code="10"', 'code="10"', "spécialité"),
    "version": (">3.0<", ">2.0<", "VIHF_Version"),
    "resource": ("^^^&amp;", "^^&amp;", "resource-id"),
    "purpose": ('code="normal"', 'code="urgence"', "purposeofuse"),
    "context": ("ac:classes:unspecified", "other", "AuthnContextClassRef"),
    "profession system": ('codeSystemName="G15"', 'codeSystemName="X"', "G15"),
}


@pytest.mark.parametrize("name", TAMPERED_VIHF)
def test_incomplete_vihf_is_refused(name: str, play: Callable[..., None]) -> None:
    """Each attribute of the VIHF is checked, though the signature holds."""
    before, after, said = TAMPERED_VIHF[name]

    def edit(text: str) -> str:
        if name == "no specialty":
            start = text.index('<saml2:AttributeValue><Role xmlns="urn:hl7-org:v3" xsi:type="CE" code="SM03"')
            return text[:start] + text[text.index("</saml2:AttributeValue>", start) + len("</saml2:AttributeValue>") :]
        return text.replace(before, after)

    async def scene(_: DmpSimulator, client: Client) -> None:
        client.vihf = {"edit": edit}
        assert said in outcome(await client.provide(_sample()))[1]

    play(scene)


def test_vihf_of_another_structure_patient_or_time(play: Callable[..., None]) -> None:
    """The VIHF must name the certificate's structure, the lot's patient, and be of now."""

    async def scene(_: DmpSimulator, client: Client) -> None:
        client.vihf = {"structure": f"1{B}"}
        assert "personne morale" in outcome(await client.provide(_sample()))[1]
        client.vihf = {"patient": patient_cx(_sample())}
        assert outcome(await client.provide(_sample()))[0] == "XDSPatientIdDoesNotMatch"
        client.vihf = {"issued": now() - dt.timedelta(hours=1)}
        assert "expiré" in outcome(await client.provide(_sample()))[1]
        client.vihf = {"issued": now() + dt.timedelta(hours=1)}
        assert "futur" in outcome(await client.provide(_sample()))[1]
        client.vihf = {"issuer": "CN=Autre,C=FR"}
        assert "Issuer" in outcome(await client.provide(_sample()))[1]
        client.vihf = {"issued": now() - dt.timedelta(minutes=2)}
        assert "horloges" in outcome(await client.provide(_sample()))[1]

    play(scene)


def test_unknown_structure(play: Callable[..., None]) -> None:
    """A structure that the DMP doesn't know is a fault of its own."""

    async def scene(_: DmpSimulator, client: Client) -> None:
        assert "Structure introuvable" in outcome(await client.provide(_sample()))[1]

    play(scene, structures=frozenset({f"1{B}"}))


def test_secret_connection_wants_its_mask(play: Callable[..., None]) -> None:
    """CONNEXION_SECRETE: only documents hidden from legal representatives may be deposited."""

    async def scene(_: DmpSimulator, client: Client) -> None:
        client.vihf = {"secret": True}
        assert "connexion secrète" in outcome(await client.provide(_sample()))[1]

    play(scene)


def test_queries_are_limited_in_indirect_mode(play: Callable[..., None]) -> None:
    """No other query, no other return type, no entryUUID in the place of a uniqueId, nobody else's document."""

    async def scene(_: DmpSimulator, client: Client) -> None:
        sample, other = _sample(), _sample()
        patient = patient_cx(sample)
        await client.provide(sample)

        async def code(before: str, after: str) -> str:
            return outcome(await client.find(sample.uid, patient, edit=lambda text: text.replace(before, after)))[0]

        assert await code("5c4f972b", "14d4debf") == "XDSUnknownStoredQuery"
        assert await code("ObjectRef", "LeafClass") == "LocalPolicyRestrictionError"
        assert await code(sample.uid, "urn:uuid:x") == "XDSDocumentUniqueIdError"
        assert await code("('", "'") == "XDSStoredQueryParamNumber"
        assert await code("$XDSDocumentEntryUniqueId", "$x") == "XDSStoredQueryMissingParam"
        assert await client.entry_uuid(sample.uid, patient_cx(other)) == ""
        assert await client.entry_uuid(sample.uid, patient) != ""

    play(scene)


def test_no_connection_without_a_client_certificate(certificates: Certificates, play: Callable[..., None]) -> None:
    """mTLS: no certificate, an expired one or TLS 1.3 only: no conversation."""

    async def scene(dmp: DmpSimulator, _: Client) -> None:
        late = certificates.client_context(f"{A}-auth")
        late.minimum_version = ssl.TLSVersion.TLSv1_3
        contexts = [certificates.client_context(), certificates.client_context(f"{A}-auth-expired"), late]
        for context in contexts:
            async with httpx.AsyncClient(verify=context) as http:
                with pytest.raises(httpx.TransportError):
                    await http.get(dmp.url)

    play(scene)


def test_an_expired_certificate_is_told_by_an_alert(certificates: Certificates, play: Callable[..., None]) -> None:
    """TLS says why it refuses, as real servers do: the client can tell its certificate from an outage."""

    async def scene(dmp: DmpSimulator, _: Client) -> None:
        async with httpx.AsyncClient(verify=certificates.client_context(f"{A}-auth-expired")) as http:
            with pytest.raises(httpx.ConnectError, match="expired"):
                await http.get(dmp.url)

    play(scene)


def test_planned_trouble(play: Callable[..., None]) -> None:
    """Refusals, faults (in multipart now and then), HTTP errors and delays happen as often as planned."""

    async def scene(dmp: DmpSimulator, client: Client) -> None:
        sample = _sample()
        dmp.refuse("XDSRegistryBusy", count=2, transaction="TD2.1")
        dmp.fault("Panne", role="Receiver", count=2)
        dmp.http_status(503)
        assert (await client.provide(sample)).status_code == 503
        faults = [await client.provide(sample), await client.provide(sample)]
        assert [outcome(one) for one in faults] == [("Fault", "Panne")] * 2
        assert {one.headers["content-type"].split(";")[0] for one in faults} == {
            "application/soap+xml",
            "multipart/related",
        }
        assert await client.entry_uuid(sample.uid, patient_cx(sample)) == ""
        assert [outcome(await client.provide(sample))[0] for _ in range(3)] == ["XDSRegistryBusy"] * 2 + ["Success"]
        dmp.delay(0.2, count=1)
        start = time.monotonic()
        await client.exists(patient_cx(sample))
        assert time.monotonic() - start >= 0.2

    play(scene)


def test_cuts_before_and_after_the_work(play: Callable[..., None]) -> None:
    """Cut before: nothing happened. Cut after: the document is there though the caller got no answer."""

    async def scene(dmp: DmpSimulator, client: Client) -> None:
        sample, chosen = _sample(), client.new_set()
        cuts: tuple[tuple[Literal["before", "after"], int], ...] = (("before", 0), ("after", 1))
        for when, kept in cuts:
            dmp.cut(when, transaction="TD2.1")
            with pytest.raises(httpx.TransportError):
                await client.provide(sample, set_id=chosen)
            assert len(dmp.documents) == kept
        assert [one.answered for one in dmp.received] == [False]
        assert outcome(await client.provide(sample, set_id=chosen))[0] == "XDSDuplicateUniqueIdInRegistry"

    play(scene)


def test_outage_refuses_connections_then_ends(play: Callable[..., None]) -> None:
    """During an outage nobody connects; the port is the same afterwards."""

    async def scene(dmp: DmpSimulator, client: Client) -> None:
        port = dmp.port
        await dmp.outage(0.3)
        with pytest.raises(httpx.ConnectError):
            await client.provide(_sample())
        await asyncio.sleep(0.4)
        assert dmp.port == port
        assert outcome(await client.provide(_sample()))[0] == "Success"

    play(scene)


def test_control_port_scripts_and_lists(play: Callable[..., None]) -> None:
    """Another process can script the DMP and read what it received, without any identity."""

    async def scene(dmp: DmpSimulator, client: Client) -> None:
        sample = _sample()
        base = f"http://127.0.0.1:{dmp.control_port}"
        async with httpx.AsyncClient() as control:
            names = (await control.get(base)).json()
            assert {"documents", "received", "outage", "refuse", "cut"} <= set(names)
            assert (await control.post(f"{base}/refuse", json={"code": "DMPClosed"})).status_code == 200
            assert outcome(await client.provide(sample))[0] == "DMPClosed"
            assert outcome(await client.provide(sample))[0] == "Success"
            listed = (await control.get(f"{base}/documents")).json()
            received = (await control.post(f"{base}/received", json={"since": 1})).json()
            assert (await control.post(f"{base}/refuse", json={"kod": 1})).status_code == 400
            assert (await control.get(f"{base}/nothing")).status_code == 404
        assert [(one["uid"], one["status"]) for one in listed] == [(sample.uid, "Approved")]
        assert [(one["transaction"], one["ok"]) for one in received] == [("TD2.1", True)]
        assert present(present(sample.patient).ins) not in str(listed) + str(received)

    play(scene)


def test_without_checks_it_only_counts(play: Callable[..., None]) -> None:
    """For benchmarks: what the full checks refuse is accepted, and noted with its documents, not with the signature."""

    async def scene(dmp: DmpSimulator, client: Client) -> None:
        client.edit = lambda body: body.replace('Slot name="languageCode"', 'Slot name="unknown"')
        client.signer = "auth"
        sample = _sample()
        assert outcome(await client.provide(sample))[0] == "Success"
        assert [(one.transaction, one.ok, one.documents) for one in dmp.received] == [("TD2.1", True, (sample.uid,))]
        assert dmp.received[0].set_id

    play(scene, checks="none")


def test_multipart_answers(play: Callable[..., None]) -> None:
    """A DMP that answers everything in multipart/related."""

    async def scene(_: DmpSimulator, client: Client) -> None:
        response = await client.provide(_sample())
        assert response.headers["content-type"].startswith("multipart/related")
        assert outcome(response) == ("Success", "")

    play(scene, multipart="always")


def test_authority_can_be_made_again(tmp_path: Path) -> None:
    """The files of an authority: keys nobody else may read, one pair per structure and use."""
    made = make_certificates(tmp_path, {A: "Hopital A"})
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted(
        [f"{name}.{ending}" for name in ("ca", "server", f"{A}-auth", f"{A}-sign") for ending in ("pem", "key")]
    )
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.glob("*.key"))
    assert made.pair("server")[0].exists()
