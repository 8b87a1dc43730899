"""`segur-router access` and `token`, and what `operators.accounts` grants on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.audit.event import Action
from router.audit.rows import Wanted
from router.cli.output import console
from router.config.account import account
from router.config.site import Site
from router.runtime.site_services import SiteServices
from tests.cli.cli import Said, command

SITE = """environment: qualification
data: var
admin: {port: 0}
structures:
  "750100125": {name: A, source_oid: 1.2.3.4}
feeds:
  sil: {kind: relay, mllp: {port: 0}}
  ris: {kind: relay, http: true}
http: {port: 0}
sinks: {hl7.dpi: {type: hl7, host: 127.0.0.1, port: 1}}
"""
GOOD, A = "quatre-loutres-au-violon", "750100125"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "router.yaml"
    path.write_text(SITE, encoding="utf-8")
    return path


def run(site: Path, *words: str, typed: str = "") -> Said:
    return command(*words, "--site", str(site), "--lang", "en", typed=typed)


def audited(site: Path) -> list[tuple[str, str, str, bool]]:
    """(action, object, detail, refused) of each row, oldest first."""
    services = SiteServices(Site(site))
    try:
        rows = [row.event for row in services.audit.search(Wanted())]
    finally:
        services.close()
    return [(one.action.value, one.object, one.detail, one.refused) for one in reversed(rows)]


def test_the_life_of_an_account(site: Path) -> None:
    """Made, given rights, locked, removed; each step stands in the audit, no password anywhere."""
    assert "no account yet" in run(site, "access", "ls").out
    made = run(site, "access", "add", "Durand", "--right", f"{A}=reader", "--stdin", typed=GOOD + "\n")
    assert made.code == 0 and made.out == f"account durand: {A}=reader\n"
    assert run(site, "access", "rights", "durand", "--right", "*=administrator").code == 0
    assert run(site, "access", "lock", "durand").code == 0
    (told,) = run(site, "access", "ls", "--json").json
    assert (told["rights"], told["locked"], told["totp"]) == ({"*": "administrator"}, True, False)
    assert run(site, "access", "remove", "durand", typed="n\n").code == 1
    assert run(site, "access", "remove", "durand", "--yes").code == 0
    assert run(site, "access", "ls", "--json").json == []
    assert audited(site) == [
        (Action.ACCOUNT, "durand", f"add {A}=reader", False),
        (Action.ACCOUNT, "durand", "rights *=administrator", False),
        (Action.ACCOUNT, "durand", "lock", False),
        (Action.ACCOUNT, "durand", "remove", False),
    ]
    assert not [path for path in (site.parent / "var").iterdir() if GOOD.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    ("words", "typed", "sentence"),
    [
        (("add", "durand", "--right", "*=reader", "--stdin"), "court\n", "has 12 characters or more"),
        (("add", "durand", "--right", "*=boss", "--stdin"), GOOD, "the roles are reader, operator, administrator"),
        (("add", "durand", "--right", "690123456=reader", "--stdin"), GOOD, "is no structure of this site (it has 75"),
        (("add", "du rand", "--right", "*=reader", "--stdin"), GOOD, "not a name"),
        (("lock", "inconnu"), "", "no account is named 'inconnu'"),
        (("password", "inconnu", "--stdin"), GOOD, "no account is named 'inconnu'"),
        (("totp", "inconnu"), "", "no account is named 'inconnu'"),
    ],
)
def test_a_mistake_is_told_and_changes_nothing(site: Path, words: tuple[str, ...], typed: str, sentence: str) -> None:
    """One sentence each, before anything is done."""
    said = run(site, "access", *words, typed=typed)
    assert said.code in (1, 2) and sentence in said.err, said
    assert run(site, "access", "ls", "--json").json == [] and audited(site) == []


def test_a_second_factor_is_given_and_taken_away(site: Path) -> None:
    """With a wrong code nothing changes; `--off` is for a telephone that was lost."""
    run(site, "access", "add", "durand", "--right", "*=reader", "--stdin", typed=GOOD + "\n")
    said = run(site, "access", "totp", "durand", typed="000\n")
    assert said.code == 2 and "otpauth://totp/" in said.out and "clock of the telephone" in said.err
    assert run(site, "access", "totp", "durand", "--off").code == 0


def test_the_life_of_a_token(site: Path) -> None:
    """Shown once, listed without its text, revoked by its id."""
    made = run(
        site, "token", "create", "sil", "--scope", "feed:send", "--feed", "ris", "--expires", "90d", "--json"
    ).json
    assert made["token"].startswith(f"sgr_{made['id']}_") and made["feeds"] == ["ris"]
    listed = run(site, "token", "ls")
    assert made["id"] in listed.out and made["token"] not in listed.out
    assert run(site, "token", "revoke", made["id"]).code == 0
    assert run(site, "token", "revoke", made["id"]).code == 2
    assert "no token in use" in run(site, "token", "ls").out
    assert [bool(one["revoked"]) for one in run(site, "token", "ls", "--all", "--json").json] == [True]
    assert [row[:2] for row in audited(site)] == [(Action.TOKEN, "sil"), (Action.TOKEN, "sil")]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--scope", "feed:send"), "names its feeds"),
        (("--scope", "feed:send", "--feed", "sil"), "no feed 'sil' takes messages by HTTP (one of ris)"),
        (("--scope", "api:read"), "has a role in a structure"),
        (("--scope", "tout", "--right", "*=reader"), "no scope is named 'tout'"),
        (("--scope", "api:read", "--right", "*=reader", "--expires", "toujours"), "is no time that a token lives"),
        (("--scope", "api:read", "--right", "*=reader", "--expires", "9999d"), "a token ends, 732 days from now"),
    ],
)
def test_a_token_that_could_never_be_used_is_not_made(site: Path, words: tuple[str, ...], sentence: str) -> None:
    """Each mistake has its sentence."""
    said = run(site, "token", "create", "x1", *words)
    assert said.code == 2 and sentence in said.err, said
    assert run(site, "token", "ls", "--all", "--json").json == [] and audited(site) == []


def test_who_is_no_administrator_gives_no_account(site: Path) -> None:
    """Where the site names accounts, only its administrators do; a refusal stands in the audit."""
    with site.open("a") as file:
        file.write(f'operators: {{accounts: {{{account()}: {{"{A}": administrator}}}}}}\n')
    said = run(site, "access", "add", "durand", "--right", "*=reader", "--stdin", typed=GOOD + "\n")
    assert said.code == 2 and f"{account()} may not do this" in said.err
    assert run(site, "token", "create", "x1", "--scope", "api:read", "--right", "*=reader").code == 2
    assert run(site, "access", "ls").code == 0
    assert [(row[0], row[3]) for row in audited(site)] == [(Action.ACCOUNT, True), (Action.TOKEN, True)]


def test_a_role_that_is_none_is_answered_with_the_words_to_type(site: Path) -> None:
    """On a French screen too, the roles are named as the command takes them."""
    asked = ("access", "add", "durand", "--right", f"{A}=lecteur", "--stdin", "--site", str(site), "--lang", "fr")
    refused = command(*asked, typed=GOOD + "\n")
    assert refused.code == 2 and "reader, operator, administrator" in refused.err


@pytest.mark.parametrize("width", [80, 60])
@pytest.mark.parametrize("language", ["en", "fr"])
def test_tables_keep_ids_and_names_whole(
    site: Path, width: int, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a terminal of 80 or 60 columns, in both languages: names, ids and rights can be copied."""
    name, right = "prestataire-supervision-nationale", f"{A}=administrator"
    assert run(site, "access", "add", name, "--right", right, "--stdin", typed=GOOD + "\n").code == 0
    made = run(site, "token", "create", "supervision-du-chu", "--scope", "api:read", "--right", right, "--json").json
    monkeypatch.setattr(console, "_width", width)
    accounts = command("access", "ls", "--site", str(site), "--lang", language).out
    assert {name, right} <= {*accounts.split()}
    tokens = command("token", "ls", "--site", str(site), "--lang", language).out
    assert {made["id"], "supervision-du-chu", "api:read", right} <= {*tokens.split()}
    assert max(map(len, (accounts + tokens).splitlines())) <= width
