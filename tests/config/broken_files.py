"""Files as people get them wrong, with the place and the sentence that `check` must say of each mistake.

A site starts right (`SITE`, `PIPELINE`) and is broken by replacements; `expected` is all that is told, in order:
(file, line, column, beginning of the sentence, severity).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SITE = """\
environment: qualification
data: var
admin: {port: 0}
structures:
  "750100125":
    name: Hopital A
    source_oid: 1.2.250.1.213.1.4.99.10
    mailbox: pfi@hopital-a.test.mssante.fr
    mssante: mssante.chu
feeds:
  sil:
    mllp: {port: 2575}
    reply: hl7.sil
  relais: {kind: relay, mllp: {port: 2576}}
sinks:
  mssante.chu:
    type: mssante
    host: smtp.operateur.fr
    mode: plain
  hl7.sil: {type: hl7, host: 127.0.0.1, port: 2675}
directory:
  liste_blanche: {source: liste.xml, minimum: 1}
"""
PIPELINE = """\
name: lettres
feed: sil
when: request.mssante || !request.mssante
steps:
  - validate: {profile: cisis}
sinks:
  mssante: {pdf_copy: true}
examples:
  - name: cas nominal
    message: lettre.hl7
    expect: {ack: AA}
"""
RELAY = """\
name: relais
feed: relais
steps:
  - set: {MSH-4: CHU}
sinks:
  hl7.sil: {}
examples:
  - name: relais
    message: lettre.hl7
    expect: {hl7: [hl7.sil]}
