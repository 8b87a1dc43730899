"""A DMP client for the tests, nobody's product: plain templates, signed by xmlsec (VIHF) and by hand (lot)."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import io
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

import httpx
import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from lxml import etree
from xmlsec import constants

from router.simulators.authority import Certificates
from router.simulators.sender import CdaSample
from tests.typed import attribute, present

C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
PATHS = {"TD2.1": "repository", "TD3.1b": "registry", "TD3.3c": "registry", "TD0.2": "patients"}
ACTIONS = {
    "TD2.1": "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b",
    "TD3.1b": "urn:ihe:iti:2007:RegistryStoredQuery",
    "TD3.3c": "urn:ihe:iti:2010:UpdateDocumentSet",
    "TD0.2": "urn:hl7-org:v3:PRPA_IN201307UV02",
}
Edit = Callable[[str], str]


def same(text: str) -> str:
    return text


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def dtm(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).strftime("%Y%m%d%H%M%S")


def patient_cx(sample: CdaSample) -> str:
    assert sample.patient is not None
    return f"{sample.patient.ins}^^^&{sample.patient.ins_oid}&ISO^NH"


# ---------------------------------------------------------------------------------------------------- VIHF


@dataclass
class Vihf:
    """What the assertion says; the test changes what it wants."""

    patient: str
    structure: str
    cert: Path
    key: Path
    issued: dt.datetime = field(default_factory=now)
    edit: Edit = same
    after: Edit = same
    secret: bool = False
    issuer: str = ""

    def xml(self) -> str:
        chain = x509.load_pem_x509_certificate(self.cert.read_bytes())
        issuer = self.issuer or chain.subject.rfc4514_string()
        ident = f"_{uuid.uuid4()}"
        stamp = self.issued.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        simple = {
            "VIHF_Version": "3.0",
            "Authentification_mode": "INDIRECTE",
            "Identifiant_Structure": self.structure,
            "Secteur_Activite": "SA01^1.2.250.1.71.4.2.4",
            "Ressource_URN": "urn:dmp",
            "LPS_Nom": "essai",
            "LPS_Version": "1",
            "LPS_ID_HOMOLOGATION_DMP": "X-1",
            "urn:oasis:names:tc:xspa:1.0:subject:subject-id": "DUPONT Jean",
            "urn:oasis:names:tc:xacml:2.0:resource:resource-id": escape(self.patient),
        }
        if self.secret:
            simple["urn:oasis:names:tc:xspa:1.0:resource:patient:hl7:confidentiality-code"] = (
                "INVISIBLE_REPRESENTANTS_LEGAUX^1.2.250.1.213.1.1.4.13"
            )
        attributes = "".join(
            f'<saml2:Attribute Name="{name}"><saml2:AttributeValue>{value}</saml2:AttributeValue></saml2:Attribute>'
            for name, value in simple.items()
        )
        role = (
            '<saml2:AttributeValue><Role xmlns="urn:hl7-org:v3" xsi:type="CE" code="10" '
            'codeSystem="1.2.250.1.71.1.2.7" codeSystemName="G15" displayName="Médecin"/></saml2:AttributeValue>'
            '<saml2:AttributeValue><Role xmlns="urn:hl7-org:v3" xsi:type="CE" code="SM03" '
            'codeSystem="1.2.250.1.71.4.2.5" codeSystemName="R01" displayName="Biologie"/></saml2:AttributeValue>'
        )
        purpose = (
            '<saml2:AttributeValue><PurposeOfUse xmlns="urn:hl7-org:v3" xsi:type="CE" code="normal" '
            'codeSystem="1.2.250.1.213.1.1.4.248" displayName="Accès normal"/></saml2:AttributeValue>'
        )
        text = f"""<saml2:Assertion xmlns:saml2="urn:oasis:names:tc:SAML:2.0:assertion"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" ID="{ident}" IssueInstant="{stamp}" Version="2.0">
