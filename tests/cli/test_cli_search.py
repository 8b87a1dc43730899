"""`search` as the person who gets the phone call uses it: a doctor, a morning, a name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from router.cisis import ins, patient_search
from router.cli import periods
from router.config.site import Site
from router.exchange import Disposition, JournalEntry, State
from router.french_time import PARIS
from router.runtime.site_services import SiteServices
from tests.cli.cli import Said, command
from tests.journal.journal_samples import START, decided, receipt, received, whole

SITE = """\
environment: qualification
data: var
feeds: {sil: {kind: relay, mllp: {port: 2575}}}
sinks: {hl7.sil: {type: hl7, host: 127.0.0.1, port: 2675}}
structures: {"750000018": {name: CHU, source_oid: 1.2.3, ipp_oid: 1.2.250.1.9}}
"""
INS = "1870159123456" + ins.key_of("1870159123456")
MAILBOX = f"{INS}@patient.mssante.fr"
AT = datetime(2026, 10, 25, 2, 30, tzinfo=PARIS).timestamp()
"""In the hour that comes twice: the first of the two."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One message to Dr Hoda and to a patient, of which the mail to the doctor failed; another one that was refused."""
    path = tmp_path_factory.mktemp("search") / "router.yaml"
    path.write_text(SITE)
    services = SiteServices(Site(path))
    secret = services.pseudonyms
    names = patient_search.name_pseudonyms(secret, ["Dupont-Ménard"], ["Marie Anne"], "19500131")
    who = (secret.of("ins", INS), secret.of("ipp", "1.2.250.1.9", "000123"), *names)
    entries, receipts = whole()
    first = replace(
        entries[0], patients=who, document_type="11502-2", structures=("750000018",),
        recipients=(("adam.hoda@x.mssante.fr", "810001234567", "HODA Adam"),),
    )  # fmt: skip
    failed = receipt(2, START + 50, ok=False, disposition=Disposition.DEAD_LETTERED, state=State.DEAD, code="MSS-552")
    refused = JournalEntry(event_id="r" * 64, kind="refused", at=AT, feed="sil", ack="AE", code="R45", control_id="X1")
    services.journal.write([first, *entries[1:], refused], [*receipts, failed])
    services.close()
    yield path


def _search(site: Path, *words: str, language: str = "en") -> Said:
    return command("search", *words, "--site", str(site), "--lang", language)


@pytest.mark.parametrize(
    "words",
    [
        ("--recipient", "Adam.Hoda@x.mssante.fr"),
        ("--recipient", "10001234567", "--outcome", "failed"),
        ("--recipient", "Hoda", "--type", "11502-2", "--code", "MSS-552", "--feed", "sil"),
        ("--structure", "750000018", "--sender", "labo", "--pipeline", "biologie"),
        ("--patient", INS),
        ("--patient", " ".join((INS[0], INS[1:3], INS[3:5], INS[5:7], INS[7:10], INS[10:13], INS[13:]))),
        ("--patient", INS[:13]),
        ("--patient", MAILBOX),
        ("--recipient", MAILBOX),
        ("--patient", "000123"),
        ("--patient", "000123^^^&1.2.250.1.9&ISO"),
        ("--patient", "dupont menard marie-anne 31/01/1950"),
        ("--patient", "1950-01-31 Marie DUPONT MENARD"),
        ("--patient", "Dupont-Ménard 19500131"),
        ("--since", "14/11/2023", "--until", "15/11/2023"),
    ],
)
def test_every_way_to_ask_leads_to_the_message(site: Path, words: tuple[str, ...]) -> None:
    """Recipient, structure, patient, type, period: each alone or together finds the one message, and tells its end."""
    said = _search(site, *words)
    assert said.code == 0, said.err
    assert "MSG0001" in said.out
    assert "X1" not in said.out
    assert "failed  MSS-552 mssante.chu (adam.hoda@x.mssante.fr)" in said.out
    assert "delivered  dmp.chu (DMP)" in said.out
    assert "segur-router explain " in said.out


def test_nothing_found_is_a_bad_answer(site: Path) -> None:
    """One sentence, code 1: also for what looks like SQL, a wildcard or an order to the terminal."""
    for asked in ("nobody@x.mssante.fr", "%", "' OR 1=1 --", "\x1b[2Jhoda", "h_da"):
        said = _search(site, "--recipient", asked)
        assert (said.code in (1, 2), said.out) == (True, ""), said.out
        assert "\x1b" not in said.err
    assert _search(site, "--patient", "DUPONT Marie 01/02/1950").code == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--outcome", "lost"), "delivered, failed, waiting"),
        (("--structure", "75"), "nine characters"),
        (("--recipient", "a@b"), "an RPPS of 11 digits"),
        (("--feed", "ailleurs"), "no such feed: ailleurs (one of sil)"),
        (("--sink", "ailleurs"), "no such sink"),
        (("--patient", " "), "a patient is an INS"),
        (("--patient", "DUPONT Marie"), "the birth date is missing"),
        (("--patient", "DUPONT 1950"), "the birth date is missing"),
        (("--patient", "D'Almeida"), "the birth date is missing"),
        (("--since", "demain"), "is no time: write today"),
        (("--since", "31/02/2026"), "is no time"),
        (("--since", "99999999999999d"), "is no time"),
        (("--since", "today", "--until", "yesterday"), "nothing lies between"),
    ],
)
def test_what_can_not_be_meant_is_answered_with_the_forms_that_can(
    site: Path, words: tuple[str, ...], told: str
) -> None:
    """Code 2, one sentence, nothing is shown."""
    said = _search(site, *words)
    assert (said.code, said.out) == (2, "")
    assert told in " ".join(said.err.split())


