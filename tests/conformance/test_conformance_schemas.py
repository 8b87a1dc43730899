"""Public schemas, as Xerces reads them: ebRS and XDS.b (of IPF's jar), SAML 2.0 and XMLDSig (of Keycloak's jar)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from tests.conformance import jvm
from tests.conformance.dialect import OF_SCHEMAS
from tests.conformance.leaving import Sent

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]  # the first run brings the jars

SAML = "{urn:oasis:names:tc:SAML:2.0:assertion}"
SPOILT_STORY = "spoilt"
BODIES = {"TD2.1": "XDS.b", "TD3.1b": "query", "TD3.3c": "lcm"}
Case = tuple[str, str, bytes]

#: (schema, what is taken away or renamed, what the schema says): the judges are awake.
SPOILT = (
    ("XDS.b", (b' registryObject="', b' registry="'), "'registry'"),
    ("query", (b' returnType="ObjectRef"', b' returnType="Object"'), "'Object'"),
    ("lcm", (b"<Name>", b"<Nom>"), "Nom"),
    ("SAML", (b' Version="2.0"', b""), "Version"),
    ("XMLDSig", (b"SignatureValue", b"SignatureValeur"), "SignatureValeur"),
)


def assertion(one: Sent) -> bytes:
    """The VIHF alone."""
    found = etree.fromstring(one.envelope).find(f".//{SAML}Assertion")
    return bytes(etree.tostring(found, encoding="UTF-8", with_tail=False))


def relaxed(schema: str, xml: bytes) -> bytes:
    root = etree.fromstring(xml)
    if schema in OF_SCHEMAS:
        OF_SCHEMAS[schema].change(root)
    return bytes(etree.tostring(root, encoding="UTF-8"))


def cases(sent: list[Sent], archives: dict[str, bytes]) -> list[Case]:
    """(schema, story, file)."""
    made: list[Case] = []
    for one in sent:
        made.append((BODIES[one.transaction], one.story, one.xml()))
        made.append(("SAML", one.story, assertion(one)))
        if one.transaction == "TD2.1":
            made.append(("XMLDSig", one.story, one.documents()["Signature01"]))
    return made + [("lcm", f"mail {story}", xml) for story, xml in archives.items()]


@pytest.fixture(scope="module")
def judged(
    jars: None, sent: list[Sent], archives: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[tuple[str, str]]]:
    """(story, verdict) by schema; by its name and `raw` without the relaxation."""
    raw = cases(sent, archives)
    asked = [(schema, story, relaxed(schema, xml)) for schema, story, xml in raw]
    for schema, (old, new), _ in SPOILT:
        xml = next(xml for found, _, xml in asked if found == schema)
        assert old in xml
        asked.append((schema, SPOILT_STORY, xml.replace(old, new)))
    asked += [(f"{schema} raw", story, xml) for schema, story, xml in raw if schema in OF_SCHEMAS]
    folder = tmp_path_factory.mktemp("schemas")
    told = jvm.verdicts(
        "Schemas", [(schema.removesuffix(" raw"), _file(folder, n, xml)) for n, (schema, _, xml) in enumerate(asked)]
    )
    found: dict[str, Any] = {}
    for (schema, story, _), verdict in zip(asked, told, strict=True):
        found.setdefault(schema, []).append((story, verdict))
    return found


def _file(folder: Path, number: int, xml: bytes) -> Path:
    path = folder / f"{number:04d}.xml"
    path.write_bytes(xml)
    return path


@pytest.mark.parametrize("schema", ["XDS.b", "query", "lcm", "SAML", "XMLDSig"])
def test_what_leaves_is_valid(judged: dict[str, list[tuple[str, str]]], schema: str) -> None:
    """Bodies, assertions, signatures and METADATA.XML hold what their schemas ask for, in its order."""
    ours = [one for one in judged[schema] if one[0] != SPOILT_STORY]
    assert ours and [one for one in ours if one[1] != "ok"] == []


@pytest.mark.parametrize(("schema", "blamed"), [(schema, blamed) for schema, _, blamed in SPOILT])
def test_the_schema_refuses_what_is_spoilt(judged: dict[str, list[tuple[str, str]]], schema: str, blamed: str) -> None:
    """The fault that was put in is found."""
    (found,) = [verdict for story, verdict in judged[schema] if story == SPOILT_STORY]
    assert blamed in found


@pytest.mark.parametrize("schema", OF_SCHEMAS)
def test_each_relaxation_is_still_needed(judged: dict[str, list[tuple[str, str]]], schema: str) -> None:
    """Without it the schema refuses everything that it judges, for the reason that the table gives."""
    verdicts = {verdict for _, verdict in judged[f"{schema} raw"]}
    assert verdicts and all(one.startswith(OF_SCHEMAS[schema].blamed) for one in verdicts), verdicts
