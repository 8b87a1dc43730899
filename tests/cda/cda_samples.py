"""A small CDA whose parts a test can change; fictitious patient."""

from __future__ import annotations

import base64

PDF = b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n"

HEADER = """\
<realmCode code="FR"/><typeId root="2.16.840.1.113883.1.3" extension="POCD_HD000040"/>
<templateId root="2.16.840.1.113883.2.8.2.1"/><templateId root="1.2.250.1.213.1.1.1.1"/>
<templateId root="1.2.250.1.213.1.1.1.55"/>
<id root="1.2.250.1.999.1.7"/>
<code code="11502-2" codeSystem="2.16.840.1.113883.6.1" displayName="CR d'examens biologiques"/>
<title>Compte rendu  de
 biologie</title>
<effectiveTime value="20260105101530.250+0100"/>
<confidentialityCode code="N" codeSystem="2.16.840.1.113883.5.25" displayName="Normal"/>
<languageCode code="fr-FR"/>
<setId root="1.2.250.1.999.1" extension="S7"/><versionNumber value="2"/>
<recordTarget><patientRole>
  <id root="1.2.250.1.213.1.4.10" extension="279035121518989"/>
  <id root="1.2.250.1.999.9" extension="IPP-0001"/>
  <patient>
    <name><family qualifier="BR">PAT-TROIS</family><family qualifier="CL">DUPONT</family>
      <given qualifier="BR">DOMINIQUE</given><given>DOMINIQUE ANNE</given></name>
    <administrativeGenderCode code="F"/><birthTime value="19790328"/>
    <birthplace><place><addr><county>63220</county></addr></place></birthplace>
  </patient></patientRole></recordTarget>
<author><functionCode displayName="Biologiste"/><time value="20260105101500+0100"/>
  <assignedAuthor><id root="1.2.250.1.71.4.2.1" extension="801234534765"/>
    <code code="G15_10/SM03" codeSystem="1.2.250.1.213.1.1.4.5" displayName="Biologie médicale"/>
    <assignedPerson><name><prefix>DR</prefix><given>Marcel</given><family>CAMPARINI</family></name></assignedPerson>
    <representedOrganization><id root="1.2.250.1.71.4.2.2" extension="1750100125"/><name>CHU X</name>
    </representedOrganization></assignedAuthor></author>
<custodian><assignedCustodian><representedCustodianOrganization>
  <id root="1.2.250.1.71.4.2.2" extension="1750100125"/><name>CHU X</name>
</representedCustodianOrganization></assignedCustodian></custodian>
<legalAuthenticator><time value="20260105"/><signatureCode code="S"/><assignedEntity>
  <id root="1.2.250.1.71.4.2.1" extension="801234534765"/>
  <assignedPerson><name><given>Marcel</given><family>CAMPARINI</family></name></assignedPerson>
</assignedEntity></legalAuthenticator>
<inFulfillmentOf><order><id root="1.2.250.1.999.3" extension="P-44"/></order></inFulfillmentOf>
<documentationOf><serviceEvent><code code="18723-7" codeSystem="2.16.840.1.113883.6.1"/>
</serviceEvent></documentationOf>
<documentationOf><serviceEvent><code code="18719-5" codeSystem="2.16.840.1.113883.6.1" displayName="Biochimie"/>
  <effectiveTime><low value="20260104092200+0100"/><high value="20260104160500+0100"/></effectiveTime>
  <performer typeCode="PRF"><assignedEntity><representedOrganization>
    <standardIndustryClassCode code="ETABLISSEMENT" codeSystem="1.2.250.1.213.1.1.4.9"/>
  </representedOrganization></assignedEntity></performer></serviceEvent></documentationOf>
<relatedDocument typeCode="RPLC"><parentDocument><id root="1.2.250.1.999.1.6"/></parentDocument></relatedDocument>
<componentOf><encompassingEncounter><effectiveTime nullFlavor="UNK"/><location><healthCareFacility>
  <code code="SA25" codeSystem="1.2.250.1.71.4.2.4" displayName="Laboratoire"/>
</healthCareFacility></location></encompassingEncounter></componentOf>
"""


def n1_body(content: bytes = PDF, media: str = "application/pdf") -> str:
    """The body of an N1 document."""
    text = base64.b64encode(content).decode()
    return (
        f'<component><nonXMLBody><text mediaType="{media}" representation="B64">{text}</text></nonXMLBody></component>'
    )


def section(code: str, template: str, content: bytes, media: str = "application/pdf") -> str:
    """A section of an N3 document that carries a file."""
    text = base64.b64encode(content).decode()
    return (
        f'<component><section><templateId root="{template}"/><code code="{code}"/><text>…</text><entry><organizer>'
        '<templateId root="1.2.250.1.213.1.1.3.18"/><code code="55107-7"/><component><observationMedia>'
        f'<value mediaType="{media}" representation="B64">{text}</value>'
        "</observationMedia></component></organizer></entry></section></component>"
    )


def n3_body(*sections: str) -> str:
    """The body of an N3 document."""
    return f"<component><structuredBody>{''.join(sections)}</structuredBody></component>"


def cda(
    body: str | None = None,
    *,
    change: tuple[tuple[str, str], ...] = (),
    before: str = '<?xml version="1.0" encoding="UTF-8"?>\n',
    codec: str = "utf-8",
) -> bytes:
    """The bytes of a document; `change` replaces parts of its header, each of which must be there."""
    header = HEADER
    for old, new in change:
        assert old in header
        header = header.replace(old, new)
    text = f'{before}<ClinicalDocument xmlns="urn:hl7-org:v3">{header}{body or n1_body()}</ClinicalDocument>'
    return text.encode(codec)
