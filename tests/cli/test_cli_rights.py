"""Every command, and the role it asks of the account that gives it: a command that is new has its line here."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from router.access.person import Role
from router.config.account import account
from router.config.site import Site
from router.contracts.keeping import Kept, Kind
from router.runtime.site_services import SiteServices
from tests.cli.cli import Said, command
from tests.cli.test_cli_printable import _commands, write

EVENT, DELIVERY, ITEM = "e" * 64, "d" * 32, "ITEM"
HERE, ELSEWHERE = "750000018", "690000027"
ADMIN, OPERATOR, READER = Role.ADMINISTRATOR, Role.OPERATOR, Role.READER

#: Command -> (role, whether in the structure of the thing rather than in all, what else is typed).
ASKS: dict[str, tuple[Role, bool, list[str]]] = {
    "access add": (ADMIN, False, ["n", "--right", "*=reader", "--stdin"]),
    "access rights": (ADMIN, False, ["n", "--right", "*=reader"]),
    "access password": (ADMIN, False, ["n", "--stdin"]),
    "access totp": (ADMIN, False, ["n"]),
    "access lock": (ADMIN, False, ["n"]),
    "access unlock": (ADMIN, False, ["n"]),
    "access remove": (ADMIN, False, ["n", "--yes"]),
    "token create": (ADMIN, False, ["n", "--scope", "api:read", "--right", "*=reader"]),
    "token revoke": (ADMIN, False, ["n"]),
    "keys rotate": (ADMIN, False, []),
    "archive purge": (ADMIN, False, []),
    "archive read": (OPERATOR, True, [ITEM, "--reason", "appel", "--to", "FILE"]),
    "audit ls": (ADMIN, True, []),
    "audit export": (ADMIN, True, []),
    "audit verify": (ADMIN, False, ["--accept", "--reason", "restauration", "--yes"]),
    "traces export": (ADMIN, False, []),
    "dlq show": (READER, True, [DELIVERY, "--content", "--reason", "appel"]),
    "dlq replay": (OPERATOR, True, [DELIVERY, "--dry-run"]),
    "dlq discard": (OPERATOR, True, [DELIVERY, "--reason", "essai", "--dry-run"]),
    "dlq take-back": (OPERATOR, True, [DELIVERY, "--reason", "essai", "--dry-run"]),
    "withdraw": (ADMIN, True, ["1.2.3", "--reason", "erreur", "--yes"]),
    "register rebuild": (ADMIN, False, ["--yes"]),
    "directory import": (ADMIN, False, ["FILE.txt"]),
    "topics apply": (ADMIN, False, []),
    "topics migrate": (ADMIN, False, ["in.sil"]),
}
#: What asks no role, and why.
ASKS_NOTHING: dict[str, frozenset[str]] = {
    "shows states, codes and ids; no content and no identity": frozenset(
        {"status", "doctor", "explain", "search", "dlq ls", "impact", "diff", "archive show", "archive verify",
         "keys status", "access ls", "token ls", "topics plan", "directory find", "directory explain",
         "directory check"}
    ),
    "touches no site, or only files that are named": frozenset(
        {"init", "demo", "version", "reference", "check", "test", "try", "send", "cisis rules", "cda audit",
         "valuesets import", "cisis value-sets list", "cisis value-sets update", "wait-for ready",
         "wait-for pipelines", "simulate dmp", "simulate mssante", "simulate annuaire", "simulate endpoint",
         "simulate idp", "simulate sender", "simulate site"}
    ),
    "a service of the machine gives it: the router, a timer, a job of an upgrade, an empty data folder": frozenset(
        {"run", "console", "backup", "restore", "ledger migrate", "directory refresh"}
    ),
}  # fmt: skip
NOT_GRANTED = "may not"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site with one dead letter of a structure, and what was kept of it; what is refused changes nothing."""
    path = write(tmp_path_factory.mktemp("rights"))
    (path.parent / "FILE.txt").touch()
    with closing(SiteServices(Site(path))) as services:
        assert services.archive is not None and not services.audit.head().number
        kept = Kept(delivery_id=DELIVERY, event_id=EVENT, kind=Kind.ZAM, parts=(b"MSH|",))
        services.archive.write([(kept, kept.digest())])
    with closing(sqlite3.connect(path.parent / "var" / "journal.db")) as db:
        db.execute("UPDATE journal_events SET structure=?", (HERE,))
        db.commit()
    return path


