"""Value sets: what is shipped, what a site replaces, and importing the official files (R51, R52)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from router.cisis.valuesets import Concept, ValueSet, ValueSets, parse, write
from router.cisis.valuesets_import import import_official
from router.errors import OperatorFault

LOINC = "2.16.840.1.113883.6.1"


@pytest.fixture(scope="module")
def shipped() -> ValueSets:
    """The sets that come with the router."""
    return ValueSets.load()


@pytest.mark.parametrize("code", ["11502-2", "18748-4", "11490-0", "34112-3", "57833-6", "60591-5", "87273-9"])
def test_r51_j07_holds_the_usual_types(shipped: ValueSets, code: str) -> None:
    """R51: the types of national examples are in JDV_J07."""
    assert shipped.contains("JDV_J07", code) is True
    assert shipped.contains("JDV_J07", code, LOINC) is True
    assert shipped.contains("JDV_J07", code, "1.2.250.1.213.1.1.4.12") is False


@pytest.mark.parametrize("code", ["34555-3", "85353-1", "", "INCONNU"])
def test_e32_j07_does_not_hold_others(shipped: ValueSets, code: str) -> None:
    """E32: 34555-3 of the old senders is not a type of J07."""
    assert shipped.contains("JDV_J07", code) is False


@pytest.mark.parametrize("code", ["11502-2", "18748-4", "34112-3", "11490-0", "60591-5", "PRESC-BIO", "SYNTH"])
def test_r52_j66_holds_the_types_that_the_dmp_takes(shipped: ValueSets, code: str) -> None:
    """R52: the usual types of a hospital, in the system of J07."""
    assert shipped.contains("JDV_J66", code) is True


@pytest.mark.parametrize("code", ["EXPORT_DUI", "FEUILLE-DE-STYLE", "PIECE-IDENTITE", "51851-4", "56446-8"])
def test_r52_j66_leaves_out_what_the_dmp_refuses(shipped: ValueSets, code: str) -> None:
    """R52: types of J07 that are not in J66."""
    assert shipped.contains("JDV_J07", code) is True
    assert shipped.contains("JDV_J66", code) is False


def test_r52_j66_is_a_part_of_j07(shipped: ValueSets) -> None:
    """R52: same systems and labels, the official count, OID and date."""
    j07, j66 = shipped.sets["JDV_J07"], shipped.sets["JDV_J66"]
    assert set(j66.concepts) <= set(j07.concepts) and len(j66.concepts) == 108
    assert (j66.oid, j66.version) == ("1.2.250.1.213.1.1.5.7", "20240927")


def test_the_shipped_sets_are_whole(shipped: ValueSets) -> None:
    """Counts and identity of the shipped sets, as published."""
    counts = {key: len(found.concepts) for key, found in shipped.sets.items()}
    assert counts["JDV_J07"] == 114
    assert (counts["JDV_J02"], counts["JDV_J04"], counts["JDV_J08"], counts["JDV_J57"]) == (69, 12, 6, 12)
    j07 = shipped.sets["JDV_J07"]
    assert (j07.oid, j07.version) == ("1.2.250.1.213.1.1.5.471", "20240927")
    systems = [concept.system for concept in j07.concepts]
    assert (systems.count(LOINC), systems.count("1.2.250.1.213.1.1.4.12")) == (78, 35)
    for found in shipped.sets.values():
        assert found.version and found.source
        assert len({(one.code, one.system) for one in found.concepts}) == len(found.concepts)
        assert all(one.label for one in found.concepts)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("JDV_J02", "SA01"),
        ("JDV_J61", "SA25"),
        ("JDV_J04", "ETABLISSEMENT"),
        ("JDV_J62", "AMBULATOIRE"),
        ("JDV_J58", "MASQUE_PS"),
        ("JDV_J57", "31"),
        ("JDV_J60", "urn:ihe:lab:xd-lab:2008"),
        ("JDV_J60", "urn:ihe:iti:xds-sd:pdf:2008"),
    ],
)
def test_the_sets_of_the_metadata_know_their_codes(shipped: ValueSets, name: str, code: str) -> None:
    """The sets of the XDS metadata hold the codes that documents use."""
    assert shipped.contains(name, code) is True


def test_j60_leaves_out_what_the_dmp_refuses(shipped: ValueSets) -> None:
    """dmp §2.4: formats marked ✗ are not in JDV_J60."""
    assert shipped.contains("JDV_J60", "urn:asip:ci-sis:cva:2017") is False


@pytest.mark.parametrize(("name", "wider"), [("JDV_J61", "JDV_J02"), ("JDV_J62", "JDV_J04")])
def test_what_no_official_list_of_this_version_holds_is_said(shipped: ValueSets, name: str, wider: str) -> None:
    """The codes that the wider national set has and the DMP's may have: they are members, and marked."""
    doubtful = {code for code in shipped.sets[name].by_code if shipped.unverified(name, code)}
    assert doubtful == {"JDV_J61": {"SA66", "SA67"}, "JDV_J62": {"ESSMS"}}[name]
    assert all(shipped.contains(name, code) and shipped.contains(wider, code) for code in doubtful)
    assert not any(shipped.unverified(wider, code) for code in doubtful)