"""
LISTE = """\
<listeBlanche xmlns="https://listeblanche.mssante.fr/schema">
<Domaine><Nom>medecin.mssante.fr</Nom></Domaine></listeBlanche>
"""
FILES = {"router.yaml": SITE, "lettres.yaml": PIPELINE, "relais.yaml": RELAY}
E_, W = "error", "warning"
Told = tuple[str, int, int, str, str]


@dataclass(frozen=True)
class Broken:
    """One set of mistakes: (file, what stands there, what somebody wrote) and what is told of them."""

    name: str
    changes: tuple[tuple[str, str, str], ...]
    expected: tuple[Told, ...] = ()

    def write(self, folder: Path) -> Path:
        """The files of the site in this folder; returns the site file."""
        texts = dict(FILES)
        for name, old, new in self.changes:
            assert not old or old in texts[name], (self.name, old)
            texts[name] = texts[name].replace(old, new, 1) if old else new
        (folder / "pipelines").mkdir(parents=True)
        for name, text in texts.items():
            place = folder if name == "router.yaml" else folder / "pipelines"
            (place / name).write_text(text, encoding="utf-8")
        (folder / "liste.xml").write_text(LISTE)
        sample = (ROOT / "pipelines/samples/lettre-de-sortie.hl7").read_bytes()
        (folder / "pipelines" / "lettre.hl7").write_bytes(sample)
        return folder / "router.yaml"


SITE_FILE, LETTERS, RELAYED = "router.yaml", "lettres.yaml", "relais.yaml"
TABLE = (
    Broken("right", ()),
    Broken(
        "a schema error beside errors of sense",
        (
            (SITE_FILE, "admin: {port: 0}", "admn: {port: 0}"),
            (SITE_FILE, "reply: hl7.sil", "reply: hl7.sli"),
            (SITE_FILE, "    mailbox: pfi@hopital-a.test.mssante.fr\n", ""),
            (LETTERS, "feed: sil", "feed: sill"),
        ),
        (
            (SITE_FILE, 3, 1, "is not known here", E_),
            (SITE_FILE, 5, 3, "sends mail but has no mailbox", E_),
            (SITE_FILE, 12, 5, "no hl7 sink is named 'hl7.sli'", E_),
            (LETTERS, 2, 1, "no feed 'sill' in the site file", E_),
        ),
    ),
    Broken(
        "expectations that nothing can meet",
        (
            (LETTERS, "expect: {ack: AA}", "expect: {dmp: livré, fault: R7, refused: [MSS-510, refusé]}"),
            (RELAYED, "expect: {hl7: [hl7.sil]}", "expect: {hl7: [hl7.sli]}"),
        ),
        (
            (LETTERS, 11, 14, "is no code of ours, such as R45 or MSS-510", E_),
            (LETTERS, 11, 26, "is no code of ours, such as R45 or MSS-510", E_),
            (LETTERS, 11, 56, "is no code of ours, such as R45 or MSS-510", E_),
            (RELAYED, 10, 20, "no such sink in the site file", E_),
        ),
    ),
    Broken(
        "what follows from another mistake is not told",
        (
            (SITE_FILE, "type: hl7, host: 127.0.0.1, port: 2675", "type: hl8, host: 127.0.0.1, port: 2675"),
            (SITE_FILE, "mllp: {port: 2575}", "mllp: {port: many}"),
            (SITE_FILE, "environment: qualification", "environement: qualification"),
        ),
        (
            (SITE_FILE, 1, 1, "is not known here", E_),
            (SITE_FILE, 12, 12, "must be a whole number", E_),
            (SITE_FILE, 20, 3, "has an unknown type", E_),
        ),
    ),
    Broken(
        "words instead of true, numbers and lists",
        (
            (SITE_FILE, "mllp: {port: 2575}", 'mllp: {port: "2 575"}\n    http: oui'),
            (SITE_FILE, "minimum: 1", "minimum: un"),
            (SITE_FILE, "name: Hopital A", "name: 12"),
            (LETTERS, "pdf_copy: true", "pdf_copy: peut-etre"),
            (LETTERS, "feed: sil", "feed: {name: sil}"),
        ),
        (
            (SITE_FILE, 6, 5, "must be a text", E_),
            (SITE_FILE, 12, 12, "must be a whole number", E_),
            (SITE_FILE, 13, 5, "must be true or false", E_),
            (SITE_FILE, 23, 38, "must be a whole number", E_),
            (LETTERS, 2, 1, "must be a text or a list of texts", E_),
            (LETTERS, 7, 13, "must be true or false", E_),
        ),
    ),
    Broken(
        "names",
        (
            (SITE_FILE, "  relais: {kind", "  Relais: {kind"),
            (LETTERS, "name: lettres", "name: Lettres de liaison"),
            (LETTERS, "{ack: AA}", "{ack: OK}"),
        ),
        (
            (
                SITE_FILE,
                14,
                3,
                "must be a name: small letters, digits and dashes, a letter first, 41 characters at most",
                E_,
            ),
            (
                LETTERS,
                1,
                1,
                "must be a name: small letters, digits and dashes, a letter first, 41 characters at most",
                E_,
            ),
            (LETTERS, 11, 14, "must be AA or AE", E_),
        ),
    ),
    Broken(
        "FINESS without quotes, and one that is not",
        (
            (SITE_FILE, '  "750100125":', "  010000001:"),
            (SITE_FILE, "    reply:", '    rules: {structures: ["01000000"]}\n    reply:'),
        ),
        (
            (SITE_FILE, 5, 3, "is no FINESS: it has nine digits, with 2A or 2B first in Corsica", E_),
            (SITE_FILE, 13, 26, "01000000 is not in `structures`", E_),
        ),
    ),
    Broken(
        "a key of a FINESS",
        ((SITE_FILE, "750100125", "750100126"),),
        ((SITE_FILE, 5, 3, "its last digit is not the key of a FINESS: is it right?", W),),
    ),
    Broken(
        "conditions",
        (
            (LETTERS, "request.mssante || !request.mssante", 'message.tipe == "ORU^R01" && request.dpm'),
            (LETTERS, "pdf_copy: true", "pdf_copy: true, when: 'message.type == 5'"),
            (LETTERS, "  - validate", "  - keep: document.level = 3\n  - validate"),
        ),
        (
            (LETTERS, 3, 7, "message has no 'tipe'", E_),
            (LETTERS, 3, 36, "request has no 'dpm'", E_),
            (LETTERS, 5, 26, "no condition: to compare write ==", E_),
            (LETTERS, 8, 49, "compares a text with a number: they are never equal", E_),
        ),
    ),
    Broken(
        "conditions that never hold",
        (
            (
                LETTERS,
                "request.mssante || !request.mssante",
                'document.type == "11502-2" && document.type == "18748-4"',
            ),
            (RELAYED, "hl7.sil: {}", "hl7.sil: {when: document.level == 1}"),
        ),
        (
            (LETTERS, 3, 1, "can never hold: no message of its feeds has these values", E_),
            (RELAYED, 6, 13, "can never hold: no message of its feeds has these values", E_),
        ),
    ),
    Broken(
        "values and fields that HL7 does not have",
        (
            (LETTERS, "request.mssante || !request.mssante", 'message.type != "ORU^R99" || field("PVX-3.1") == "x"'),
            (RELAYED, "MSH-4: CHU", "MSH-4: CHU, PID-99: x, PID_3: y"),
        ),
        (
            (LETTERS, 3, 23, "HL7 has no event R99", W),
            (LETTERS, 3, 42, "HL7 has no segment PVX", E_),
            (RELAYED, 4, 23, "PID has 39 fields in HL7", W),
            (RELAYED, 4, 34, "not an HL7 address: 'PID_3' (write it like PID-3[INS].1)", E_),
        ),
    ),
    Broken(
        "documents that no pipeline takes",
        ((LETTERS, "request.mssante || !request.mssante", 'document.type == "11502-2"'),),
        (
            (
                SITE_FILE,
                11,
                3,
                'none of the pipelines lettres takes a message with !(document.type in ["11502-2"]): '
                "it becomes a dead letter NO-PIPELINE",
                W,
            ),
        ),
    ),
    Broken(
        "a feed without a pipeline",
        ((RELAYED, "feed: relais", "feed: sil"),),
        (
            (
                SITE_FILE,
                14,
                3,
                "no pipeline reads this feed: each of its documents becomes a dead letter NO-PIPELINE",
                W,
            ),
        ),
    ),
    Broken(
        "production with the settings of a trial",
        (
            (SITE_FILE, "environment: qualification", "environment: production"),
            (SITE_FILE, "mllp: {port: 2575}", "mllp: {port: 2575, host: 10.0.0.1}"),
            (SITE_FILE, "    mode: plain", "    mode: plain\n    redirect_all_mail: a@b.mssante.fr\n    keep: mails"),
        ),
        (
            (SITE_FILE, 12, 5, "listens on 10.0.0.1 without TLS: required in production", E_),
            (SITE_FILE, 16, 3, "is required in production: X-MSS-NIL names the product to the espace de confiance", E_),
            (SITE_FILE, 19, 5, "SMTP without TLS: qualification only", E_),
            (SITE_FILE, 20, 5, "sends everything to one address: qualification only", E_),
            (SITE_FILE, 21, 5, "keeps clear documents on disk: qualification only", E_),
        ),
    ),
    Broken(
        "lists and samples that are not there",
        (
            (SITE_FILE, "source: liste.xml", "source: list.xml"),
            (SITE_FILE, "minimum: 1}", "minimum: 1}\n  annuaire: {extraction: http://annuaire.fr/x.zip}"),
            (LETTERS, "message: lettre.hl7", "message: letre.hl7"),
        ),
        (
            (SITE_FILE, 22, 19, "list.xml can't be read: No such file or directory", E_),
            (SITE_FILE, 23, 14, "must be https: the list's authenticity rests on TLS alone", E_),
            (LETTERS, 10, 5, "there is no file pipelines/letre.hl7", E_),
        ),
    ),
    Broken(
        "secrets and certificates that are not there",
        (
            (SITE_FILE, "data: var", "data: var\nsecret: {file: secrets/key}"),
            (SITE_FILE, "mode: plain", "tls: {ca: ca.pem, certificate: pipelines}"),
            (SITE_FILE, "port: 2675}", "port: 2675, tls: {ca: router.yaml, key_password: {env: SEGUR_NOT_SET}}}"),
        ),
        (
            (SITE_FILE, 3, 10, "secrets/key can't be read: No such file or directory", E_),
            (SITE_FILE, 20, 11, "ca.pem can't be read: No such file or directory", E_),
            (SITE_FILE, 20, 23, "pipelines is a folder, not a file", E_),
            (SITE_FILE, 21, 59, "router.yaml holds no certificate in PEM", E_),
            (SITE_FILE, 21, 91, "SEGUR_NOT_SET is not set in this environment", W),
        ),
    ),
    Broken(
        "YAML that ends in the middle",
        ((SITE_FILE, "admin: {port: 0}", "admin: {port: 0"),),
        ((SITE_FILE, 3, 8, "a bracket or a brace is not closed", E_),),
    ),
    Broken(
        "steps",
        ((LETTERS, "  - validate: {profile: cisis}", "  - validat: {}\n  - set: {A-1: x}\n    keep: true"),),
        (
            (LETTERS, 5, 5, "is not known here", E_),
            (LETTERS, 6, 11, "not an HL7 address: 'A-1' (write it like PID-3[INS].1)", E_),
            (LETTERS, 7, 5, "must be a text", E_),
        ),
    ),
    Broken(
        "tabs",
        ((RELAYED, "  - set: {MSH-4: CHU}", "\t- set: {MSH-4: CHU}"),),
        ((RELAYED, 4, 1, "a tab: YAML indents with blanks", E_),),
    ),
    Broken(
        "an empty pipeline",
        ((RELAYED, "", "\n"),),
        ((RELAYED, 1, 1, "is empty", E_),),
    ),
)
