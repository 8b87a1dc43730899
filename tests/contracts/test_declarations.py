"""One declaration for each sink type and each step: none can be forgotten, none can take what is another's."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

import router.sinks
import router.steps
from router.config.pipeline import PipelineConfig, PipelineFile, StepConfig
from router.config.sink_models import Expectation, SinkUse
from router.config.site_models import SiteConfig
from router.contracts import SystemClock
from router.contracts.sink_type import Answer, SinkSettings, SinkType
from router.errors import ConfigFault, OperatorFault
from router.exchange import Event, Exchange, Origin, Pseudonyms
from router.payload import DocumentOrder
from router.runtime.describe import ASKED, Unserved
from router.runtime.wording import ADVICE, EVIDENCE
from router.sinks import registry as sinks
from router.sinks.dmp.sink_type import DMP
from router.sinks.hl7.sink_type import HL7
from router.sinks.mssante.sink_type import MSSANTE
from router.steps import registry as steps
from router.steps.step_type import StepType
from tests.contracts.recipes import ROOT, archive_sink
from tests.sinks import mssante_samples

ROUTER = ROOT / "router"
FOREIGN = re.compile(r"MSS|DMP|XDS|HL7|\bAnnuaire|\bmail\b", re.IGNORECASE)
NAMES = re.compile(r"['\"](dmp|mssante|hl7|mss)(:|\.)?['\"]|DmpConfig|MssanteConfig|Hl7Config")

#: Where the name of a type may stand outside its own room, and why.
NAMED = {
    "console/api/operations/message.py": "media types of what was kept of a kind",
    "console/pages/message.py": "tabs of the page: what was kept of a kind",
    "config/conditions.py": "variables of CEL: wishes of the request, and the kind of an event's body",
    "config/expressions.py": "the values of those variables",
    "config/possible.py": "wishes of the request: without any of them no document is taken (R91)",
    "feedback/correlate.py": "reads the mailboxes of the MSSanté sinks",
    "gateway/folder_files.py": "the kind of an event's body: HL7 or CDA",
    "gateway/http_listener.py": "the kind of an event's body",
    "gateway/identity.py": "the kind of an event's body",
    "gateway/raw_topic.py": "the kind of an event's body",
    "gateway/received.py": "the kind of an event's body",
    "register/changes.py": "a consent of the patient that an ADT tells",
    "register/store.py": "a consent of the patient that an ADT tells",
    "register/tables.py": "a consent of the patient that an ADT tells",
    "runtime/configured_mailboxes.py": "compares the mailboxes of the MSSanté sinks with the annuaire",
    "runtime/earlier_recipients.py": "looks for those who had a version by mail",
    "runtime/roles/feedback.py": "reads the mailboxes of the MSSanté sinks",
    "runtime/withdraw.py": "takes a document out of the DMP",
    "starter/simulated.py": "stands in for each sink of a site",
    "starter/site_text.py": "writes the sinks of a new site",
}


def found_in(package: Any, kind: type) -> dict[int, str]:
    """Every declaration that a module of a package makes: identity -> where."""
    found: dict[int, str] = {}
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, kind):
                found.setdefault(id(value), f"{module.name}.{name}")
    return found


def test_a_step_that_is_declared_is_listed() -> None:
    """A step whose line in the registry was forgotten fails here; a step without `build` can't be declared."""
    declared = found_in(router.steps, StepType)
    assert len(declared) >= 5
    assert not [where for key, where in declared.items() if key not in map(id, steps.BUILT_IN)]
    with pytest.raises(TypeError):
        StepType(name="stamp", model=str, description="")  # type: ignore[call-arg]


def test_a_sink_type_that_is_declared_is_listed() -> None:
    """A sink type whose line in the registry was forgotten fails here."""
    declared = found_in(router.sinks, SinkType)
    assert len(declared) >= 3
    assert not [where for key, where in declared.items() if key not in map(id, sinks.BUILT_IN)]


