"""Every citation of the repository leads to a heading that its reader can open. The grammar is in docs/sources.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[1]
FOLDERS: Final = ("router", "tests", "docs", "benchmarks", "pipelines", "schemas", "deploy")
ENDINGS: Final = frozenset({".py", ".md", ".yaml", ".yml", ".json", ".csv", ".hl7", ".toml", ".txt"})
PAGES: Final = ("docs/sources.md", "docs/decisions.md", "docs/architecture.md")
CONFORMANCE: Final = "docs/conformance.md"

#: Keys whose sections have a heading each. `{_SHEET}` is how the tables of rules write `hl7-input §2.2` in an f-string.
_OURS: Final = r"hl7-input|mssante|dmp|architecture|\{_SHEET\}"
#: Public documents with section numbers of their own: one heading for the document.
_NIST: Final = r"NIST SP 800-(?:38D|108)"
_PUBLIC: Final = rf"RFC \d+|{_NIST}|PAM-FR(?: 2\.\d+)?|IHE ITI TF-\d|(?:HL7 )?v2\.\d(?:\.\d)?|(?:Exclusive )?C14N 1\.0"
_PLACE: Final = r"§(?:\d+(?:\.\w+)*|[a-z]+(?:-[a-z]+)*)|appendix [A-Z]"
_LIST: Final = rf",? ?(?:(?:and|to|–) ?)?(?:{_PLACE})|–\d+(?:\.\d+)*"
_NAMED: Final = rf"(?: \([^()]*\))?(?:{_LIST})"  # what a section is about may stand between: `§6.6.1 (PID-3) and §6.14`
_SECTIONS: Final = re.compile(rf"(?<![\w/-])({_OURS}|{_PUBLIC})((?:{_NAMED})+)")
_ONE_PLACE: Final = re.compile(rf"{_PLACE}|(?<=–)\d+(?:\.\d+)*")

#: A number alone, not a part of a name or of an HL7 message.
_ALONE: Final = r"(?<![\w|^&~./$\\-]){}(?![\w|^&~$])"
_DECISION: Final = re.compile(_ALONE.format(r"(D\d{1,2})"))
#: Not the ends of a range (`R01–R39`), not a value in quotes.
_ROW: Final = re.compile(_ALONE.format(r"(?<![–…\"])(R\d{2,3}|E\d\d)(?!–|…)"))
_PROMISE: Final = re.compile(r"\b[Pp]romises? (\d+)")
_CASES: Final = re.compile(r"\b[Cc]ases? (\d+(?:(?:, | and | to )\d+)*)")
_DOCUMENT: Final = re.compile(
    rf"{_NIST}|"
    r"RFC \d{4}(?:, \d{4})*|PAM-FR|IHE ITI TF-\d|IHE DSG|C14N 1\.0|PDT-INF-\d+|EX_[A-Z0-9.]+-\d+"
    r"|ECO\.\d+\.\d+\.\d+(?:, \d+\.\d+\.\d+)*|annexe (?:[A-Z]\d+-\d+|INS)"
)
_NOT_HERE: Final = re.compile(
    r"\bDESIGN\b|\bPEERS\b|/work/|shared/spec|\bfact sheets?\b|\b(?:the|our|volet's|intake's) sheets?\b"
)
_LINK: Final = re.compile(r"\]\(([^()\s]+)\)")

_INVENTED: Final = frozenset({"R100", "R101"})
"""Rule numbers that tests make up: the table ends before them, and must take them one day."""


def texts() -> Iterator[tuple[str, str]]:
    """(path, text) of every file that may cite; lines of one comment or sentence are joined."""
    paths = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "router.yaml")]
    for folder in FOLDERS:
        paths += sorted((ROOT / folder).rglob("*"))
    for path in paths:
        if path.suffix in ENDINGS and path.is_file() and path != Path(__file__):
            yield path.relative_to(ROOT).as_posix(), joined(path.read_text(encoding="utf-8", errors="replace"))


def joined(text: str) -> str:
    """One line for the whole text; the cases of a `match` statement, which cite nothing, are left out."""
    text = re.sub(r"(?m)^ *case .*:$", "", text)
    return re.sub(r"\s*\n\s*(?:#:? )?", " ", text)


def citations(text: str) -> Iterator[str]:
    """What a text cites, each in the form of the heading that it needs; `§…` alone for a section without its key."""
    for key, places in _SECTIONS.findall(text):
        for place in _ONE_PLACE.findall(places):
            if re.fullmatch(_OURS, key):
                yield f"{key} {place if place[0] in '§a' else f'§{place}'}".replace("{_SHEET}", "hl7-input")
        if key.startswith(("HL7", "v2")):
            yield "HL7 v2"
    yield from re.findall(r"§\s?[\w.-]*", _SECTIONS.sub("", text))
    yield from (f"{number}." for number in _DECISION.findall(text))
    yield from _ROW.findall(text)
    yield from (f"Promise {number}." for number in _PROMISE.findall(text))
    for numbers in _CASES.findall(text):
        yield from (f"case {number}" for number in re.findall(r"\d+", numbers))
    for found in _DOCUMENT.findall(text):
        yield from documents(found)


def documents(found: str) -> Iterator[str]:
    """The headings of one public document, or of a list: `RFC 3464, 6522` and `ECO.2.1.3, 2.1.6` are two each."""
    first, *others = found.split(", ")
    prefix = re.match(r"RFC |ECO\.", first)
    yield "C14N" if first.startswith("C14N") else first
    yield from (f"{prefix[0] if prefix else ''}{other}" for other in others)


@cache
def headings() -> frozenset[str]:
    """Every beginning of a heading that a citation may name, and the rows of the conformance page."""
    found: set[str] = set()
    for page in PAGES:
        for title in re.findall(r"(?m)^#{1,4} (.+)$", (ROOT / page).read_text(encoding="utf-8")):
            words = title.split()
            found |= {" ".join(words[:count]) for count in range(1, len(words) + 1)}
            if page.endswith("architecture.md"):
                found.add(f"architecture §{anchor(title)}")
    return frozenset(found | set(re.findall(r"(?m)^\| ([RE]\d+) \|", (ROOT / CONFORMANCE).read_text(encoding="utf-8"))))


def anchor(title: str) -> str:
    """The name by which GitHub links to a heading."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def lost(path: str, text: str) -> list[str]:
    """Citations that lead nowhere. Only the page of the sources may name sections of documents without their key."""
    named = set(citations(text)) - headings() - _INVENTED
    return sorted(cited for cited in named if not (path == PAGES[0] and cited.startswith("§")))