def granted(site: Path, right: dict[str, str] | None) -> None:
    """The site file names this account with these rights; None: it names another one alone."""
    text = site.read_text().split("operators:")[0]
    held = {account() if right is not None else "somebody": right or {"*": "administrator"}}
    site.write_text(f"{text}operators: {json.dumps({'accounts': held})}\n")


def given(site: Path, name: str, words: list[str]) -> Said:
    """The command, on files of this folder."""
    folder = site.parent
    (folder / "FILE").unlink(missing_ok=True)
    with closing(sqlite3.connect(folder / "var" / "archive.db")) as db:
        ((item,),) = db.execute("SELECT id FROM archive_items WHERE kind='zam'")
    named = {ITEM: item, "FILE": str(folder / "FILE"), "FILE.txt": str(folder / "FILE.txt")}
    return command(*name.split(), *(named.get(word, word) for word in words), "--site", str(site))


def refusals(site: Path) -> int:
    with closing(sqlite3.connect(site.parent / "var" / "audit.db")) as db:
        ((count,),) = db.execute("SELECT count(*) FROM audit_rows WHERE refused")
        return int(count)


def test_every_command_says_what_it_asks() -> None:
    """A command without a line in one of the tables is one whose role nobody has thought of."""
    nothing = [name for names in ASKS_NOTHING.values() for name in names]
    assert sorted([*ASKS, *nothing]) == sorted(_commands())


@pytest.mark.parametrize("name", ASKS)
def test_a_command_is_refused_to_who_lacks_its_role(name: str, site: Path) -> None:
    """To an account that has the role below, or has it elsewhere; each refusal is audited, and nothing is done."""
    role, owned, words = ASKS[name]
    below = {"*": Role(role - 1).name.lower()} if role > READER else None
    part = role is ADMIN and owned  # an administrator of another structure reads its part of the audit: see below
    for right in [below, *([] if part else [{ELSEWHERE: role.name.lower()}])]:
        granted(site, right)
        before = refusals(site)
        said = given(site, name, words)
        assert (said.code, NOT_GRANTED in said.err) == (2, True), (right, said)
        assert refusals(site) == before + 1
        assert not (site.parent / "FILE").exists()


@pytest.mark.parametrize("name", [name for name in ASKS if name.split()[0] not in ("access", "token")])
def test_a_command_is_given_by_who_has_its_role(name: str, site: Path) -> None:
    """In the structure that the thing belongs to, where it belongs to one."""
    role, owned, words = ASKS[name]
    granted(site, {HERE if owned and name != "withdraw" else "*": role.name.lower()})
    assert NOT_GRANTED not in given(site, name, words).err


@pytest.mark.parametrize(("name", "granted"), [("keys rotate", True), ("archive read", True), ("withdraw", False)])
def test_where_no_accounts_are_named_each_may_do_all_but_withdraw(name: str, granted: bool, site: Path) -> None:
    """As before there were roles; a withdrawal is granted by name, always."""
    site.write_text(site.read_text().split("operators:")[0])
    assert (NOT_GRANTED not in given(site, name, ASKS[name][2]).err) == granted


def test_an_administrator_of_one_structure_reads_its_part_of_the_audit(site: Path) -> None:
    """Rows of other structures, and of none, are not shown to him, in whatever way he asks."""
    granted(site, {HERE: "operator"})
    assert given(site, "archive read", ASKS["archive read"][2]).code == 0
    assert given(site, "keys rotate", []).code == 2
    granted(site, {HERE: "administrator"})
    rows = given(site, "audit ls", ["--json"]).json
    assert {row["structure"] for row in rows} == {HERE} and rows[0]["action"] == "viewed"
    assert given(site, "audit ls", ["--json", "--structure", HERE]).json == rows
    assert NOT_GRANTED in given(site, "audit ls", ["--structure", ELSEWHERE]).err
    assert "master-key" not in given(site, "audit export", []).out


def test_a_withdrawal_is_shown_to_who_may_order_it(site: Path) -> None:
    """`--dry-run` tells who had the document by mail: it asks the same role, and the refusal is audited."""
    words = ["1.2.3", "--reason", "erreur", "--dry-run"]
    granted(site, {"*": "operator"})
    before = refusals(site)
    said = given(site, "withdraw", words)
    assert (said.code, NOT_GRANTED in said.err) == (2, True) and refusals(site) == before + 1
    granted(site, {"*": "administrator"})
    assert NOT_GRANTED not in given(site, "withdraw", words).err
