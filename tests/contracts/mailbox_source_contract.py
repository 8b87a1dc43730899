"""What every source of mailboxes promises (`router.directory.mailboxes.MailboxSource`)."""

from __future__ import annotations

from abc import ABC, abstractmethod

import pytest

from router.directory.mailboxes import MailboxSource
from tests.directory.annuaire_world import CLINIC, LEO, MARIE, PAUL, PRACTICE


class MailboxSourceContract(ABC):
    """A source that holds the people of `annuaire_world`. `publishes`: it also tells professions and names."""

    publishes = True

    @pytest.fixture
    @abstractmethod
    def source(self) -> MailboxSource: ...

    def test_a_person_with_one_mailbox_has_it(self, source: MailboxSource) -> None:
        """By the 11 digits of the RPPS; the address in lower case, with its type and its holder."""
        (box,) = source.mailboxes(rpps=MARIE)
        assert (box.address, box.type, box.rpps, box.structure) == ("marie@medecin.mssante.fr", "PER", MARIE, "")

    def test_each_mailbox_names_its_place_of_practice(self, source: MailboxSource) -> None:
        """FINESS without the prefix of the IDNST; one place alone can be asked for."""
        found = {(box.address, box.structure) for box in source.mailboxes(rpps=LEO)}
        assert found == {("leo@chu.mssante.fr", CLINIC), ("leo@medecin.mssante.fr", PRACTICE)}
        (box,) = source.mailboxes(rpps=LEO, finess=PRACTICE)
        assert box.address == "leo@medecin.mssante.fr"

    def test_an_organisation_has_its_own_mailboxes(self, source: MailboxSource) -> None:
        """By its FINESS."""
        assert "accueil@chu.mssante.fr" in {box.address for box in source.mailboxes(finess=CLINIC)}

    def test_an_address_leads_back_to_its_holders(self, source: MailboxSource) -> None:
        """Whatever its case; an unknown one to nobody."""
        (box,) = source.holders("LEO@medecin.mssante.fr")
        assert (box.rpps, box.structure) == (LEO, PRACTICE)
        (box,) = source.holders("accueil@chu.mssante.fr")
        assert (box.rpps, box.structure, box.type) == ("", CLINIC, "ORG")
        assert source.holders("personne@chu.mssante.fr") == ()

    def test_nobody_is_an_empty_answer(self, source: MailboxSource) -> None:
        """An unknown number, and no number at all."""
        assert source.mailboxes(rpps="10000000099") == ()
        assert source.mailboxes(finess="000000000") == ()
        assert source.mailboxes() == ()
        assert source.professions("10000000099") == ()
        assert source.structure_name("000000000") == ""

    def test_a_red_listed_mailbox_is_left_out_or_marked(self, source: MailboxSource) -> None:
        """Nobody may write to it."""
        assert all(box.red_listed for box in source.mailboxes(rpps=PAUL))

    def test_professions_and_names_are_told_by_those_who_publish_them(self, source: MailboxSource) -> None:
        """Profession and savoir-faire with their labels; the name of a structure, also by its IDNST."""
        told = [(one.code, one.label, one.skill, one.skill_label) for one in source.professions(LEO)]
        names = (source.structure_name(CLINIC), source.structure_name(f"1{CLINIC}"))
        if self.publishes:
            assert told == [("10", "Médecin", "SM44", "Radio-diagnostic (SM)")]
            assert names == ("CLINIQUE A", "CLINIQUE A")
        else:
            assert (told, names) == ([], ("", ""))