@pytest.mark.parametrize(
    ("name", "oid", "count"), [("JDV_J58", "1.2.250.1.213.1.1.5.9", 6), ("JDV_J60", "1.2.250.1.213.1.1.5.8", 62)]
)
def test_the_dmps_sets_are_those_published(shipped: ValueSets, name: str, oid: str, count: int) -> None:
    """Number and size of the official list (Terminologies de Santé 1.10.0 and 1.12.0)."""
    assert (shipped.sets[name].oid, len(shipped.sets[name].concepts)) == (oid, count)
    assert parse(name, write(shipped.sets[name])) == shipped.sets[name]


def test_a_set_with_unverified_codes_is_read_back(shipped: ValueSets) -> None:
    """What is written says it too."""
    assert parse("JDV_J61", write(shipped.sets["JDV_J61"])) == shipped.sets["JDV_J61"]


def test_labels_are_those_published(shipped: ValueSets) -> None:
    """A label is the official one."""
    assert shipped.label("JDV_J57", "31") == "Imagerie médicale"
    assert shipped.label("JDV_J02", "SA01") == "Etablissement public de santé"


def test_a_file_of_the_site_replaces_ours(tmp_path: Path) -> None:
    """A set in the site's folder replaces the shipped one, and adds the ones we lack."""
    (tmp_path / "JDV_J66.csv").write_text("# version: 20260101\ncode,system,label\n11502-2,x,CR\n", encoding="utf-8")
    (tmp_path / "JDV_J57.csv").write_text("code,system,label\n99,x,Autre\n", encoding="utf-8")
    found = ValueSets.load(tmp_path)
    assert found.contains("JDV_J66", "11502-2") is True
    assert found.contains("JDV_J66", "18748-4") is False
    assert found.contains("JDV_J57", "31") is False
    assert found.contains("JDV_J07", "11502-2") is True


@pytest.mark.parametrize(
    "text", ["", "code;system;label\n", "code,system,label\n11502-2,x\n", "code,system,label\n,x,y\n"]
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str) -> None:
    """A file that can't be read is an operator's fault that names it."""
    (tmp_path / "JDV_J66.csv").write_text(text, encoding="utf-8")
    with pytest.raises(OperatorFault) as caught:
        ValueSets.load(tmp_path)
    assert (caught.value.code, caught.value.place) == ("VALUE-SET", "JDV_J66.csv")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """A folder that is not there is an operator's fault, not an empty override."""
    with pytest.raises(OperatorFault):
        ValueSets.load(tmp_path / "nowhere")


def test_what_is_written_is_read_back() -> None:
    """A data file keeps commas, quotes and accents."""
    before = ValueSet("JDV_J1", "JDV_J1-Essai", "1.2", "20260101", "ici", (Concept("a", "1.2", 'né, "été"'),))
    assert parse("JDV_J1", write(before)) == before


