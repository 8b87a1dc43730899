"""The FHIR interface of the annuaire, against the simulated one (mssante §5.1)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from router.directory.fhir import FhirAnnuaire
from router.directory.settings import FhirConfig
from router.errors import OperatorFault, Unavailable
from router.simulators.annuaire import AnnuaireSimulator, Box, Person, Practice
from tests.directory.annuaire_world import CLINIC, LEO, MARIE, ORGANISATIONS, MovedClock, annuaire, fhir
from tests.trickle import PAUSE, trickle

OTHER = "10000000043"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[AnnuaireSimulator]:
    monkeypatch.setenv("ANNUAIRE_KEY", "k-1")
    with annuaire() as running:
        yield running


def client(server: AnnuaireSimulator, folder: Path, clock: Any = None, **settings: Any) -> FhirAnnuaire:
    return FhirAnnuaire(FhirConfig.model_validate(fhir(server, **settings)), folder, clock=clock)


def addresses(source: FhirAnnuaire, rpps: str) -> set[str]:
    return {box.address for box in source.mailboxes(rpps=rpps)}


def test_a_second_look_up_asks_nothing(server: AnnuaireSimulator, tmp_path: Path) -> None:
    """Within its time to live an answer serves every process of the machine."""
    source = client(server, tmp_path)
    assert addresses(source, MARIE) == {"marie@medecin.mssante.fr"}
    asked = list(server.asked)
    assert addresses(source, MARIE) == addresses(client(server, tmp_path), MARIE) == {"marie@medecin.mssante.fr"}
    assert server.asked == asked == [f"Practitioner?identifier={MARIE}&_revinclude=PractitionerRole%3Apractitioner"]


def test_a_kept_answer_costs_less_than_a_millisecond(server: AnnuaireSimulator, tmp_path: Path) -> None:
    """Median of a hundred."""
    source = client(server, tmp_path)
    source.mailboxes(rpps=MARIE)
    times = []
    for _ in range(100):
        began = time.perf_counter()
        source.mailboxes(rpps=MARIE)
        times.append(time.perf_counter() - began)
    assert sorted(times)[50] < 0.001


def test_an_old_answer_serves_while_the_server_is_down_but_not_for_ever(
    server: AnnuaireSimulator, tmp_path: Path
) -> None:
    """Stale if error: for `stale_days`, then nobody knows."""
    clock = MovedClock()
    source = client(server, tmp_path, clock, stale_days=7)
    addresses(source, MARIE)
    clock.ahead = 2 * 86_400
    server.fail(503, count=3)
    assert addresses(source, MARIE) == {"marie@medecin.mssante.fr"}
    clock.ahead = 8 * 86_400
    server.fail(503, count=3)
    with pytest.raises(Unavailable):
        source.mailboxes(rpps=MARIE)


def test_an_old_nobody_is_never_an_answer(server: AnnuaireSimulator, tmp_path: Path) -> None:
    """A doctor may have got a mailbox since: while the server is down it is not known."""
    clock = MovedClock()
    source = client(server, tmp_path, clock)
    assert source.mailboxes(rpps=OTHER) == ()
    clock.ahead = 2 * 3600
    server.fail(503, count=3)
    with pytest.raises(Unavailable):
        source.mailboxes(rpps=OTHER)


def test_a_busy_server_is_asked_again_after_the_time_that_it_says(server: AnnuaireSimulator, tmp_path: Path) -> None:
    """429 with Retry-After, a cut connection: the look-up still succeeds."""
    server.fail(429, retry_after=0)
    server.fail(0)
    assert addresses(client(server, tmp_path), MARIE) == {"marie@medecin.mssante.fr"}
    assert len(server.asked) == 3


def test_a_wait_longer_than_a_look_up_may_take_is_left_to_the_runner(server: AnnuaireSimulator, tmp_path: Path) -> None:
    """The fault says how long, and until then the server is left alone."""
    server.fail(429, retry_after=120)
    source = client(server, tmp_path)
    with pytest.raises(Unavailable) as caught:
        source.mailboxes(rpps=MARIE)
    assert caught.value.retry_after == 120
    with pytest.raises(Unavailable):
        source.mailboxes(rpps=LEO)
    assert len(server.asked) == 1


@pytest.mark.parametrize("how", ["loop", "endless", "elsewhere", "html", "cut", "list"])
def test_an_answer_that_may_be_incomplete_is_no_answer(server: AnnuaireSimulator, tmp_path: Path, how: Any) -> None:
    """Half of a person's mailboxes could make one of two look like the only one; the key goes to no other server."""
    server.misbehave(how)
    source = client(server, tmp_path, calls_per_second=1000)
    with pytest.raises(Unavailable):
        source.mailboxes(rpps=LEO)
    server.misbehave()
    server.asked.clear()
    assert len(source.mailboxes(rpps=LEO)) == 2


