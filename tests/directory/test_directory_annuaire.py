"""The annuaire: import of the extraction, and finding mailboxes without guessing (mssante §4.2, §5.2; cases 17, 18)."""

from __future__ import annotations

import sqlite3
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from router.contracts import SystemClock, Unobserved
from router.directory.annuaire import Annuaire
from router.directory.directory import Directory
from router.directory.extraction import COLUMNS, HEADER, Progress
from router.directory.settings import DirectoryConfig
from router.errors import Invalid, Unavailable
from router.exchange import Event, Exchange
from router.locks import FileLock
from router.request import Professional, Recipient, RecipientKind, Structure
from router.steps.look_up import LookUp, LookUpStep
from tests.sinks.mssante_samples import DOCTOR, doctor, liste, patient, request

RPPS = "10003456789"
FULL_HEADER = "|".join([*HEADER, *(f"c{number}" for number in range(len(HEADER), COLUMNS))])


def line(
    address: str, *, rpps: str = RPPS, structure: str = "", kind: str = "PER", demat: str = "", person: str = "8"
) -> str:
    cells = [""] * COLUMNS
    cells[0], cells[1], cells[2], cells[3], cells[6], cells[17] = kind, address, person, rpps, structure, demat
    return "|".join(cells)


def extraction(folder: Path, lines: Iterable[str], header: str = FULL_HEADER) -> Path:
    path = folder / "extraction.txt"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def zipped(path: Path) -> Path:
    made = path.with_suffix(".zip")
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, "Extraction_Correspondance_MSSante_202611230400.txt")
    return made