<saml2:Issuer Format="urn:oasis:names:tc:SAML:1.1:nameid-format:X509SubjectName">{escape(issuer)}</saml2:Issuer>
<saml2:Subject><saml2:NameID>810100000024</saml2:NameID></saml2:Subject>
<saml2:AuthnStatement AuthnInstant="{stamp}"><saml2:AuthnContext>
<saml2:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:unspecified</saml2:AuthnContextClassRef>
</saml2:AuthnContext></saml2:AuthnStatement><saml2:AttributeStatement>{attributes}
<saml2:Attribute Name="urn:oasis:names:tc:xacml:2.0:subject:role">{role}</saml2:Attribute>
<saml2:Attribute Name="urn:oasis:names:tc:xspa:1.0:subject:purposeofuse">{purpose}</saml2:Attribute>
</saml2:AttributeStatement></saml2:Assertion>"""
        return self.after(self._signed(self.edit(text), ident))

    def _signed(self, text: str, ident: str) -> str:
        root = etree.fromstring(text)
        signature = xmlsec.template.create(root, constants.TransformExclC14N, constants.TransformRsaSha256, ns="ds")
        root.insert(1, signature)
        reference = xmlsec.template.add_reference(signature, constants.TransformSha256, uri=f"#{ident}")
        xmlsec.template.add_transform(reference, constants.TransformEnveloped)
        xmlsec.template.add_transform(reference, constants.TransformExclC14N)
        info = xmlsec.template.ensure_key_info(signature)
        xmlsec.template.add_x509_data(info)
        xmlsec.tree.add_ids(root, ["ID"])
        context = xmlsec.SignatureContext()
        context.key = xmlsec.Key.from_file(str(self.key), constants.KeyDataFormatPem)
        context.key.load_cert_from_file(str(self.cert), constants.KeyDataFormatPem)
        context.sign(signature)
        return etree.tostring(root, encoding="unicode")


# ----------------------------------------------------------------------------------------------------- lot


def _c14n(data: bytes | etree._Element, comments: bool = False) -> bytes:
    tree = etree.fromstring(data).getroottree() if isinstance(data, bytes) else data
    return etree.tostring(tree, method="c14n", with_comments=comments)


def _b64sha1(data: bytes) -> str:
    return base64.b64encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()


def lot_signature(cert: Path, key: Path, set_id: str, documents: Mapping[str, bytes], signed: dt.datetime) -> bytes:
    """A XAdES 1.1.1 document with right digests and value."""
    chain = x509.load_pem_x509_certificate(cert.read_bytes())
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    der = chain.public_bytes(serialization.Encoding.DER)
    sha1 = '<ds:DigestMethod Algorithm="http://www.w3.org/2000/09/xmldsig#sha1"/>'
    transform = f'<ds:Transforms><ds:Transform Algorithm="{C14N}#WithComments"/></ds:Transforms>'
    manifest = f'<ds:Reference URI="urn:oid:{set_id}">{sha1}<ds:DigestValue>AA==</ds:DigestValue></ds:Reference>'
    for uid, data in documents.items():
        digest = _b64sha1(_c14n(data, comments=True))
        manifest += (
            f'<ds:Reference URI="urn:oid:{uid}">{transform}{sha1}'
            f"<ds:DigestValue>{digest}</ds:DigestValue></ds:Reference>"
        )
    text = f"""<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#" Id="sig"><ds:SignedInfo>\