def test_a_slow_server_is_given_up_in_time(server: AnnuaireSimulator, tmp_path: Path) -> None:
    """`timeout` is for the whole look-up, its repeats included."""
    server.slow(2.0)
    began = time.monotonic()
    with pytest.raises(Unavailable):
        client(server, tmp_path, timeout=0.3).mailboxes(rpps=MARIE)
    assert time.monotonic() - began < 1.5
    server.slow(0)


def test_a_refused_key_is_ours_to_mend(server: AnnuaireSimulator, tmp_path: Path, monkeypatch: Any) -> None:
    """An `OperatorFault`, never the message's."""
    monkeypatch.setenv("ANNUAIRE_KEY", "k-2")
    with pytest.raises(OperatorFault):
        client(server, tmp_path).mailboxes(rpps=MARIE)


def test_the_key_never_travels_in_clear() -> None:
    """Plain http is for this machine only."""
    with pytest.raises(ValidationError):
        FhirConfig.model_validate({"url": "http://annuaire.example/fhir", "key": {"env": "K"}})


def test_somebody_elses_number_is_not_this_persons(server: AnnuaireSimulator, tmp_path: Path) -> None:
    """A search by identifier may find another one who has it elsewhere; an inactive person has no mailbox."""
    twin = Person("20000000001", boxes=(Box("autre@medecin.mssante.fr"),))
    gone = Person(OTHER, boxes=(Box("parti@medecin.mssante.fr"),), active=False)
    server.fill((twin, gone), ORGANISATIONS)
    server._resources["Practitioner"][0]["identifier"].append({"system": "urn:local", "value": MARIE})
    source = client(server, tmp_path)
    assert source.mailboxes(rpps=MARIE) == ()
    assert source.mailboxes(rpps=OTHER) == ()


def test_rank_and_place_are_those_that_are_published(server: AnnuaireSimulator, tmp_path: Path) -> None:
    """A mailbox told of the person and of his place counts once, with the rank it has there."""
    box = Box("leo@chu.mssante.fr", rank=2)
    server.fill((Person(LEO, boxes=(Box(box.address, rank=1),), practices=(Practice(CLINIC, (box,)),)),), ORGANISATIONS)
    (found,) = client(server, tmp_path).mailboxes(rpps=LEO)
    assert (found.address, found.structure, found.rank) == (box.address, CLINIC, 2)


def test_calls_are_spaced_below_the_limit_of_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve look-ups at once: a server that allows ten calls a second refuses none."""
    monkeypatch.setenv("ANNUAIRE_KEY", "k-1")
    with annuaire(rate=10) as server:
        source = client(server, tmp_path, calls_per_second=9.5)
        for number in range(12):
            assert source.mailboxes(rpps=f"100000001{number:02}") == ()
        assert len(server.asked) == 12


@pytest.mark.alone
@pytest.mark.parametrize("begin", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n"], ids=["headers", "body"])
def test_a_server_that_trickles_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begin: bytes) -> None:
    """A byte now and then: the look-up ends in its time."""
    monkeypatch.setenv("ANNUAIRE_KEY", "k-1")
    with trickle(begin) as port:
        settings = {"url": f"http://127.0.0.1:{port}", "key": {"env": "ANNUAIRE_KEY"}, "timeout": PAUSE * 4}
        began = time.monotonic()
        with pytest.raises(Unavailable):
            FhirAnnuaire(FhirConfig.model_validate(settings), tmp_path).mailboxes(rpps=MARIE)
        assert time.monotonic() - began < PAUSE * 4 * 2.5 + 1


def test_an_answer_without_end_is_not_read_to_its_end(server: AnnuaireSimulator, tmp_path: Path) -> None:
    """More than any real answer ends with a fault, before it fills the memory."""
    server.fill((Person(MARIE, boxes=(Box("a" * (17 << 20) + "@b.fr"),)),), ())
    with pytest.raises(Unavailable, match="DIRECTORY-SIZE"):
        client(server, tmp_path).mailboxes(rpps=MARIE)
