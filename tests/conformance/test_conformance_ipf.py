"""IPF's validators, made for registries, judge what really leaves for the DMP and in the archive of a mail."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from lxml import etree

from tests.conformance import jvm
from tests.conformance.dialect import RELAXATIONS, Relaxation
from tests.conformance.leaving import TRANSACTIONS, Sent

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]  # the first run brings the jars

#: What judges each transaction. An ITI-41 request is judged as an archive too: XDM asks for hash and size.
PROFILES = {
    "ITI-41": ("XDS ITI-41", "XDM ITI-41"),
    "ITI-18": ("XDS ITI-18",),
    "ITI-57": ("XDS ITI-57",),
    "METADATA.XML": ("XDM ITI-41",),
}
OK = "ok"


@dataclass(frozen=True)
class Spoilt:
    """A fault that IPF must find. pattern, by: replaced once in what the story sent; blamed: what IPF says of it."""

    name: str
    story: str
    profile: str
    pattern: str
    by: str
    blamed: str


_HASH, _SIZE = (rf'<Slot name="{name}">.*?</Slot>' for name in ("hash", "size"))
SPOILT = (
    Spoilt(
        "RPLC of 2010",
        "replace biology",
        "XDS ITI-41",
        "iti:2007(:AssociationType:RPLC)",
        r"iti:2010\1",
        "Unsupported association type",
    ),
    Spoilt(
        "time with offset",
        "pair",
        "XDS ITI-41",
        r'(name="creationTime"><ValueList><Value>\d{14})',
        r"\1+0100",
        "Invalid time format",
    ),
    Spoilt(
        "stop before start",
        "pair",
        "XDS ITI-41",
        r'(name="serviceStopTime"><ValueList><Value>)\d{14}',
        r"\g<1>2001",
        "must be equal or before",
    ),
    Spoilt(
        "id of the set",
        "pair",
        "XDS ITI-41",
        r'("urn:uuid:96fdda7c-\S+ value=")[0-9.]+"',
        r'\g<1>1.02.3"',
        "OID contains invalid",
    ),
    Spoilt(
        "two patients", "pair", "XDS ITI-41", r'("urn:uuid:6b5aea1a-\S+ value=")\d', r"\g<1>9", "the same patient ID"
    ),
    Spoilt(
        "no typeCode",
        "pair",
        "XDS ITI-41",
        "urn:uuid:f0306f51-",
        "urn:uuid:00306f51-",
        "amount of classifications of scheme urn:uuid:f0306f51",
    ),
    Spoilt(
        "member unknown",
        "pair",
        "XDS ITI-41",
        r'(ExtrinsicObject id="Document0)1"',
        r'\g<1>9"',
        "but it was not provided",
    ),
    Spoilt("no hash", "pair", "XDM ITI-41", _HASH, "", "Slot = hash"),
    Spoilt("no size", "pair", "XDM ITI-41", _SIZE, "", "Slot = size"),
    Spoilt("no hash in the archive", "mail imaging", "XDM ITI-41", _HASH, "", "Slot = hash"),
    Spoilt("no new status", "delete", "XDS ITI-57", r'<Slot name="NewStatus">.*?</Slot>', "", "new document status"),
    Spoilt(
        "update unknown", "delete", "XDS ITI-57", "UpdateAvailabilityStatus", "Update", "Unsupported association type"
    ),
    Spoilt(
        "question without id", "delete", "XDS ITI-18", r"\$XDSDocumentEntryUniqueId", "$XDS", "required query parameter"
    ),
)


@dataclass(frozen=True)
class Judged:
    """What IPF said of a request. without: the relaxation that was left out."""

    story: str
    kind: str
    profile: str
    without: Relaxation | None
    spoilt: Spoilt | None = None
    xml: bytes = field(default=b"", repr=False)
    verdict: str = ""


def relaxed(xml: bytes, without: Relaxation | None = None) -> bytes:
    root = etree.fromstring(xml)
    for one in RELAXATIONS:
        if one is not without:
            one.change(root)
    return etree.tostring(root, encoding="UTF-8")


def asked(cases: Sequence[tuple[str, str, bytes]]) -> Iterator[Judged]:
    """Every request with all relaxations, then without one of them, then spoilt."""
    for story, kind, xml in cases:
        for profile in PROFILES[kind]:
            for without in (None, *RELAXATIONS):
                yield Judged(story, kind, profile, without, xml=relaxed(xml, without))
    for spoilt in SPOILT:
        xml = next(xml for story, kind, xml in cases if story == spoilt.story and spoilt.profile in PROFILES[kind])
        changed, count = re.subn(spoilt.pattern, spoilt.by, relaxed(xml).decode(), count=1)
        assert count == 1, spoilt
        yield Judged(spoilt.story, "", spoilt.profile, None, spoilt, changed.encode())


@pytest.fixture(scope="module")
def judged(
    jars: None, sent: list[Sent], archives: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> list[Judged]:
    """All verdicts, of one run of IPF."""
    cases = [(one.story, TRANSACTIONS[one.transaction], one.xml()) for one in sent]
    cases += [(f"mail {story}", "METADATA.XML", xml) for story, xml in archives.items()]
    folder, all_asked = tmp_path_factory.mktemp("ipf"), list(asked(cases))
    told = jvm.verdicts("Metadata", [(one.profile, _file(folder, n, one.xml)) for n, one in enumerate(all_asked)])
    return [
        Judged(one.story, one.kind, one.profile, one.without, one.spoilt, verdict=verdict)
        for one, verdict in zip(all_asked, told, strict=True)
    ]


def _file(folder: Path, number: int, xml: bytes) -> Path:
    path = folder / f"{number:04d}.xml"
    path.write_bytes(xml)
    return path


@pytest.mark.parametrize("kind", PROFILES)
def test_ipf_accepts_what_leaves(judged: list[Judged], kind: str) -> None:
    """Every request is valid in every profile, once the dialect of French practice is taken out."""
    ours = [one for one in judged if one.kind == kind and one.without is None]
    assert {one.profile for one in ours} == set(PROFILES[kind])
    assert [(one.story, one.profile, one.verdict) for one in ours if one.verdict != OK] == []


@pytest.mark.parametrize("relaxation", RELAXATIONS, ids=lambda one: one.name)
def test_each_relaxation_is_still_needed(judged: list[Judged], relaxation: Relaxation) -> None:
    """Without it IPF refuses a request, for the reason that the table gives and for no other."""
    said = {one.verdict for one in judged if one.without is relaxation} - {OK}
    assert said == {f"XDSMetaDataException: {relaxation.blamed}"}


@pytest.mark.parametrize("spoilt", SPOILT, ids=lambda one: one.name)
def test_ipf_refuses_what_is_spoilt(judged: list[Judged], spoilt: Spoilt) -> None:
    """The judge is awake: it finds the fault that was put in."""
    (found,) = [one.verdict for one in judged if one.spoilt is spoilt]
    assert found.startswith("XDSMetaDataException: ") and spoilt.blamed in found