def svs(*concepts: tuple[str, str], name: str = "JDV_J66-TypeCode-DMP", before: str = "") -> str:
    """An SVS file as the ANS publishes it."""
    listed = "".join(f'<Concept code="{code}" codeSystem="{LOINC}" displayName="{label}"/>' for code, label in concepts)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{before}<RetrieveValueSetResponse xmlns="urn:ihe:svs:2008">'
        f'<ValueSet id="1.2.3" dateMaj="20260301120000" displayName="{name}.tabs" '
        f'urlFichier="https://mos.esante.gouv.fr/NOS/{name}"><ConceptList>{listed}</ConceptList></ValueSet>'
        "</RetrieveValueSetResponse>"
    )


def fhir(name: str = "JDV_J66-TypeCode-DMP", **changes: object) -> dict[str, object]:
    """A FHIR ValueSet as the ANS publishes it."""
    return {
        "resourceType": "ValueSet",
        "id": name.replace("_", "-"),
        "url": f"https://mos.esante.gouv.fr/NOS/{name}/FHIR/{name.replace('_', '-')}",
        "title": name,
        "version": "20260401120000",
        "identifier": [{"value": "urn:oid:1.2.3"}],
        "compose": {
            "include": [
                {"system": "http://loinc.org", "concept": [{"code": "11502-2", "display": "CR de biologie"}]},
                {
                    "system": "https://mos.esante.gouv.fr/NOS/TRE_A05-TypeDocComplementaire/FHIR/TRE-A05",
                    "concept": [{"code": "CERT_DECL", "display": "Certificat"}],
                },
            ]
        },
        **changes,
    }


def put(path: Path, content: str | dict[str, object]) -> Path:
    """Write an official file."""
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_r52_an_svs_file_is_imported_and_used(tmp_path: Path) -> None:
    """R52: after the import J66 answers yes or no."""
    folder = tmp_path / "sets"
    path = put(tmp_path / "f.xml", svs(("11502-2", "CR de biologie")))
    report = import_official([path], folder)
    [change] = report.changes
    assert report.problems == ()
    assert (change.key, change.before, change.after, change.added) == ("JDV_J66", "20240927", "20260301", ())
    assert "18748-4" in change.removed and change.relabelled[0][0] == "11502-2"
    found = ValueSets.load(folder)
    assert found.contains("JDV_J66", "11502-2", LOINC) is True
    assert found.contains("JDV_J66", "18748-4") is False
    assert (found.sets["JDV_J66"].oid, found.sets["JDV_J66"].name) == ("1.2.3", "JDV_J66-TypeCode-DMP")


def test_the_report_tells_added_removed_and_relabelled(tmp_path: Path) -> None:
    """A second import says what differs from the first one."""
    folder = tmp_path / "sets"
    import_official([put(tmp_path / "1.xml", svs(("A", "un"), ("B", "deux")))], folder)
    report = import_official([put(tmp_path / "2.xml", svs(("B", "Deux"), ("C", "trois")))], folder)
    [change] = report.changes
    assert (change.added, change.removed) == (("C",), ("A",))
    assert change.relabelled == (("B", "deux", "Deux"),)
    again = import_official([tmp_path / "2.xml"], folder)
    assert not again.changes[0].changed


def test_a_fhir_value_set_is_imported_with_its_oids(tmp_path: Path) -> None:
    """FHIR names systems by URL; CDA and XDS need their OIDs."""
    folder = tmp_path / "sets"
    report = import_official([put(tmp_path / "v.json", fhir())], folder)
    assert report.problems == ()
    found = ValueSets.load(folder)
    assert found.contains("JDV_J66", "11502-2", LOINC) is True
    assert found.contains("JDV_J66", "CERT_DECL", "1.2.250.1.213.1.1.4.12") is True
    assert (found.sets["JDV_J66"].version, found.sets["JDV_J66"].oid) == ("20260401", "1.2.3")