def test_every_step_of_the_list_is_a_key_that_is_built() -> None:
    """Model, builder and reference hold exactly the steps of the list, in its order."""
    keys = [field.alias for field in StepConfig.model_fields.values()]
    assert keys == list(steps.STEPS)
    for name, step in steps.STEPS.items():
        assert StepConfig.model_fields[f"step_{name}"].description == step.description
        with pytest.raises(ValueError, match="step_"):
            StepConfig.model_validate({f"step_{name}": {}})


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (replace(steps.STEPS["set"], name="Set it"), "not a word"),
        (replace(steps.STEPS["set"], condition=True), "condition is a text"),
        (steps.STEPS["set"], "already"),
    ],
)
def test_a_step_that_can_not_work_is_refused_at_the_start(wrong: StepType, said: str) -> None:
    """A declaration that is wrong, or that takes another's key, ends the process with a sentence."""
    with pytest.raises(OperatorFault, match=said):
        steps.registered((*steps.BUILT_IN, wrong))


class Untagged(SinkSettings):
    """Settings whose type is another's."""

    type: Literal["dmp"] = "dmp"


ARCHIVE: SinkType = archive_sink().ARCHIVE


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (replace(ARCHIVE, name="an archive"), "not a word"),
        (replace(ARCHIVE, settings=Untagged), "connections"),
        (replace(ARCHIVE, carries="message"), "legs"),
        (replace(HL7, name="hl8", carries="documents"), "legs"),
        (replace(ARCHIVE, name="mailbox"), "already a key"),
        (replace(ARCHIVE, evidence={"message_id": "x"}), "evidence message_id is already that of mssante"),
        (replace(ARCHIVE, code="MSS"), "code MSS is already that of mssante"),
        (replace(ARCHIVE, answer=Answer("dmp", "Z01")), "leg dmp is already that of dmp"),
        (replace(ARCHIVE, options=MSSANTE.options), "option pdf_copy is already that of mssante"),
        (DMP, "type dmp is already that of dmp"),
    ],
)
def test_a_sink_type_that_can_not_work_is_refused_at_the_start(wrong: SinkType, said: str) -> None:
    """A declaration that is wrong, or that takes what is another's, ends the process with a sentence."""
    with pytest.raises(OperatorFault, match=said):
        sinks.registered((*sinks.BUILT_IN, wrong))


def test_the_engine_knows_no_type_of_sink() -> None:
    """None of the words of HL7, of the DMP or of MSSanté stands in a file of the engine."""
    files = sorted((ROUTER / "engine").rglob("*.py"))
    assert len(files) > 20
    lines = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
        for file in files
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if FOREIGN.search(line)
    ]
    assert not lines


def test_a_type_is_named_in_its_own_room_only() -> None:
    """Everything else reads the registry; the exceptions stand in this file, each with its reason."""
    own = ("sinks", "simulators", "demo", "cisis", "xds", "hl7", "cda")
    named = {
        str(file.relative_to(ROUTER))
        for file in ROUTER.rglob("*.py")
        if file.relative_to(ROUTER).parts[0] not in own and file.name != "simulate.py"
        if NAMES.search(_code(file))
    }
    assert named == set(NAMED)


