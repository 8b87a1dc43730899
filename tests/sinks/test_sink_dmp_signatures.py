"""Signatures and lots, verified by code that is not ours: xmlsec for signatures, the XDS judge for metadata."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import xmlsec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from router.request import Masks
from router.simulators.authority import Certificates, make_certificates
from router.simulators.sender import HOPITAL_A, Maker
from router.sinks.dmp import canonical, transactions, vihf
from router.sinks.dmp.credentials import Seal, load_seal
from router.sinks.dmp.lot import Content, publication, set_id
from router.sinks.dmp.settings import CertificateConfig, LpsConfig, VihfConfig
from router.sinks.dmp.soap import request as soap_request
from router.structures import StructureConfig
from router.xds import metadata
from tests.sinks.dmp_world import request
from tests.typed import present
from tests.xds.xds_oracle import RIM, codes, faults, identifier, slots

DS = "{http://www.w3.org/2000/09/xmldsig#}"
XADES = "{http://uri.etsi.org/01903/v1.1.1#}"
SAML = "{urn:oasis:names:tc:SAML:2.0:assertion}"
LPS = LpsConfig(homologation="TEST-0001")
STRUCTURE = StructureConfig(finess=HOPITAL_A.finess, name=HOPITAL_A.name, source_oid="1.2.250.1.213.1.4.99.7")
ODD = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=40)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("seal"), {HOPITAL_A.finess: 'Hôpital d\'Île, "A & B" +'})


@pytest.fixture(scope="module")
def seal(certificates: Certificates) -> Seal:
    certificate, key = certificates.pair(f"{HOPITAL_A.finess}-sign")
    return load_seal(CertificateConfig(certificate=certificate, key=key))


@pytest.fixture
def maker() -> Maker:
    return Maker(21)


def verified(node: Any, certificates: Certificates, ids: list[str]) -> None:
    """Fails unless xmlsec, which knows nothing of us, finds the signature and its references right."""
    xmlsec.tree.add_ids(node.getroottree().getroot(), ids)
    context = xmlsec.SignatureContext()
    certificate = certificates.pair(f"{HOPITAL_A.finess}-sign")[0]
    context.key = xmlsec.Key.from_file(str(certificate), xmlsec.constants.KeyDataFormatCertPem)
    context.verify(node)


def spoken(seal: Seal, *, name: str = "DUPONT Jean", label: str = "Médecin", masks: Masks | None = None) -> str:
    """An assertion with these words in it, inside its SOAP envelope."""
    maker = Maker(21)
    asked = request(maker.document("letter", maker.patient(age=50)), masks=masks)
    role = vihf.Role("SM26", "1.2.250.1.71.4.2.5", "R01", label)
    assertion = vihf.assertion(
        asked,
        vihf.Subject(
            "801234567866", name, (vihf.Role("10", "1.2.250.1.71.1.2.7", "G15", "Médecin"), role), "1750100125"
        ),
        patient_cx=metadata.patient_id(asked),
        sector="SA01",
        vihf=VihfConfig(),
        lps=LPS,
        seal=seal,
        now=time.time(),
    )
    body = transactions.get_documents("1.2.3")
    return bytes(soap_request("https://dmp/registry?a&b", "urn:x", assertion, body).parts[0]).decode()


# -------------------------------------------------------------------------------------------------------- the VIHF


def test_the_vihf_verifies_inside_the_envelope(seal: Seal, certificates: Certificates) -> None:
    """xmlsec finds the signature right where the assertion stands, in wsse:Security."""
    root = etree.fromstring(spoken(seal).encode())
    (signature,) = root.iter(DS + "Signature")
    assert present(signature.getprevious()).tag == SAML + "Issuer"
    verified(signature, certificates, ["ID"])


@settings(max_examples=40, deadline=None)
@given(ODD, ODD)
def test_any_name_can_be_signed(seal: Seal, certificates: Certificates, name: str, label: str) -> None:
    """Whatever the characters of names and labels, hashed text and sent text are the same."""
    root = etree.fromstring(spoken(seal, name=name, label=label).encode())
    (signature,) = root.iter(DS + "Signature")
    verified(signature, certificates, ["ID"])


def test_a_changed_vihf_does_not_verify(seal: Seal, certificates: Certificates) -> None:
    """The check is real: one changed attribute and xmlsec refuses."""
    root = etree.fromstring(spoken(seal).replace("DUPONT Jean", "DURAND Jean").encode())
    (signature,) = root.iter(DS + "Signature")
    with pytest.raises(xmlsec.Error):
        verified(signature, certificates, ["ID"])


def test_what_the_vihf_says(seal: Seal) -> None:
    """Attributes, roles each in its own value, issuer in RFC 2253, confidentiality only for a secret connection."""
    said = etree.fromstring(spoken(seal).encode())
    held = {one.get("Name"): ["".join(map(str, v.itertext())) for v in one] for one in said.iter(SAML + "Attribute")}
    assert held["VIHF_Version"] == ["4.0"]
    assert held["Authentification_mode"] == ["INDIRECTE"]
    assert held["Secteur_Activite"] == ["SA01^1.2.250.1.71.4.2.4"]
    assert held["Ressource_URN"] == ["urn:dmp"]
    assert held["LPS_ID_HOMOLOGATION_DMP"] == ["TEST-0001"]
    assert len(held[vihf.Name.ROLE]) == 2
    assert vihf.Name.CONFIDENTIALITY not in held
    (issuer,) = said.iter(SAML + "Issuer")
    assert "CN=" in present(issuer.text) and "ST=Paris (75)" in present(issuer.text)
    secret = etree.fromstring(spoken(seal, masks=Masks(connexion_secrete=True)).encode())
    names = [one.get("Name") for one in secret.iter(SAML + "Attribute")]
    assert vihf.Name.CONFIDENTIALITY in names


def test_each_assertion_is_new(seal: Seal) -> None:
    """Never cached: ID and MessageID differ from one call to the next."""
    first, second = (etree.fromstring(spoken(seal).encode()) for _ in range(2))
    for name in ("{http://www.w3.org/2005/08/addressing}MessageID", SAML + "Assertion"):
        one, two = next(first.iter(name)), next(second.iter(name))
        assert (one.text, one.get("ID")) != (two.text, two.get("ID"))


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("G15_10/SM26", ["10", "SM26"]),
        ("G15_60", ["60"]),
        ("G15_10", []),
        ("G15_21", []),
        ("G15_99", []),
        ("SM26", []),
    ],
)
def test_roles_of_a_specialty(code: str, expected: list[str]) -> None:
    """Profession, then savoir-faire; nothing when a doctor's is missing, because the DMP would refuse."""
    assert [role.code for role in vihf.roles_of((code, "Médecin - Qualifié", "1.2.250.1.213.1.1.4.5"))] == expected


