"""The liste blanche: exact match, believable lists only, the last good copy for ever (mssante §6, case 16)."""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime
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
        self.at = 1_795_600_000.0

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
    generated = datetime(2026, 11, 23, 4, tzinfo=UTC).timestamp()
    assert found.admits("chu.mssante.fr") and found.age() == clock.at - generated


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
    assert [found.retest("x.fr"), found.retest("x.fr")] == [True, False]
    clock.at += 301
    assert found.retest("x.fr") is True


def test_one_refused_domain_does_not_hold_up_another(tmp_path: Path) -> None:
    """Each domain has its own limit: one that has just entered is found although another was refused a moment ago."""
    found = opened(tmp_path, liste("a.fr"), retest_seconds=300)
    assert found.retest("x.fr") is True
    (tmp_path / "source.xml").write_text(liste("a.fr", "nouveau.fr"))
    assert found.retest("nouveau.fr") is True
    assert found.admits("nouveau.fr")


def test_invented_domains_are_no_storm_on_the_source(tmp_path: Path) -> None:
    """A thousand of them within a second: 30 readings, then one every ten seconds."""
    clock = Hand()
    found = opened(tmp_path, liste("a.fr"), clock, retest_seconds=300)
    assert sum(found.retest(f"x{number}.fr") for number in range(1000)) == 30
    clock.at += 10
    assert [found.retest("y.fr"), found.retest("z.fr")] == [True, False]


def test_a_source_out_of_reach_is_not_waited_for_by_each_domain(tmp_path: Path) -> None:
    """The next domain would wait for the same time-out; ten seconds later it is asked again."""
    clock = Hand()
    found = opened(tmp_path, clock=clock, source="https://127.0.0.1:9/liste.xml", retest_seconds=300)
    assert found.retest("x.fr") is False
    assert found._may_ask("y.fr") is False
    clock.at += 10
    assert found._may_ask("y.fr") is True


class Gauge(Unobserved):
    """Keeps the last value of each measure."""

    def __init__(self) -> None:
        self.last: dict[str, float] = {}

    def set(self, measure: str, value: float, **labels: str) -> None:
        self.last[measure] = value


def test_the_age_is_that_of_the_lists_own_date(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A list that the source has not generated anew for 9 days is old, though it was read a moment ago."""
    clock, gauge = Hand(), Gauge()
    clock.at = datetime(2026, 12, 2, 4, tzinfo=UTC).timestamp()
    found = opened(tmp_path, liste("a.fr", generated="2026-11-23T04:00:00"), clock)
    found._observer = gauge
    found.refresh()
    assert found.age() == clock.at - gauge.last["liste_blanche_timestamp_seconds"] == 9 * DAY
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert found.due() is False


def test_the_own_date_outlives_a_restart_and_a_copy(tmp_path: Path) -> None:
    """When the file was last touched says nothing."""
    clock = Hand()
    opened(tmp_path, liste("a.fr", generated="2026-11-01T00:00:00+01:00"), clock).refresh()
    (tmp_path / "kept" / "liste-blanche.xml").touch()
    assert opened(tmp_path, clock=clock).age() == clock.at - datetime(2026, 10, 31, 23, tzinfo=UTC).timestamp()


ODD_DATES = ["", "hier", "23/11/2026", "2026-02-30T00:00:00", "1970-01-01T00:00:00", "2099-01-01T00:00:00"]


@pytest.mark.parametrize("date", [None, *ODD_DATES])
def test_a_list_without_a_usable_date_is_taken_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, date: str | None
) -> None:
    """Over one that has a date, and a dated one over it: its age is counted from when it was read."""
    clock = Hand()
    found = opened(tmp_path, liste("a.fr"), clock)
    found.refresh()
    text = liste("a.fr", "b.fr", generated=date or "")
    text = text if date is not None else text.replace("<DateDeGeneration></DateDeGeneration>", "")
    (tmp_path / "source.xml").write_text(text)
    caplog.clear()
    found.refresh()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert found.admits("b.fr") and found.age() == 0
    clock.at += 5
    assert found.age() == 5
    (tmp_path / "source.xml").write_text(liste("a.fr", "b.fr", "c.fr"))
    found.refresh()
    assert found.admits("c.fr")


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