def test_a_version_that_is_no_date_gives_way_to_the_date(tmp_path: Path) -> None:
    """`1.4.0` of 27 September 2024 is 20240927: operators compare dates."""
    path = put(tmp_path / "v.json", fhir(version="1.4.0", date="2024-09-27T12:00:00+01:00"))
    [change] = import_official([path], tmp_path / "sets").changes
    assert change.after == "20240927"


def test_a_fhir_expansion_is_preferred(tmp_path: Path) -> None:
    """An expansion holds the codes whatever the definition says."""
    expansion = {"contains": [{"code": "X", "system": "urn:oid:9.9", "display": "ix"}]}
    path = put(tmp_path / "v.json", fhir(expansion=expansion, compose={"include": [{"system": "http://loinc.org"}]}))
    import_official([path], tmp_path / "sets")
    assert ValueSets.load(tmp_path / "sets").contains("JDV_J66", "X", "9.9") is True


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    """The report can be read before anything changes."""
    report = import_official([put(tmp_path / "v.json", fhir())], tmp_path / "sets", dry_run=True)
    assert len(report.changes) == 1 and report.written == ()
    assert not (tmp_path / "sets").exists()


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("<a/>", "ValueSet"),
        ("<a", "mal form"),
        (svs(("A", "a"), before='<!DOCTYPE x SYSTEM "file:///etc/passwd">'), "DOCTYPE"),
        (svs(), "codes"),
        (svs(("A", "a"), name="Autre"), "nom"),
        ("{", "JSON"),
        ("[]", "ValueSet"),
        ({"resourceType": "Patient"}, "ValueSet"),
        (fhir(compose={"include": [{"system": "http://loinc.org"}]}), "expansion"),
        ({"resourceType": "ConceptMap", "title": "ASS_A99", "group": []}, "ASS_X04"),
        ({"resourceType": "ConceptMap", "title": "ASS_X04", "group": []}, "correspondance"),
        (fhir(identifier=["1.2.3"]), "identifier"),
        (fhir(compose=[1]), "compose"),
        (fhir(compose={"include": [{"concept": [{"code": 1}]}]}), "code"),
        (fhir(expansion={"contains": ["A"]}), "contains"),
        ({"resourceType": "ConceptMap", "title": "ASS_X04", "group": [{"element": "A"}]}, "element"),
    ],
)
def test_an_unusable_file_stops_the_whole_import(tmp_path: Path, content: str | dict[str, object], part: str) -> None:
    """One sentence per unusable file, and nothing is written."""
    good, bad = put(tmp_path / "good.json", fhir()), put(tmp_path / "bad.any", content)
    report = import_official([good, bad, tmp_path / "absent.xml"], tmp_path / "sets")
    assert len(report.problems) == 2
    assert report.problems[0].startswith("bad.any") and part in report.problems[0]
    assert not (tmp_path / "sets").exists()


def test_a_type_class_table_is_imported_for_the_metadata(tmp_path: Path) -> None:
    """ASS_X04 / ASS_X16: the table of the metadata is replaced by the site's."""
    from router.xds.tables import tables

    def concept_map(target: str) -> dict[str, object]:
        element = [
            {"code": "18748-4", "target": [{"code": target}]},
            {"code": "11502-2", "target": [{"code": "10"}]},
        ]
        return {
            "resourceType": "ConceptMap",
            "title": "ASS_X16",
            "version": "20260629",
            "group": [{"element": element}],
        }

    folder = tmp_path / "sets"
    import_official([put(tmp_path / "m.json", concept_map("10"))], folder)
    report = import_official([put(tmp_path / "m.json", concept_map("31"))], folder)
    assert report.changes[0].relabelled == (("18748-4", "10", "31"),)
    found = tables(folder).class_of("18748-4")
    assert found is not None and found.code == "31"
    assert tables(folder).class_of("34112-3") is None
