"""Each mailbox is read once, whoever sends from it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from router.runtime.roles.feedback import inboxes
from router.sinks.mssante.settings import MssanteConfig
from router.structures import SendingApplication, StructureConfig

A, B = "pfi@hopital-a.mssante.fr", "pfi@hopital-b.mssante.fr"
TLS = {"ca": "ca.pem", "certificate": "a.pem", "key": "a.key"}
PASSWORD = {"auth": "plain", "password": {"file": "secret"}}


def sink(login: dict[str, Any], certificate: str = "a.pem", **changes: Any) -> MssanteConfig:
    return MssanteConfig.model_validate(
        {
            "type": "mssante",
            "host": "smtp.operateur.mssante.fr",
            "nil": "N",
            "tls": TLS | {"certificate": certificate},
            "imap": {"host": "imap.operateur.mssante.fr", "login": login},
        }
        | changes
    )


def site(sinks: dict[str, MssanteConfig], **mailboxes: str) -> Any:
    """`mailboxes`: of structures, each served by the first sink."""
    structures = {
        name: StructureConfig.model_validate(
            {"name": name, "source_oid": "1.2", "mssante": next(iter(sinks)), "mailbox": box}
        )
        for name, box in mailboxes.items()
    }
    return SimpleNamespace(sinks=sinks, structures=structures)


@pytest.mark.parametrize(
    ("login", "users"),
    [
        ({"auth": "externe"}, [A, B]),
        ({"auth": "externe", "user": "pfi"}, [A]),
        ({"auth": "aucune"}, [A]),
        (PASSWORD | {"user": "pfi"}, [A]),
        (PASSWORD, [A, B]),
    ],
    ids=["certificate", "certificate for one account", "certificate alone", "one name", "each its own"],
)
def test_structures_share_what_one_account_reads(login: dict[str, Any], users: list[str]) -> None:
    """Two readers of one inbox would tell each report twice."""
    found = inboxes(site({"mssante.a": sink(login)}, a=A, b=B))
    assert [(one.sinks, one.user) for one in found] == [(["mssante.a"], user) for user in users]


def test_a_certificate_of_several_mailboxes_asks_for_each_by_name() -> None:
    """Without a name the operator opens one of them, and the reports of the others are never read."""
    login = {"auth": "externe"}
    assert [one.authzid for one in inboxes(site({"mssante.a": sink(login)}, a=A, b=B))] == [A, B]
    assert [one.authzid for one in inboxes(site({"mssante.a": sink(login)}, a=A))] == [""]
    other = sink(login, "b.pem", mailbox=B)
    assert [one.authzid for one in inboxes(site({"mssante.a": sink(login, mailbox=A), "mssante.b": other}))] == ["", ""]


def test_sinks_share_the_mailbox_that_both_send_from() -> None:
    """A report is that of whichever of them sent the mail, and is read by its rules."""
    login = {"auth": "externe"}
    other = sink(login, mailbox=A, feedback={"deleted": "silence"})
    (found,) = inboxes(site({"mssante.a": sink(login, mailbox=A), "mssante.gros": other}))
    assert found.sinks == ["mssante.a", "mssante.gros"]
    assert [rules.deleted for rules in found.rules.values()] == ["non", "silence"]


def test_one_account_has_many_spellings() -> None:
    sinks = {
        "mssante.a": sink({}, mailbox=A, imap={"host": "imap.operateur.mssante.fr", "login": PASSWORD}),
        "mssante.b": sink(
            {}, mailbox=A.upper(), imap={"host": "IMAP.operateur.mssante.fr", "login": PASSWORD, "inbox": "Inbox"}
        ),
    }
    (found,) = inboxes(site(sinks))
    assert found.sinks == ["mssante.a", "mssante.b"]


@pytest.mark.parametrize(
    "other",
    [
        sink({"auth": "externe"}, "b.pem", mailbox=A),
        sink({}, mailbox=A, imap={"host": "imap.autre.mssante.fr"}),
        sink({}, mailbox=A, imap={"host": "imap.operateur.mssante.fr", "inbox": "Retours"}),
    ],
    ids=["certificate", "server", "folder"],
)
def test_other_inboxes_are_read_too(other: MssanteConfig) -> None:
    found = inboxes(site({"mssante.a": sink({"auth": "externe"}, mailbox=A), "mssante.b": other}))
    assert [one.sinks for one in found] == [["mssante.a"], ["mssante.b"]]


def test_without_imap_nothing_is_read() -> None:
    assert inboxes(site({"mssante.a": sink({}, mailbox=A, imap=None)})) == []


def test_the_mailbox_of_a_sending_application_is_read_too() -> None:
    """Its reports would be lost otherwise; an application that sends from the structure's mailbox adds none."""
    made = site({"mssante.a": sink(PASSWORD)}, a=A)
    own = made.structures["a"].model_copy(
        update={"applications": (SendingApplication(name="LABO", mailbox=B), SendingApplication(name="RIS", label="R"))}
    )
    made.structures["a"] = own
    assert [one.user for one in inboxes(made)] == [A, B]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (("LABO", "CHU", ""), ("labo@a.fr", "A – Biologie")),
        (("LABO", "NORD", ""), ("nord@a.fr", "A")),
        (("RIS", "CHU", ""), ("pfi@a.fr", "A – Imagerie")),
        (("DPI", "CHU", "3435"), ("pfi@a.fr", "A – Urologie")),
        (("DPI", "CHU", ""), ("pfi@a.fr", "A")),
    ],
)
def test_an_application_sends_from_its_own_mailbox_under_its_own_label(
    sent: tuple[str, str, str], expected: tuple[str, str]
) -> None:
    """By MSH-3 and MSH-4, MSH-3, or the number of the service; what it has not is the structure's."""
    applications = [
        {"name": "LABO", "mailbox": "labo@a.fr", "label": "A – Biologie"},
        {"name": "LABO^NORD", "mailbox": "nord@a.fr"},
        {"name": "RIS", "label": "A – Imagerie"},
        {"name": "3435", "label": "A – Urologie"},
    ]
    structure = StructureConfig.model_validate(
        {"name": "A", "source_oid": "1.2", "mailbox": "pfi@a.fr", "label": "A", "applications": applications}
    )
    seen = structure.sending(*sent)
    assert (seen.mailbox, seen.label, seen.applications) == (*expected, ())
