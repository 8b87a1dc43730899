"""The three sources of mailboxes pass one suite: the site's table, the extraction file, the FHIR interface."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from router.directory.annuaire import Annuaire
from router.directory.fhir import FhirAnnuaire
from router.directory.mailboxes import MailboxSource
from router.directory.settings import FhirConfig, LocalMailbox
from router.directory.table import Table
from tests.contracts.mailbox_source_contract import MailboxSourceContract
from tests.directory.annuaire_world import CLINIC, LEO, MARIE, PRACTICE, annuaire, extraction, fhir


class TestTable(MailboxSourceContract):
    publishes = False

    @pytest.fixture
    def source(self) -> MailboxSource:
        return Table(
            [
                LocalMailbox(address="Marie@medecin.mssante.fr", rpps=MARIE),
                LocalMailbox(address="leo@chu.mssante.fr", rpps=f"8{LEO}", structure=CLINIC),
                LocalMailbox(address="leo@medecin.mssante.fr", rpps=LEO, structure=f"1{PRACTICE}"),
                LocalMailbox(address="accueil@chu.mssante.fr", structure=CLINIC),
            ]
        )


class TestExtraction(MailboxSourceContract):
    @pytest.fixture
    def source(self, tmp_path: Path) -> MailboxSource:
        made = Annuaire(tmp_path / "kept", minimum=0)
        made.load(extraction(tmp_path))
        return made


@pytest.mark.parametrize("source", [50, 1], indirect=True, ids=["one page", "a page each"])
class TestFhir(MailboxSourceContract):
    @pytest.fixture
    def source(
        self, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[MailboxSource]:
        monkeypatch.setenv("ANNUAIRE_KEY", "k-1")
        with annuaire(page=request.param, show_red_listed=True) as simulator:
            yield FhirAnnuaire(FhirConfig.model_validate(fhir(simulator)), tmp_path)