# --------------------------------------------------------------------------------------------------------- the lot


def lot_of(maker: Maker, seal: Seal, algorithm: str, replaced: dict[str, str] | None = None) -> Any:
    """TD2.1 of a pair: body parsed, attachments, entries."""
    patient = maker.patient(age=50)
    pair = [maker.document("biology-n1", patient), maker.document("biology", patient)]
    asked = request(pair)
    contents = [
        Content(
            metadata.document_entry(header, asked, id=f"Document{number:02d}"),
            sample.content,
            canonical.document_digest(sample.content, algorithm),
        )
        for number, (header, sample) in enumerate(zip(asked.documents, pair, strict=True), 1)
    ]
    lot = metadata.submission_set(asked, STRUCTURE, unique_id=set_id("d" * 32), now=time.time())
    made = publication(
        "d" * 32, lot, contents, replaced=replaced or {}, seal=seal, algorithm=algorithm, now=time.time()
    )
    return etree.fromstring(made.body), made, contents


@pytest.mark.integration
@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_the_lots_signature_verifies(
    maker: Maker, seal: Seal, certificates: Certificates, algorithm: str, tmp_path: Path
) -> None:
    """xmlsec1 verifies value and references, and the manifest's documents by its own canonical form.

    The third reference of the manifest is the set itself: one zero byte, which is nobody's digest.
    """
    _, made, contents = lot_of(maker, seal, algorithm)
    found = judged(tmp_path, certificates, made.attachments[-1].data, contents)
    assert "SignedInfo References (ok/all): 2/2" in found
    assert "Manifests References (ok/all): 2/3" in found
    assert "OK" in found.splitlines()
    spoilt = made.attachments[-1].data.replace(b"<xad:SigningTime>2", b"<xad:SigningTime>3")
    assert "OK" not in judged(tmp_path, certificates, spoilt, contents).splitlines()