def test_every_citation_leads_to_a_heading() -> None:
    """A key, a decision, a rule, a promise or a public document that is cited has its heading or its row."""
    missing = {path: found for path, text in texts() if (found := lost(path, text))}
    assert not missing, "\n".join(f"{path}: {', '.join(found)}" for path, found in missing.items())


def test_no_file_names_a_document_that_is_not_here() -> None:
    """No comment and no page sends its reader to a text that is not in the repository."""
    named = {path: sorted(found) for path, text in texts() if (found := set(_NOT_HERE.findall(text)))}
    assert not named


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "(hl7-input §2.2, §7.3, E08; dmp §1.5–1.9)",
            {"hl7-input §2.2", "hl7-input §7.3", "E08", "dmp §1.5", "dmp §1.9"},
        ),
        ("(mssante §8.3 to §8.5; cases 21 to 23)", {"mssante §8.3", "mssante §8.5", "case 21", "case 23"}),
        ("PAM-FR 2.11 §6.6.1 (PID-3) and §6.6.15 (PID-32); decisions D2, D3", {"PAM-FR", "D2.", "D3."}),
        ("hl7-input, appendix A; dmp §3, appendix B", {"hl7-input appendix A", "dmp §3", "dmp appendix B"}),
        ("RFC 3464, 6522; ECO.2.1.3, 2.1.6", {"RFC 3464", "RFC 6522", "ECO.2.1.3", "ECO.2.1.6"}),
        ("dmp §1.4,\n    #: §2.5 (promise 6)", {"dmp §1.4", "dmp §2.5", "Promise 6."}),
        ('f"{_SHEET}, §7.5"', {"hl7-input §7.5"}),
        ("8 MB (architecture §budgets), HL7 v2.5 §2.A.33", {"architecture §budgets", "HL7 v2"}),
        ("compared as \N{SECTION SIGN}5.3 says", {"§5.3"}),
        ("MSH|^~\\&|D1|P|E02^R99", set()),
    ],
)
def test_the_grammar_reads_lists_and_ranges(text: str, found: set[str]) -> None:
    """Lists, ranges, lines that are broken, and sections without a key."""
    assert set(citations(joined(text))) == found


def test_a_citation_without_heading_is_found() -> None:
    """An unknown section, decision, row, case, promise, document or word is each told."""
    text = "hl7-input §99.9; decisions D99; E99; case 99; promise 99; RFC 9999; architecture §nowhere; dmp appendix Z"
    assert len(lost("router/x.py", f"{text}; §1.2")) == 9


def test_every_link_of_a_page_leads_somewhere() -> None:
    """A relative link names a file of the repository, and a heading of it when it has an anchor."""
    broken = []
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "benchmarks").glob("*.md")]:
        for link in _LINK.findall(page.read_text(encoding="utf-8")):
            name, _, wanted = link.partition("#")
            target = page.parent / name if name else page
            if "://" in link or link.startswith("mailto:"):
                continue
            if not target.exists() or (wanted and wanted not in anchors(target)):
                broken.append(f"{page.relative_to(ROOT)}: {link}")
    assert not broken


def anchors(page: Path) -> set[str]:
    return {anchor(title) for title in re.findall(r"(?m)^#{1,6} (.+)$", page.read_text(encoding="utf-8"))}