<ds:CanonicalizationMethod Algorithm="{C14N}#WithComments"/>\
<ds:SignatureMethod Algorithm="http://www.w3.org/2000/09/xmldsig#rsa-sha1"/>\
<ds:Reference URI="#IHEManifest" Type="http://www.w3.org/2000/09/xmldsig#Manifest">{sha1}\
<ds:DigestValue>@1@</ds:DigestValue></ds:Reference>\
<ds:Reference URI="#S0-SignedProperties" Type="http://uri.etsi.org/01903/v1.1.1#SignedProperties">{sha1}\
<ds:DigestValue>@2@</ds:DigestValue></ds:Reference></ds:SignedInfo><ds:SignatureValue>@3@</ds:SignatureValue>\
<ds:KeyInfo><ds:X509Data><ds:X509Certificate>{base64.b64encode(der).decode()}</ds:X509Certificate></ds:X509Data>\
</ds:KeyInfo><ds:Object><ds:Manifest Id="IHEManifest">{manifest}</ds:Manifest></ds:Object>\
<ds:Object><ds:SignatureProperties><ds:SignatureProperty Target="#sig" Id="purposeOfSignature">\
1.2.840.10065.1.12.1.14</ds:SignatureProperty></ds:SignatureProperties></ds:Object>\
<ds:Object><xad:QualifyingProperties xmlns:xad="http://uri.etsi.org/01903/v1.1.1#" Target="#sig">\
<xad:SignedProperties Id="S0-SignedProperties"><xad:SignedSignatureProperties>\
<xad:SigningTime>{signed:%Y-%m-%dT%H:%M:%SZ}</xad:SigningTime><xad:SigningCertificate><xad:Cert><xad:CertDigest>\
<xad:DigestMethod Algorithm="http://www.w3.org/2000/09/xmldsig#sha1"/>\
<xad:DigestValue>{_b64sha1(der)}</xad:DigestValue></xad:CertDigest></xad:Cert></xad:SigningCertificate>\
<xad:SignaturePolicyIdentifier><xad:SignaturePolicyImplied/></xad:SignaturePolicyIdentifier>\
</xad:SignedSignatureProperties></xad:SignedProperties></xad:QualifyingProperties></ds:Object></ds:Signature>"""
    root = etree.fromstring(text)
    for number, name in ((1, "IHEManifest"), (2, "S0-SignedProperties")):
        digest = _b64sha1(_c14n(next(one for one in root.iter() if one.get("Id") == name)))
        text = text.replace(f"@{number}@", digest)
    info = etree.fromstring(text)[0]
    algorithm = hashes.SHA1()  # noqa: S303 - what the DMP's own examples use
    assert isinstance(private, RSAPrivateKey)
    value = private.sign(_c14n(info, comments=True), padding.PKCS1v15(), algorithm)
    return text.replace("@3@", base64.b64encode(value).decode()).encode()


# ------------------------------------------------------------------------------------------------- metadata


def _slot(name: str, *values: str) -> str:
    inside = "".join(f"<Value>{escape(value)}</Value>" for value in values)
    return f'<Slot name="{name}"><ValueList>{inside}</ValueList></Slot>'


def _name(value: str) -> str:
    quoted = escape(value, {'"': "&quot;"})
    return f'<Name><LocalizedString charset="UTF8" xml:lang="FR" value="{quoted}"/></Name>'


class _Ids:
    def __init__(self) -> None:
        self._last = 0

    def __call__(self) -> str:
        self._last += 1
        return f"x{self._last:03d}"


def _code(ids: _Ids, owner: str, scheme: str, *coded: str) -> str:
    code, system, label = coded
    return (
        f'<Classification id="{ids()}" classifiedObject="{owner}" nodeRepresentation="{code}" '
        f'classificationScheme="urn:uuid:{scheme}">{_slot("codingScheme", system)}{_name(label)}</Classification>'
    )


def _author(ids: _Ids, owner: str, scheme: str, structure: str) -> str:
    person = "810100000024^DUPONT^Jean^^^^^^&1.2.250.1.71.4.2.1&ISO^D^^^IDNPS"
    institution = f"Hopital A^^^^^&1.2.250.1.71.4.2.2&ISO^IDNST^^^{structure}"
    return (
        f'<Classification id="{ids()}" classifiedObject="{owner}" nodeRepresentation="" '
        f'classificationScheme="urn:uuid:{scheme}">{_slot("authorPerson", person)}'
        f"{_slot('authorInstitution', institution)}</Classification>"
    )


def _external(ids: _Ids, owner: str, scheme: str, value: str, label: str) -> str:
    return (
        f'<ExternalIdentifier id="{ids()}" registryObject="{owner}" value="{escape(value)}" '
        f'identificationScheme="urn:uuid:{scheme}">{_name(label)}</ExternalIdentifier>'
    )


def package(ids: _Ids, set_id: str, patient: str, structure: str, submitted: dt.datetime) -> str:
    own = "SubmissionSet01"
    return (
        f'<RegistryPackage id="{own}">{_slot("submissionTime", dtm(submitted))}{_name("Lot")}'
        + _author(ids, own, "a7058bb9-b4e4-4307-ba5b-e3f0ab85e12d", structure)
        + _code(ids, own, "aa543740-bdda-424e-8c96-df4873be8500", "03", "1.2.250.1.213.2.2", "Hospitalisation")
        + f'<Classification id="{ids()}" classifiedObject="{own}" '
        'classificationNode="urn:uuid:a54d6aa5-d40d-43f9-88c5-b4633d873bdd"/>'
        + _external(ids, own, "6b5aea1a-874d-4603-a4bc-96a0a7b38446", patient, "XDSSubmissionSet.patientId")
        + _external(ids, own, "554ac39e-e3fe-47fe-b233-965d2a147832", "1.2.3.4", "XDSSubmissionSet.sourceId")
        + _external(ids, own, "96fdda7c-d067-4183-912e-bf5ee74998a8", set_id, "XDSSubmissionSet.uniqueId")
        + "</RegistryPackage>"
    )


def _entry(
    ids: _Ids, own: str, uid: str, data: bytes, patient: str, structure: str, when: str, sample: CdaSample | None
) -> str:
    local = f"{sample.patient.ipp}^^^&{sample.patient.ipp_oid}&ISO^PI" if sample and sample.patient else patient
    person = "810100000024^DUPONT^Jean^^^^^^&1.2.250.1.71.4.2.1&ISO^D^^^IDNPS"
    slots = (
        _slot("creationTime", when)
        + _slot("hash", hashlib.sha1(data, usedforsecurity=False).hexdigest())
        + _slot("languageCode", "fr-FR" if sample else "art")
        + _slot("legalAuthenticator", person)
        + _slot("serviceStartTime", when)
        + _slot("size", str(len(data)))
        + _slot("sourcePatientId", local)
    )
    if sample:
        root = etree.fromstring(data)
        kind = attribute(root, "{urn:hl7-org:v3}code", "code")
        codes = [
            ("41a5887f-8865-4c09-adf7-e362475b143a", "10", "1.2.250.1.213.1.1.4.1", "Compte rendu"),
            ("f0306f51-975f-434e-a61c-c59651d33983", kind, "2.16.840.1.113883.6.1", "CR"),
            (
                "a09d5840-386c-46f2-b5ad-9c3699a4309d",
                "urn:ihe:lab:xd-lab:2008",
                "1.3.6.1.4.1.19376.1.2.3",
                "Biologie",
            ),
        ]
        visibility = [("N", "2.16.840.1.113883.5.25")]
    else:
        codes = [
            ("41a5887f-8865-4c09-adf7-e362475b143a", "urn:oid:1.3.6.1.4.1.19376.1.2.1.1.1", "URN", "Signature"),
            ("f0306f51-975f-434e-a61c-c59651d33983", "E1762", "ASTM", "Full Document"),
            ("a09d5840-386c-46f2-b5ad-9c3699a4309d", "http://www.w3.org/2000/09/xmldsig#", "URN", "Default"),
        ]
        masks = "1.2.250.1.213.1.1.4.13"
        visibility = [("N", "2.16.840.1.113883.5.25"), ("MASQUE_PS", masks), ("INVISIBLE_PATIENT", masks)]
    codes += [
        ("f33fb8ac-18af-42cc-ae0e-ed0b0bdb91e1", "SA01", "1.2.250.1.71.4.2.4", "Etablissement public"),
        ("cccf5598-8b07-4b77-a05e-ae952c785ead", "ETABLISSEMENT", "1.2.250.1.213.1.1.4.9", "Etablissement"),
    ]
    codes += [("f4f85eac-e6cb-4883-b524-f2705394840f", code, system, code) for code, system in visibility]
    title = "Compte rendu" if sample else "Source"
    return (
        f'<ExtrinsicObject id="{own}" mimeType="text/xml" '
        f'objectType="urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1">{slots}{_name(title)}'
        + _author(ids, own, "93606bcf-9494-43ec-9b4e-a7748d1a838d", structure)
        + "".join(_code(ids, own, *one) for one in codes)
        + _external(ids, own, "58a6f841-87b3-4a3e-92fd-a8ffeff98427", patient, "XDSDocumentEntry.patientId")
        + _external(ids, own, "2e82c1f6-a085-4c72-9da3-8640a32e42ab", uid, "XDSDocumentEntry.uniqueId")
        + "</ExtrinsicObject>"
    )


def _association(ids: _Ids, kind: str, source: str, target: str, slots: str = "") -> str:
    return (
        f'<Association id="{ids()}" associationType="{kind}" sourceObject="{source}" targetObject="{target}">'
        f"{slots}</Association>"
    )


# --------------------------------------------------------------------------------------------------- calls


@dataclass
class Client:
    """Calls the simulator as one structure; every argument may be bent by an `edit`."""

    url: str
    certificates: Certificates
    finess: str
    http: httpx.AsyncClient
    vihf: Mapping[str, object] = field(default_factory=dict)
    edit: Edit = same
    sets: int = 0
    signer: str = "sign"

    @property
    def structure(self) -> str:
        return f"1{self.finess}"

    def new_set(self) -> str:
        self.sets += 1
        return f"1.2.250.1.213.1.4.99.7.{uuid.uuid4().int % 10**12}.{self.sets}"

    def assertion(self, patient: str) -> str:
        cert, key = self.certificates.pair(f"{self.finess}-{self.signer}")
        made = Vihf(patient, self.structure, cert, key)
        for name, value in self.vihf.items():
            setattr(made, name, value)
        return made.xml()

    async def provide(
        self,
        sample: CdaSample,
        *,
        set_id: str = "",
        rplc: str = "",
        data: bytes | None = None,
        signed: dt.datetime | None = None,
        signature_edit: Edit = same,
        drop_part: str = "",
    ) -> httpx.Response:
        """TD2.1 of one document; `data` replaces the bytes on the wire but not what the metadata say."""
        set_id, patient, ids, moment = set_id or self.new_set(), patient_cx(sample), _Ids(), now()
        cert, key = self.certificates.pair(f"{self.finess}-sign")
        signature = lot_signature(cert, key, set_id, {sample.uid: sample.content}, signed or moment)
        signature = signature_edit(signature.decode()).encode()
        effective = attribute(etree.fromstring(sample.content), "{urn:hl7-org:v3}effectiveTime", "value")
        created = dtm(dt.datetime.strptime(effective, "%Y%m%d%H%M%S%z"))
        own = _slot("SubmissionSetStatus", "Original")
        member = "urn:oasis:names:tc:ebxml-regrep:AssociationType:HasMember"
        objects = (
            package(ids, set_id, patient, self.structure, moment)
            + _entry(ids, "Document01", sample.uid, sample.content, patient, self.structure, created, sample)
            + _entry(ids, "Signature01", f"{set_id}.9", signature, patient, self.structure, dtm(moment), None)
            + _association(ids, member, "SubmissionSet01", "Document01", own)
            + _association(ids, member, "SubmissionSet01", "Signature01", own)
            + _association(ids, "urn:ihe:iti:2007:AssociationType:signs", "Signature01", "SubmissionSet01")
        )
        if rplc:
            objects += _association(ids, "urn:ihe:iti:2007:AssociationType:RPLC", "Document01", rplc)
        include = (
            '<xds:Document id="{0}"><xop:Include xmlns:xop="http://www.w3.org/2004/08/xop/include" href="cid:{1}"/>'
            "</xds:Document>"
        )
        body = (
            '<xds:ProvideAndRegisterDocumentSetRequest xmlns:xds="urn:ihe:iti:xds-b:2007">'
            '<lcm:SubmitObjectsRequest xmlns:lcm="urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0">'
            f'<RegistryObjectList xmlns="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0">{objects}</RegistryObjectList>'
            f"</lcm:SubmitObjectsRequest>{include.format('Document01', 'doc1@test')}"
            f"{include.format('Signature01', 'sig1@test')}</xds:ProvideAndRegisterDocumentSetRequest>"
        )
        parts = {"doc1@test": sample.content if data is None else data, "sig1@test": signature}
        parts.pop(drop_part, None)
        return await self.call("TD2.1", patient, self.edit(body), parts)

    async def find(self, uid: str, patient: str, *, edit: Edit = same) -> httpx.Response:
        """TD3.1b."""
        asked = f"('{uid}')"
        body = (
            '<query:AdhocQueryRequest xmlns:query="urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0" '
            'xmlns="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0">'
            '<query:ResponseOption returnType="ObjectRef" returnComposedObjects="false"/>'
            '<AdhocQuery id="urn:uuid:5c4f972b-d56b-40ac-a5fc-c8ca9b40b9d4">'
            f"{_slot('$XDSDocumentEntryUniqueId', asked)}</AdhocQuery></query:AdhocQueryRequest>"
        )
        return await self.call("TD3.1b", patient, edit(body))

    async def entry_uuid(self, uid: str, patient: str) -> str:
        """The entryUUID of a document, "" when the DMP finds none."""
        root = etree.fromstring((await self.find(uid, patient)).content)
        refs = root.findall(".//{urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0}ObjectRef")
        return present(refs[0].get("id")) if refs else ""

    async def delete(self, target: str, patient: str, *, original: str = "", edit: Edit = same) -> httpx.Response:
        """TD3.3c."""
        ids = _Ids()
        slots = _slot("OriginalStatus", original or "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved")
        slots += _slot("NewStatus", "urn:asip:ci-sis:2010:StatusType:Deleted")
        kind = "urn:ihe:iti:2010:AssociationType:UpdateAvailabilityStatus"
        body = (
            '<lcm:SubmitObjectsRequest xmlns:lcm="urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0">'
            '<RegistryObjectList xmlns="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0">'
            + package(ids, self.new_set(), patient, self.structure, now())
            + _association(ids, kind, "SubmissionSet01", target, slots)
            + "</RegistryObjectList></lcm:SubmitObjectsRequest>"
        )
        return await self.call("TD3.3c", patient, edit(body))

    async def exists(self, patient: str) -> httpx.Response:
        """TD0.2."""
        matricule, oid = patient.split("^", maxsplit=1)[0], patient.split("&")[1]
        body = (
            '<PRPA_IN201307UV02 xmlns="urn:hl7-org:v3" ITSVersion="XML_1.0"><id root="1.2.3"/>'
            '<receiver typeCode="RCV"><device classCode="DEV" determinerCode="INSTANCE">'
            '<id root="1.2.250.1.213.4.1.1.1"/><name>DMP</name></device></receiver>'
            '<controlActProcess classCode="CACT" moodCode="EVN">'
            '<reasonCode code="TEST_EXST" codeSystem="1.2.250.1.213.1.1.4.11"/><queryByParameter><parameterList>'
            f'<patientIdentifier><value root="{oid}" extension="{matricule}"/></patientIdentifier>'
            "</parameterList></queryByParameter></controlActProcess></PRPA_IN201307UV02>"
        )
        return await self.call("TD0.2", patient, body)

    async def call(
        self, name: str, patient: str, body: str, parts: Mapping[str, bytes] | None = None
    ) -> httpx.Response:
        action, address = ACTIONS[name], f"{self.url}/{PATHS[name]}"
        text = (
            '<soap:Envelope xmlns:soap="http://www.w3.org/2003/05/soap-envelope" '
            'xmlns:wsa="http://www.w3.org/2005/08/addressing"><soap:Header>'
            f'<wsa:Action soap:mustUnderstand="1">{action}</wsa:Action>'
            f"<wsa:MessageID>urn:uuid:{uuid.uuid4()}</wsa:MessageID>"
            '<wsa:ReplyTo soap:mustUnderstand="1"><wsa:Address>http://www.w3.org/2005/08/addressing/anonymous'
            f"</wsa:Address></wsa:ReplyTo><wsa:To>{address}</wsa:To>"
            '<wsse:Security xmlns:wsse="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-'
            f'1.0.xsd">{self.assertion(patient)}</wsse:Security></soap:Header><soap:Body>{body}</soap:Body>'
            "</soap:Envelope>"
        ).encode()
        if parts is None:
            kind = f'application/soap+xml; charset=UTF-8; action="{action}"'
            return await self.http.post(address, content=text, headers={"Content-Type": kind})
        kind = (
            'multipart/related; boundary="B42"; type="application/xop+xml"; start="<root@test>"; '
            f'start-info="application/soap+xml"; action="{action}"'
        )
        return await self.http.post(address, content=_multipart(text, parts), headers={"Content-Type": kind})


def _multipart(root: bytes, parts: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    kind = b'application/xop+xml; charset=UTF-8; type="application/soap+xml"'
    out.write(b"--B42\r\nContent-Type: " + kind + b"\r\nContent-ID: <root@test>\r\n\r\n" + root)
    for name, data in parts.items():
        out.write(f"\r\n--B42\r\nContent-Type: text/xml\r\nContent-ID: <{name}>\r\n\r\n".encode() + data)
    out.write(b"\r\n--B42--\r\n")
    return out.getvalue()


SOAP = "{http://www.w3.org/2003/05/soap-envelope}"


def outcome(response: httpx.Response) -> tuple[str, str]:
    """(`Success`, ""), (first error code, its context) or (`Fault` or its subcode, its text)."""
    body = response.content
    if response.headers["content-type"].startswith("multipart/related"):
        start = body.index(b"<?xml")
        body = body[start : body.rindex(b"\r\n--")]
    root = etree.fromstring(body)
    faults = root.findall(f".//{SOAP}Fault")
    if faults:
        values = [present(one.text).split(":")[-1] for one in faults[0].iter(f"{SOAP}Value")]
        text = present(faults[0].findtext(f".//{SOAP}Text"))
        return (values[1] if len(values) > 1 else "Fault"), text
    errors = root.findall(".//{urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0}RegistryError")
    if errors:
        return present(errors[0].get("errorCode")), "; ".join(present(one.get("codeContext")) for one in errors)
    statuses = [status for one in root.iter() if (status := one.get("status"))]
    return (statuses[0].rsplit(":", 1)[1] if statuses else "Success"), ""