def _code(file: Path) -> str:
    """A file without its docstrings and comments."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [one for one in body if not _is_text(one)] or [ast.Pass()]  # type: ignore[attr-defined]
    return ast.unparse(tree)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def test_the_yaml_keys_are_those_of_before() -> None:
    """What sites have written keeps its meaning: types, keys of structures, of a use, of an example."""
    assert list(sinks.SINK_TYPES) == ["dmp", "mssante", "hl7"]
    assert list(SinkUse.model_fields) == ["when", "pdf_copy", "strict_order"]
    assert list(Expectation.model_fields) == ["ack", "fault", "dmp", "mssante", "refused", "hl7", "filtered"]
    assert list(steps.STEPS) == ["validate", "enrich", "look_up", "set", "keep"]
    assert ASKED == {
        "dmp": "dmp",
        "mss_professionals": "mssante",
        "mss_patient": "mssante-patient",
        "ack_reception": "ack-reception",
        "ack_lecture": "ack-lecture",
    }
    for model in (SiteConfig, PipelineConfig):
        assert model.model_json_schema(by_alias=True)["additionalProperties"] is False


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("MSS-552", "Boîte pleine"),
        ("MSS-510", "espace de confiance"),
        ("MSS-999", "adresse du destinataire"),
        ("DMP-XDSUnknownPatientId", "n'a pas de DMP"),
        ("DMP-XDSRegistryError", "motif du DMP"),
        ("PFI-PATIENT", "segur-router withdraw"),
        ("PFI-INS", "avant l'envoi"),
        ("HL7-AE", "application destinataire"),
        ("R45", "chez l'émetteur"),
        ("BUG-KeyError", "signaler"),
        ("UNKNOWN-1", "Résultat inconnu"),
        ("X", "Lire le motif"),
    ],
)
def test_the_advice_is_that_of_before(code: str, told: str) -> None:
    """What operators read of each code comes from its type, from the engine, or from the rules."""
    assert told in ADVICE(code)


def test_evidence_and_identifiers_are_those_of_before() -> None:
    """Names shown as proof, and the keys by which `explain` finds an event."""
    assert {name: EVIDENCE[name] for name in sorted(EVIDENCE)} == {
        "copy": "copie PDF",
        "hl7_ack": "ACK",
        "hl7_control_id": "message HL7",
        "mail_sha256": "SHA-256 du mail",
        "report_sha256": "SHA-256 de l'accusé",
        "message_id": "Message-ID",
        "queue_id": "file de l'opérateur",
        "smtp": "SMTP",
        "soap_sha256": "SHA-256 de la requête",
        "submission_set": "lot",
        "xds_unique_id": "document",
    }
    assert set(sinks.identifiers()) == {
        "message_id",
        "envid",
        "queue_id",
        "xds_unique_id",
        "xds_unique_ids",
        "submission_set",
        "hl7_control_id",
    }


def test_an_order_of_before_can_be_read() -> None:
    """A payload on the bus whose structure names its sinks, as they were written until now, is still a delivery."""
    structure = {"finess": "750100125", "name": "A", "source_oid": "1.2", "dmp": "dmp.chu", "mssante": "mssante.chu"}
    kept = mssante_samples.order().model_dump(mode="json", exclude_defaults=True) | {"structure": structure}
    order = DocumentOrder.model_validate(kept)
    assert order.structure is not None
    assert (order.structure.finess, order.structure.sink_of("mssante")) == ("750100125", "mssante.chu")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("hl7:", "name the instance: hl7 has no structure to choose it"),
        ("mssante: {strict_order: true}", "is for hl7 sinks only"),
        ("dmp: {pdf_copy: false}", "is for mssante sinks only"),
        ("ftp.x:", "one of dmp, dmp.a, hl7.a, mssante"),
        ("dmp: {pdf_copie: false}", "did you mean `pdf_copy`?"),
    ],
)
def test_a_pipeline_uses_a_sink_as_its_type_allows(tmp_path: Path, lines: str, said: str) -> None:
    """The problem stands at its place, in the words of before."""
    file = tmp_path / "p.yaml"
    file.write_text(
        f"name: p\nfeed: f\nsinks:\n  {lines}\nexamples:\n  - {{name: x, message: x.hl7, expect: {{}}}}\n",
        encoding="utf-8",
    )
    instances: Mapping[str, str] = {"dmp.a": "dmp", "hl7.a": "hl7"}
    with pytest.raises(ConfigFault) as caught:
        PipelineFile(file, sinks=dict(instances), feeds={"f"}, examples=False)
    (problem,) = caught.value.problems
    assert said in f"{problem.text} ({problem.hint})"
    assert problem.line == 4


def test_no_settings_module_imports_its_sink() -> None:
    """Models are plain data: the import goes from the sink to its settings, never back."""
    for kind in sinks.BUILT_IN:
        room = ROUTER / "sinks" / kind.name
        tree = ast.parse((room / "settings.py").read_text(encoding="utf-8"))
        taken = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not [name for name in taken if name.startswith("router.sinks")]
        assert issubclass(kind.settings, BaseModel)


def test_what_another_type_delivers_does_not_serve_the_dmp(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two types may call a destination alike: the sender is still told that his own wish was not served (D5)."""
    order = mssante_samples.order(dmp=True)
    monkeypatch.setattr(sinks, "SINK_TYPES", {**sinks.SINK_TYPES, "archive": ARCHIVE})
    unserved = Unserved(Pseudonyms(b"test"), SystemClock(), lambda exchange: exchange)
    event = Event("e" * 32, "sil", "k", b"", {}, Origin("in.sil", 0, 1))
    exchange = Exchange(event, request=order.request)
    kept = mssante_samples.delivery(order, sink="archive.chu", destination="dmp")
    told = [(one.sink, one.code) for one in unserved(exchange, [kept], [], [])]
    assert ("dmp", "NOT-SERVED") in told
    assert "archive" not in [sink for sink, _ in told]
    done = mssante_samples.delivery(order, sink="dmp.chu", destination="dmp")
    assert "dmp" not in [one.sink for one in unserved(exchange, [done], [], [])]
