"""The liste blanche: exact match, believable lists only, the last good copy for ever (mssante §6, case 16)."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from router.contracts import Unobserved
from router.directory.liste_blanche import ListeBlanche, read
from router.directory.settings import ListeBlancheConfig
from router.errors import Invalid, OperatorFault, Unavailable
from tests.sinks.mssante_samples import liste

DAY = 86_400


class Hand:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.at = 1_795_000_000.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


def opened(folder: Path, text: str | None = None, clock: Hand | None = None, **settings: object) -> ListeBlanche:
    source = folder / "source.xml"
    if text is not None:
        source.write_text(text, encoding="utf-8")
    config = ListeBlancheConfig.model_validate({"source": str(source), "minimum": 1, **settings})
    return ListeBlanche(config, folder / "kept", clock=clock or Hand(), observer=Unobserved())


def test_only_the_exact_domain_is_admitted(tmp_path: Path) -> None:
    """No suffix rule, in either direction; case and final dot don't matter."""
    found = opened(tmp_path, liste("chu.mssante.fr", "APYCRYPT.org"))
    found.refresh()
    admitted = {
        name: found.admits(name) for name in ("CHU.mssante.fr.", "apycrypt.org", "a.chu.mssante.fr", "mssante.fr", "")
    }
    assert admitted == {
        "CHU.mssante.fr.": True, "apycrypt.org": True, "a.chu.mssante.fr": False, "mssante.fr": False, "": False,
    }  # fmt: skip


def test_unicode_names_match_their_a_labels(tmp_path: Path) -> None:
    """Case 16: IDNA on both sides."""
    found = opened(tmp_path, liste("hôpital-été.fr", "xn--clinique--y1a.fr"))
    found.refresh()
    assert found.admits("xn--hpital-t-h1ab6i.fr") is found.admits("hôpital-été.fr") is True
    assert found.admits("clinique-à.fr")


def test_domains_always_admitted_need_no_list(tmp_path: Path) -> None:
    """patient.mssante.fr by default; anything else waits for a list."""
    found = opened(tmp_path)
    assert (found.admits("patient.mssante.fr"), found.admits("chu.mssante.fr")) == (True, False)
    assert opened(tmp_path / "b", absent="laisser-passer").admits("chu.mssante.fr") is True


def test_an_old_list_is_still_used_and_said_to_be_old(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Case 16: 40 days old: an error in the log, and mail goes on."""
    clock = Hand()
    found = opened(tmp_path, liste("chu.mssante.fr"), clock)
    found.refresh()
    clock.at += 40 * DAY
    with caplog.at_level(logging.WARNING):
        found.watch()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert found.admits("chu.mssante.fr") and found.age() == 40 * DAY


@pytest.mark.parametrize(
    "bad",
    [
        "<not",
        "<ListeBlanche/>",
        '<!DOCTYPE x [<!ENTITY a "b">]>' + liste("a.fr", "b.fr", "c.fr"),
        liste("a.fr"),
        liste("a.fr", "b.fr", "c.fr", generated="2025-01-01T00:00:00"),
        "",
    ],
    ids=["broken", "other namespace", "doctype", "truncated", "older", "empty"],
)
def test_a_list_that_is_not_believable_leaves_the_one_in_use(tmp_path: Path, bad: str) -> None:
    """Case 16: a truncated file is refused and the old one kept."""
    found = opened(tmp_path, liste("a.fr", "b.fr", "c.fr"))
    found.refresh()
    (tmp_path / "source.xml").write_text(bad)
    with pytest.raises(Invalid):
        found.refresh()
    assert found.admits("c.fr") and found.size == 3
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["liste-blanche.xml"]


def test_the_last_good_copy_serves_after_a_restart(tmp_path: Path) -> None:
    """The source is gone; the list is not."""
    opened(tmp_path, liste("a.fr")).refresh()
    (tmp_path / "source.xml").unlink()
    again = opened(tmp_path)
    assert again.admits("a.fr")
    with pytest.raises(OperatorFault):
        again.refresh()
    assert again.admits("a.fr")


def test_a_refused_domain_asks_the_source_once_and_not_at_every_mail(tmp_path: Path) -> None:
    """A storm of mails to a foreign domain is not a storm on the national server."""
    clock = Hand()
    found = opened(tmp_path, liste("a.fr"), clock, retest_seconds=300)
    assert [found.retest(), found.retest()] == [True, False]
    clock.at += 301
    assert found.retest() is True


def test_a_list_fetched_by_another_process_is_taken_over(tmp_path: Path) -> None:
    """One process refreshes, the others look at the shared copy."""
    one, other = opened(tmp_path, liste("a.fr")), opened(tmp_path)
    one.refresh()
    assert not other.admits("a.fr")
    assert other.due() is False
    assert other.admits("a.fr")


def test_it_is_due_once_a_day(tmp_path: Path) -> None:
    """By the age of the copy, whoever fetched it."""
    clock = Hand()
    found = opened(tmp_path, liste("a.fr"), clock)
    assert found.due() is True
    found.refresh()
    assert found.due() is False
    clock.at += DAY + 1
    assert found.due() is True


def test_plain_http_is_refused_and_an_absent_server_is_unavailable(tmp_path: Path) -> None:
    """Authenticity rests on TLS alone."""
    with pytest.raises(OperatorFault):
        opened(tmp_path, source="http://127.0.0.1:9/liste.xml").refresh()
    with pytest.raises(Unavailable):
        opened(tmp_path, source="https://127.0.0.1:9/liste.xml").refresh()


def test_a_list_of_the_real_size_is_read_quickly(tmp_path: Path) -> None:
    """8,655 names."""
    path = tmp_path / "big.xml"
    path.write_text(liste(*(f"d{number}.mssante.fr" for number in range(8655))))
    assert len(read(path).domains) == 8655
    assert os.path.getsize(path) > 500_000  # noqa: PTH202  # a plain check of the sample's size