def judged(folder: Path, certificates: Certificates, signature: bytes, contents: list[Content]) -> str:
    """What xmlsec1 says of a signature document, given the documents that its manifest names."""
    target = folder / "signature.xml"
    target.write_bytes(signature)
    maps: list[str] = []
    for number, one in enumerate(contents):
        path = folder / f"{number}.xml"
        path.write_bytes(one.data)
        maps += [f"--url-map:urn:oid:{one.entry.unique_id}", str(path)]
    nothing = folder / "set"
    nothing.write_bytes(b"\0")
    maps += [f"--url-map:urn:oid:{set_id('d' * 32)}", str(nothing)]
    ids = [f"--id-attr:Id {space[1:].replace('}', ':')}" for space in (DS + "Manifest", XADES + "SignedProperties")]
    options = [word for one in ids for word in one.split(" ")]
    command = ["xmlsec1", "--verify", "--trusted-pem", str(certificates.ca), *options, *maps, str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_the_lots_digests_and_value(maker: Maker, seal: Seal, algorithm: str) -> None:
    """Both references hold the digest of their target as libxml2 canonicalises it in its place; the value verifies."""
    _, made, _ = lot_of(maker, seal, algorithm)
    root = etree.fromstring(made.attachments[-1].data)
    info = root.find(DS + "SignedInfo")
    for reference in present(info).iter(DS + "Reference"):
        target = next(one for one in root.iter() if one.get("Id") == present(reference.get("URI"))[1:])
        found = hashlib.new(algorithm, apex(target)).digest()
        assert reference.findtext(DS + "DigestValue") == base64.b64encode(found).decode()
    value = base64.b64decode(present(root.findtext(DS + "SignatureValue")))
    key: Any = seal.chain[0].public_key()
    key.verify(value, apex(info), padding.PKCS1v15(), getattr(hashes, algorithm.upper())())


def apex(element: Any) -> bytes:
    """Inclusive canonical form, with comments, of a part in its place: namespaces of its ancestors included."""
    return bytes(etree.tostring(element, method="c14n", with_comments=True, with_tail=False))


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_the_manifest_names_set_and_documents(maker: Maker, seal: Seal, algorithm: str) -> None:
    """The set by one zero byte, each document by the digest of its canonical form with comments."""
    body, made, contents = lot_of(maker, seal, algorithm)
    root = etree.fromstring(made.attachments[-1].data)
    held = {
        one.get("URI"): base64.b64decode(present(one.findtext(DS + "DigestValue")))
        for one in root.iter(DS + "Reference")
        if present(one.getparent()).tag == DS + "Manifest"
    }
    (package,) = body.iter(RIM + "RegistryPackage")
    expected = {f"urn:oid:{identifier(package, 'uniqueId')}": b"\0"}
    for one in contents:
        tree = etree.fromstring(one.data).getroottree()
        canonical = etree.tostring(tree, method="c14n", with_comments=True)
        expected[f"urn:oid:{one.entry.unique_id}"] = hashlib.new(algorithm, canonical).digest()
    assert held == expected


def test_signed_properties(maker: Maker, seal: Seal) -> None:
    """Signing time, the whole chain with issuer and serial, implied policy (XAdES 1.1.1)."""
    _, made, _ = lot_of(maker, seal, "sha1")
    root = etree.fromstring(made.attachments[-1].data)
    (properties,) = root.iter(XADES + "SignedProperties")
    certificates = list(properties.iter(XADES + "Cert"))
    assert len(certificates) == len(seal.chain) == 2
    for one, known in zip(certificates, seal.chain, strict=True):
        serial = one.findtext(f"{XADES}IssuerSerial/{DS}X509SerialNumber")
        assert int(serial or 0) == known.serial_number
    assert properties.find(f".//{XADES}SignaturePolicyImplied") is not None
    purpose = root.find(f".//{DS}SignatureProperty[@Id='purposeOfSignature']")
    assert purpose is not None and purpose.text == "1.2.840.10065.1.12.1.14"


def test_metadata_of_a_lot(maker: Maker, seal: Seal) -> None:
    """TD2.1 breaks no rule of a registry; the signature's entry has the values of dmp §2.5."""
    uuid = "urn:uuid:6fa459ea-ee8a-3ca4-894e-db77e160355e"
    body, made, _ = lot_of(maker, seal, "sha1", {"Document02": uuid})
    assert faults(etree.tostring(body)) == []
    (signature,) = [one for one in body.iter(RIM + "ExtrinsicObject") if one.get("id") == "Signature01"]
    assert codes(signature, "class") == [("urn:oid:1.3.6.1.4.1.19376.1.2.1.1.1", "URN")]
    assert codes(signature, "type") == [("E1762", "ASTM")]
    assert codes(signature, "format") == [("http://www.w3.org/2000/09/xmldsig#", "URN")]
    assert [code for code, _ in codes(signature, "confidentiality")] == ["N", "MASQUE_PS", "INVISIBLE_PATIENT"]
    assert "sourcePatientInfo" not in slots(signature)
    assert slots(signature)["languageCode"] == ["art"]
    data = made.attachments[-1].data
    assert slots(signature)["hash"] == [hashlib.sha1(data, usedforsecurity=False).hexdigest()]
    kinds = [one.get("associationType").rpartition(":")[2] for one in body.iter(RIM + "Association")]
    assert kinds == ["HasMember", "HasMember", "HasMember", "signs", "RPLC"]


def test_a_deletion_is_well_formed(maker: Maker) -> None:
    """TD3.3c breaks no rule and always names its owners."""
    asked = request(maker.document("letter", maker.patient(age=50)))
    lot = metadata.submission_set(asked, STRUCTURE, unique_id="2.25.7", now=time.time())
    uuid = "urn:uuid:6fa459ea-ee8a-3ca4-894e-db77e160355e"
    assert faults(transactions.delete(lot, uuid, transactions.APPROVED)) == []


def test_identifiers_of_a_lot_are_stable(maker: Maker, seal: Seal) -> None:
    """Set and signature keep their uniqueId from one attempt to the next."""
    bodies = [lot_of(Maker(21), seal, "sha1")[0] for _ in range(2)]
    ids = [
        [identifier(one, "uniqueId") for one in body.iter(RIM + "RegistryPackage", RIM + "ExtrinsicObject")]
        for body in bodies
    ]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 4


def test_a_key_of_another_certificate(certificates: Certificates, tmp_path: Path) -> None:
    """Certificate and key that don't belong together are refused at the start, as is an unreadable file."""
    from router.errors import OperatorFault

    certificate, _ = certificates.pair(f"{HOPITAL_A.finess}-sign")
    _, other = certificates.pair(f"{HOPITAL_A.finess}-auth")
    for config in (
        CertificateConfig(certificate=certificate, key=other),
        CertificateConfig(certificate=certificate, key=tmp_path / "absent.key"),
        CertificateConfig(certificate=certificate),
    ):
        with pytest.raises(OperatorFault) as caught:
            load_seal(config)
        assert caught.value.code == "DMP-CERT-SIGN"
