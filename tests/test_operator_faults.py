"""Every place where a message meets an `OperatorFault`, and why no content of one message can raise it (promise 11)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROUTER = Path(__file__).resolve().parents[1] / "router"
ROOMS = ("hl7", "cda", "cisis", "xds", "directory", "register", "steps", "sinks", "feedback")

#: (file, code) -> what raises it. A code that is computed is written `?`.
KNOWN = {
    ("cda/audit.py", "CDA-AUDIT"): "a command of the operator's: the Schematron and its engine",
    ("cda/schema.py", "CDA-SCHEMA"): "the schema's files, at the start",
    ("cisis/valuesets.py", "VALUE-SET"): "the value sets' files, at the start",
    ("directory/fetch.py", "DIRECTORY-CA"): "a file of authorities",
    ("directory/fetch.py", "DIRECTORY-FILE"): "the file of a list",
    ("directory/fetch.py", "DIRECTORY-HTTP"): "the address of a list",
    ("directory/fhir_client.py", "ANNUAIRE-FHIR"): "our key",
    ("directory/http.py", "DIRECTORY-HTTP"): "where the server of a list leads",
    ("feedback/mailbox.py", "MSS-IMAP"): "our login or certificate",
    ("sinks/dmp/channel.py", "DMP-CERT-AUTH"): "the date of our certificate",
    ("sinks/dmp/credentials.py", "DMP-CERT-AUTH"): "our certificate's files",
    ("sinks/dmp/credentials.py", "DMP-CRL"): "a revocation list",
    ("sinks/dmp/credentials.py", "DMP-CERT-SIGN"): "our certificate's files",
    ("sinks/dmp/dialogue.py", "DMP-CERT-SIGN"): "the dates of our certificate",
    ("sinks/dmp/sink.py", "DMP-CERT-STRUCTURE"): "a certificate that is another structure's",
    ("sinks/dmp/sink.py", "?"): "the site file, at the start",
    (
        "sinks/dmp/verdicts.py",
        "?",
    ): "the DMP's word: `dmp.identities` and `engine.delivery.fault_attribution` ask whether it is one message's",
    ("sinks/dmp/verdicts.py", "DMP-ADDRESS"): "the site file",
    ("sinks/dmp/verdicts.py", "DMP-TABLE"): "a table of ours",
    ("sinks/dmp/verdicts.py", "DMP-TLS"): "the handshake, before any content",
    ("sinks/dmp/verdicts.py", "DMP-TLS-SERVER"): "the handshake, before any content",
    ("sinks/hl7/sink.py", "HL7-TLS"): "the handshake, before any content",
    ("sinks/hl7/tls.py", "HL7-CRL"): "a revocation list",
    ("sinks/hl7/tls.py", "HL7-TLS"): "our files",
    ("sinks/mssante/discovery.py", "MSS-SRV"): "what DNS answers of the operator's domain, before any content",
    ("sinks/mssante/sink.py", "MSS-PRODUCTION"): "the site file, at the start",
    ("sinks/mssante/tls.py", "MSS-CRL"): "a revocation list",
    ("sinks/mssante/tls.py", "MSS-TLS"): "our certificate's files",
    (
        "sinks/mssante/verdict.py",
        "?",
    ): "the operator's word of our session or mailbox: `engine.delivery.fault_attribution` asks",
    ("sinks/mssante/verdict.py", "MSS-530"): "our login",
    ("sinks/mssante/verdict.py", "MSS-SMTP"): "the session, before any content",
    ("sinks/mssante/verdict.py", "MSS-TLS"): "the handshake, before any content",
    ("sinks/registry.py", "SINK-TYPE"): "a declaration that can't work, when the process starts",
    ("steps/registry.py", "STEP-TYPE"): "a declaration that can't work, when the process starts",
    ("steps/validate.py", "SITE-SCHEMA"): "the site file, when a pipeline is compiled",
    ("xds/tables.py", "XDS-TABLE"): "tables of the site, at the start",
}


def made(path: Path) -> Iterator[str]:
    """The code of every `OperatorFault(…)` that a file makes."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "OperatorFault":
            first = node.args[0] if node.args else None
            yield str(first.value) if isinstance(first, ast.Constant) else "?"


def test_every_operator_fault_on_the_way_of_a_message_is_known() -> None:
    """A new one is a decision: it can make a whole feed or sink wait, so write here why no message can cause it."""
    files = [file for room in ROOMS for file in (ROUTER / room).rglob("*.py")]
    found = {(str(file.relative_to(ROUTER)), code) for file in files for code in made(file)}
    assert found == set(KNOWN)