def test_the_screen_is_french_too(site: Path) -> None:
    """Outcomes and sentences in the operator's language."""
    page = _search(site, "--recipient", "hoda", language="fr").out
    assert "en échec  MSS-552" in page
    assert "1 message" in page


def test_the_hour_that_comes_twice_shows_its_offset(site: Path) -> None:
    """The night of the change of hour: both are told apart."""
    assert "25/10/2026 02:30:00 +0200  X1" in _search(site, "--outcome", "refused").out


def test_programs_read_json(site: Path) -> None:
    """The same as values, without any identity."""
    said = _search(site, "--patient", INS, "--json")
    (found,) = said.json["events"]
    assert (found["event"]["control_id"], said.json["complete"]) == ("MSG0001", True)
    assert INS not in said.out


def test_a_long_list_says_that_there_is_more(site: Path) -> None:
    """The newest first, and how to see the others."""
    said = _search(site, "--limit", "1")
    assert "X1" in said.out
    assert "there are more: --limit" in said.out


def test_days_are_those_of_france() -> None:
    """`today` begins at midnight in Paris, a day of the change has 25 hours, a day as `--until` counts whole."""
    now = datetime(2026, 10, 25, 12, tzinfo=PARIS).timestamp()
    first, end = periods.period("today", "today", now)
    assert first is not None
    assert end is not None
    assert (first, end - first) == (datetime(2026, 10, 24, 22, tzinfo=UTC).timestamp(), 25 * 3600)
    assert periods.period("hier", "hier", now) == (first - 86_400, first)
    assert periods.since("2h", now) == now - 7200
    assert periods.since("25/10/2026 11:00", now) == periods.since("2026-10-25T11:00", now) == now - 3600
    assert periods.since("2026-10-25T10:00:00Z", now) == now - 3600


def test_explain_tells_the_forms_and_takes_a_patient(site: Path) -> None:
    """An unknown id is answered with what an id may be; a patient by name; a feed and a period narrow."""
    unknown = command("explain", "00000000", "--site", str(site), "--lang", "en")
    assert unknown.code == 1
    assert "an MSH-10" in unknown.err
    for words in ((MAILBOX,), ("--patient", "DUPONT MENARD Marie 31/01/1950"), ("MSG0001", "--until", "15/11/2023")):
        assert "MSG0001" in command("explain", *words, "--site", str(site)).out
    assert command("explain", "MSG0001", "--site", str(site), "--since", "today").code == 1


@pytest.mark.parametrize("words", [("explain", "--patient"), ("dlq", "ls", "--patient"), ("search", "--patient")])
def test_names_without_a_birth_date_are_not_searched(site: Path, words: tuple[str, ...]) -> None:
    """The sentence tells the forms, and no search stands in the audit: "nothing" would be false."""
    before = command("audit", "ls", "--action", "searched", "--site", str(site), "--json").json
    said = command(*words, "DUPONT 1950", "--site", str(site), "--lang", "fr")
    assert said.code == 2 and "la date de naissance manque" in said.err and "31/01/1950" in said.err
    assert command("audit", "ls", "--action", "searched", "--site", str(site), "--json").json == before


@pytest.mark.parametrize("word", ["échec", "En échec", "ECHEC", "failed"])
def test_an_outcome_is_understood_in_french(site: Path, word: str) -> None:
    """As the French screens say it, with or without accents."""
    assert "MSG0001" in _search(site, "--outcome", word).out


def test_a_reply_of_the_operator_is_found_without_its_prefix(site: Path) -> None:
    """`552` is MSS-552, and so are the reply with its status and the status alone; `--cause` is the same option."""
    for words in (("--code", "552"), ("--cause", "552"), ("--code", "5.2.2"), ("--code", "552 5.2.2")):
        assert "MSG0001" in _search(site, *words).out, words
    assert "MSG0001" in _search(site, "--code", "mss-552").out
    for wrong in ("mailbox full", "45", "5.9.9"):
        said = _search(site, "--code", wrong)
        assert (said.code, "a code is one such as MSS-552" in said.err) == (2, True), wrong


@pytest.mark.parametrize("name", ["dalmeida", "Dr Dalmeida", "marieange dalmeida", "D'Almeida", "d almeida marie-ange"])
def test_a_recipient_is_found_however_his_name_is_joined(site: Path, name: str) -> None:
    """Apostrophe, hyphen and a title make no difference."""
    services = SiteServices(Site(site))
    try:
        mail = (("m.a@x.mssante.fr", "", "D’ALMEIDA Marie-Ange"),)
        services.journal.write([replace(received("a" * 64, control_id="ALM1"), recipients=mail)], [])
    finally:
        services.close()
    assert "ALM1" in _search(site, "--recipient", name).out


def test_no_identity_stands_in_the_journal(site: Path) -> None:
    """Neither the INS nor the mailbox that carries it, in any file of the journal."""
    services = SiteServices(Site(site))
    try:
        to_patient = replace(received("p" * 64, control_id="P1"), recipients=((MAILBOX, "", "DUPONT Marie"),))
        services.journal.write([to_patient, decided("p" * 64)], [])
    finally:
        services.close()
    # What the writers of lines must leave out, the terms leave out once more.
    assert _search(site, "--recipient", "patient.mssante.fr").code == 1