def opened(folder: Path, lines: Iterable[str] = (), **settings: Any) -> Directory:
    """A directory with these lines and a liste blanche of one domain."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "liste.xml").write_text(liste("medecin.mssante.fr", "chu.mssante.fr"))
    config = DirectoryConfig.model_validate(
        {"liste_blanche": {"source": str(folder / "liste.xml"), "minimum": 1}, "annuaire": {"minimum": 0}, **settings}
    )
    made = Directory(config, folder / "kept", clock=SystemClock(), observer=Unobserved())
    made.liste_blanche.refresh()
    made.annuaire.load(extraction(folder, lines))
    return made


def person(rpps: str = f"8{RPPS}", finess: str = "") -> Recipient:
    structure = Structure(id=f"1{finess}", finess=finess) if finess else None
    return doctor("", address_received="", person=Professional(id=rpps), structure=structure)


def resolved(directory: Directory, *recipients: Recipient, **step: Any) -> Exchange:
    exchange = Exchange(Event("e", "sil", "k", b""), request=request((), recipients=recipients))
    return LookUp(LookUpStep(**step), directory)(exchange)


def addresses(exchange: Exchange) -> list[str]:
    return [recipient.address for recipient in exchange.asked().recipients]


def test_a_zip_or_a_text_gives_the_same_annuaire(tmp_path: Path) -> None:
    """Streamed into a new database, then swapped."""
    path = extraction(tmp_path, [line("A.B@medecin.mssante.fr", structure="1750100125")])
    for number, source in enumerate((path, zipped(path))):
        annuaire = Annuaire(tmp_path / str(number), minimum=0)
        assert annuaire.load(source).lines == 1
        (box,) = annuaire.mailboxes(rpps=RPPS)
        assert (box.address, box.structure) == ("a.b@medecin.mssante.fr", "750100125")
        assert annuaire.mailboxes(finess="750100125") == (box,)


@pytest.mark.parametrize(
    ("lines", "header"),
    [
        ([line("a@b.fr")] * 10, "Autre|Colonnes"),
        ([line("a@b.fr")] * 4, FULL_HEADER),
        ([*[line("a@b.fr")] * 10, "a|b|c"], FULL_HEADER),
    ],
    ids=["other columns", "less than half", "malformed lines"],
)
def test_an_extraction_that_is_not_believable_changes_nothing(tmp_path: Path, lines: list[str], header: str) -> None:
    """The one in use stays, no draft is left behind."""
    annuaire = Annuaire(tmp_path / "kept", minimum=0)
    annuaire.load(extraction(tmp_path, [line(f"a{number}@b.fr") for number in range(10)]))
    with pytest.raises(Invalid):
        annuaire.load(extraction(tmp_path, lines, header))
    assert len(annuaire) == 10
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["annuaire.sqlite"]


def test_an_extraction_in_another_charset_is_refused(tmp_path: Path) -> None:
    """Invalid, not a crash."""
    path = extraction(tmp_path, [line("a@b.fr")])
    path.write_bytes(path.read_bytes() + "é|".encode("latin-1"))
    with pytest.raises(Invalid) as caught:
        Annuaire(tmp_path / "kept", minimum=0).load(path)
    assert caught.value.code == "ANNUAIRE-UTF8"


@pytest.mark.parametrize("packed", [False, True], ids=["text", "zip"])
@pytest.mark.parametrize("share", [0.55, 0.9, 0.999])
def test_half_a_file_is_refused_wherever_it_was_cut(tmp_path: Path, packed: bool, share: float) -> None:
    """The last good copy stays in use, also when more than half of the lines came."""
    annuaire = Annuaire(tmp_path / "kept", minimum=0)
    path = extraction(tmp_path, [line(f"a{number}@b.fr") for number in range(500)])
    annuaire.load(path)
    path = zipped(path) if packed else path
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(Invalid) as caught:
        annuaire.load(path)
    assert caught.value.code in (("ANNUAIRE-ZIP",) if packed else ("ANNUAIRE-CUT", "ANNUAIRE-SHORT"))
    assert len(annuaire) == 500


def test_the_report_says_what_an_import_changed(tmp_path: Path) -> None:
    """Addresses that are new, that are gone, that have another holder; lines that repeat; the copy before is kept."""
    annuaire = Annuaire(tmp_path / "kept", minimum=0)
    first = annuaire.load(extraction(tmp_path, [line("a@b.fr"), line("b@b.fr"), line("b@b.fr"), line("c@b.fr")]))
    assert (first.lines, first.duplicates, first.added) == (4, 1, None)
    second = annuaire.load(extraction(tmp_path, [line("a@b.fr"), line("b@b.fr", rpps="10000000001"), line("d@c.fr")]))
    assert (second.added, second.removed, second.moved) == (1, 1, 1)
    assert second.domains == {"b.fr", "c.fr"}
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {"annuaire.sqlite", "annuaire.previous"}


def test_progress_ends_with_the_whole_file(tmp_path: Path) -> None:
    """(read, in all), for a bar."""
    path = extraction(tmp_path, [line(f"a{number}@b.fr") for number in range(20_000)])
    for source in (path, zipped(path)):
        told: list[tuple[int, int]] = []
        Annuaire(tmp_path / "kept", minimum=0).load(source, _into(told))
        assert len(told) > 1 and told[-1] == (path.stat().st_size,) * 2


def _into(told: list[tuple[int, int]]) -> Progress:
    return lambda read, size: told.append((read, size))


def test_an_extraction_that_lost_a_fifth_waits_for_a_person(tmp_path: Path) -> None:
    """A file that was cut between two lines; the person who knows better says so."""
    annuaire = Annuaire(tmp_path / "kept", minimum=0)
    lines = [line(f"a{number}@b.fr") for number in range(100)]
    annuaire.load(extraction(tmp_path, lines))
    with pytest.raises(Invalid):
        annuaire.load(extraction(tmp_path, lines[:79]))
    assert annuaire.load(extraction(tmp_path, lines[:79]), fewer=True).lines == 79
    assert annuaire.load(extraction(tmp_path, lines[:64])).lines == 64


def test_one_process_imports_and_the_others_use_it(tmp_path: Path) -> None:
    """While one is at it the others go on with what is in use; a person who asks is told."""
    made = opened(tmp_path, [line("a@b.fr")], annuaire={"minimum": 0, "extraction": str(tmp_path / "extraction.txt")})
    extraction(tmp_path, [line("a@b.fr"), line("c@b.fr")])
    lock = FileLock(tmp_path / "kept" / "extraction.lock")
    assert lock.try_take()
    made.refresh()
    with pytest.raises(Unavailable, match="ANNUAIRE-BUSY"):
        made.fetch()
    assert len(made.annuaire) == 1
    lock.release()
    assert made.fetch() is not None and len(made.annuaire) == 2


def test_before_the_first_import_nobody_can_say_that_nobody_is_there(tmp_path: Path) -> None:
    """A site that names an extraction waits for it; a store of an older version waits for the next import."""
    expected = Annuaire(tmp_path, minimum=0, expected=True)
    with pytest.raises(Unavailable):
        expected.mailboxes(rpps=RPPS)
    with sqlite3.connect(tmp_path / "annuaire.sqlite") as old:
        old.execute("CREATE TABLE bal (address TEXT)")
    old.close()
    unread = Annuaire(tmp_path, minimum=0)
    with pytest.raises(Unavailable):
        unread.mailboxes(rpps=RPPS)
    assert unread.age(0) is None
    (tmp_path / "annuaire.sqlite").write_bytes(b"not a database at all, for sure" * 100)
    with pytest.raises(Unavailable):
        Annuaire(tmp_path, minimum=0).mailboxes(rpps=RPPS)


def test_a_swap_is_seen_by_a_reader_that_was_open(tmp_path: Path) -> None:
    """Look-ups go on through an import."""
    annuaire = Annuaire(tmp_path / "kept", minimum=0)
    annuaire.load(extraction(tmp_path, [line("a@b.fr")]))
    assert annuaire.mailboxes(rpps=RPPS)[0].address == "a@b.fr"
    annuaire.load(extraction(tmp_path, [line("c@d.fr")]))
    assert annuaire.mailboxes(rpps=RPPS)[0].address == "c@d.fr"


def test_one_mailbox_is_chosen_and_the_choice_is_told(tmp_path: Path) -> None:
    """Case 17: one mailbox listed twice is one; IDNPS and RPPS are the same person."""
    directory = opened(tmp_path, [line("dr@medecin.mssante.fr"), line("dr@medecin.mssante.fr", structure="750100125")])
    for number in (RPPS, f"8{RPPS}"):
        exchange = resolved(directory, person(number))
        assert addresses(exchange) == ["dr@medecin.mssante.fr"]
        (decision,) = exchange.decisions
        assert (decision.step, decision.code) == ("look_up", "") and "dr@" not in decision.text


def test_two_mailboxes_are_not_guessed_between(tmp_path: Path) -> None:
    """Case 17: refused 510, unless the structure tells which."""
    directory = opened(
        tmp_path,
        [line("a@medecin.mssante.fr", structure="111111111"), line("b@medecin.mssante.fr", structure="222222222")],
    )
    refused = resolved(directory, person()).asked().recipients[0]
    assert (refused.address, refused.refusal) == ("", ("510", "2 boîtes aux lettres pour ce RPPS"))
    assert addresses(resolved(directory, person(finess="222222222"))) == ["b@medecin.mssante.fr"]
    assert addresses(resolved(directory, person(), ambiguous="toutes")) == [
        "a@medecin.mssante.fr",
        "b@medecin.mssante.fr",
    ]


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [line("dr@hors-liste.fr")],
        [line("dr@medecin.mssante.fr", kind="ORG")],
        [line("dr@medecin.mssante.fr", demat="N")],
        [line("dr@medecin.mssante.fr", person="0")],
    ],
    ids=["unknown", "not in the liste blanche", "not personal", "refuses dematerialisation", "not a RPPS"],
)
def test_a_mailbox_that_may_not_be_used_is_no_mailbox(tmp_path: Path, lines: list[str]) -> None:
    """Case 17: red-listed or unknown, refused 510."""
    refusal = resolved(opened(tmp_path, lines), person()).asked().recipients[0].refusal
    assert refusal is not None and refusal[0] == "510"


def test_an_address_that_came_with_the_message_is_never_replaced(tmp_path: Path) -> None:
    """D5: even if the annuaire shows another one."""
    directory = opened(tmp_path, [line("autre@medecin.mssante.fr")])
    exchange = resolved(directory, doctor(person=Professional(id=f"8{RPPS}")))
    assert addresses(exchange) == [DOCTOR] and not exchange.decisions


def test_services_and_applications_come_from_the_sites_table_only(tmp_path: Path) -> None:
    """Case 18: a UF by its owner and number, an application by its name; never by a text."""
    table = [
        {"address": "uro@chu.mssante.fr", "structure": "120456789", "kind": "UF", "number": "3435"},
        {"address": "app@chu.mssante.fr", "application": "12"},
    ]
    directory = opened(tmp_path, [line("x@chu.mssante.fr", kind="ORG", structure="120456789")], mailboxes=table)
    unit = Structure(id="3435", name="Service d'urologie", kind="UF", finess="120456789")
    given = [
        doctor("", kind=RecipientKind.ORGANISATION, structure=unit, owner="120456789"),
        doctor(
            "", kind=RecipientKind.ORGANISATION, structure=unit.model_copy(update={"id": "9999"}), owner="120456789"
        ),
        doctor("", kind=RecipientKind.APPLICATION, application="12"),
        doctor("", kind=RecipientKind.APPLICATION, application="13"),
    ]
    exchange = resolved(directory, *given)
    assert addresses(exchange) == ["uro@chu.mssante.fr", "", "app@chu.mssante.fr", ""]
    assert [bool(recipient.refusal) for recipient in exchange.asked().recipients] == [False, True, False, True]


def test_the_mailbox_of_a_hospital_is_not_that_of_its_services(tmp_path: Path) -> None:
    """hl7-input §4.2: a letter for a UF that has no line of its own goes to nobody, not to the reception."""
    hall = {"address": "accueil@chu.mssante.fr", "structure": "120456789"}
    directory = opened(tmp_path, mailboxes=[hall])
    hospital = Structure(id="1120456789", finess="120456789")
    unit = Structure(id="3435", name="Service d'urologie", kind="UF", finess="120456789")
    given = [doctor("", kind=RecipientKind.ORGANISATION, structure=one, owner="") for one in (unit, hospital)]
    assert addresses(resolved(directory, *given)) == ["", "accueil@chu.mssante.fr"]
    uro = {"address": "uro@chu.mssante.fr", "structure": "120456789", "kind": "UF", "number": "3435"}
    directory = opened(tmp_path, mailboxes=[hall, uro])
    assert addresses(resolved(directory, given[0])) == ["uro@chu.mssante.fr"]


def test_a_patients_mailbox_is_built_on_a_qualified_ins_only(tmp_path: Path) -> None:
    """ECO.2.2.6."""
    directory = opened(tmp_path)
    asked = doctor("", kind=RecipientKind.PATIENT)
    assert addresses(resolved(directory, asked)) == ["279035121518989@patient.mssante.fr"]
    exchange = Exchange(
        Event("e", "s", "k", b""), request=request((), recipients=(asked,), patient=patient(qualified=False))
    )
    assert LookUp(LookUpStep(), directory)(exchange).asked().recipients[0].refusal is not None
