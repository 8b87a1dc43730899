"""Subject, names and bodies of MSSanté mails (mssante §1.2 to §1.4; cases 1, 2, 11, 12)."""

from __future__ import annotations

from typing import Any

import pytest

from router.request import Action, Code, TransmissionRequest
from router.sinks.mssante.bodies import CopyKind, body, notice
from router.sinks.mssante.naming import ascii_text, name_text
from router.sinks.mssante.pdf_name import pdf_name
from router.sinks.mssante.settings import TextsConfig
from router.sinks.mssante.subject import PREFIX, subject
from tests.cda.cda_samples import cda
from tests.sinks.mssante_samples import request


def labelled(label: str, **changes: Any) -> TransmissionRequest:
    made = request((cda(),), **changes)
    document = made.documents[0].model_copy(update={"code": Code(code="11502-2", label=label)})
    return made.model_copy(update={"documents": (document,)})


def test_an_accent_in_the_first_word_does_not_touch_the_prefix() -> None:
    """Case 1: the subject is pure ASCII and starts with the literal prefix."""
    text = subject(labelled("Échographie cardiaque"))
    assert text == "XDM/1.0/DDM+Echographie cardiaque PAT-TROIS DOMINIQUE 28/03/1979"


def test_accents_may_be_kept_behind_the_first_word() -> None:
    """The option keeps them where they can't encode the prefix."""
    assert subject(labelled("Échographie opérée"), accents=True).startswith("XDM/1.0/DDM+Echographie opérée PAT-TROIS")


def test_a_label_is_cut_to_forty_characters_before_it_is_transliterated() -> None:
    """Case 2: 40 characters of the label as written, no blank at the cut."""
    label = "Œ" * 39 + " et la suite"
    assert subject(labelled(label)).split(" ")[0] == PREFIX + "OE" * 39


def test_several_documents_are_counted_instead_of_named() -> None:
    """Case 3: `n documents` (ECO.2.1.3)."""
    made = request((cda(), cda(change=(('root="1.2.250.1.999.1.7"', 'root="1.2.250.1.999.1.8"'),))))
    assert subject(made).startswith("XDM/1.0/DDM+2 documents PAT-TROIS")


def test_an_unknown_birth_date_is_left_out() -> None:
    """A date with unknown day (fictive date) is no date for a subject."""
    made = request((cda(change=(('value="19790328"', 'value="19790000"'),)),))
    assert subject(made).endswith("PAT-TROIS DOMINIQUE")


def test_names_are_written_in_ascii_with_their_hyphens() -> None:
    """Case 2: Ñ, typographic apostrophe, ligature and control characters."""
    assert ascii_text("d’Ñuñez-Œuvré\r\nBcc: x\x00") == "d'Nunez-OEuvre Bcc: x"


def test_the_pdf_is_named_by_act_type_patient_and_order() -> None:
    """ECO.2.1.6, with the order number of biology."""
    made = request((cda(),))
    expected = "20260104_CR d'examens biologiques_PAT-TROIS_DOMINIQUE_P-44.pdf"
    assert pdf_name(made, made.documents[0]) == expected


def test_a_pdf_name_that_is_too_long_keeps_every_part() -> None:
    """ECO.2.1.6: the longest part gives way, the others and the order number stay whole."""
    made = request((cda(change=(("PAT-TROIS", "DE-LA-" * 30 + "FIN"),)),))
    name = pdf_name(made, made.documents[0])
    assert name.startswith("20260104_CR d'examens biologiques_DE-LA-") and name.endswith("_DOMINIQUE_P-44.pdf")
    assert len(name) <= len(".pdf") + 150


def test_a_pdf_name_is_safe_and_distinct() -> None:
    """Case 2: a label with `/` makes no folder; a clash gets a number."""
    made = labelled("Document social / médico-social")
    first = pdf_name(made, made.documents[0])
    assert first == "20260104_Document social _ medico-social_PAT-TROIS_DOMINIQUE_P-44.pdf"
    assert pdf_name(made, made.documents[0], {first}).endswith("_P-44_2.pdf")


@pytest.mark.parametrize(
    ("action", "patient", "words"),
    [
        (Action.INITIAL, False, "document de santé"),
        (Action.INITIAL, True, "vous concerne"),
        (Action.REPLACE, False, "annule et remplace"),
        (Action.REPLACE, True, "nouvelle version"),
        (Action.DELETE, False, "doit être supprimé"),
        (Action.DELETE, True, "Merci de le supprimer"),
    ],
)
def test_every_action_has_a_text_for_each_reader(action: Action, patient: bool, words: str) -> None:
    """Without CORPSMAIL the body is ours, in French, with every field filled."""
    text = body(request((cda(),), action=action), patient=patient, structure="Hôpital A", texts=TextsConfig())
    assert words in text
    assert "{" not in text


def test_the_notice_stands_before_the_senders_text_on_replace_and_delete() -> None:
    """Case 11: the official CORPSMAIL says nothing of the replacement, so the notice comes first, then the text."""
    made = request((cda(),), action=Action.REPLACE, body_professionals="Cher confrère,\r\nci-joint le CR.")
    text = body(made, patient=False, structure="Hôpital A", texts=TextsConfig())
    assert text.index("annule et remplace") < text.index("Cher confrère,\nci-joint le CR.")
    assert "1.2.250.1.999.1.6" in text
    literal = body(made, patient=False, structure="Hôpital A", texts=TextsConfig(), notice_first=False)
    assert literal == "Cher confrère,\nci-joint le CR."


def test_both_documents_of_a_pair_are_named() -> None:
    """An N1 + N3 pair: replace and delete name both identifiers, of the new documents and of the old ones."""
    twin = (
        ('<id root="1.2.250.1.999.1.7"/>', '<id root="1.2.250.1.999.1.8"/>'),
        ("1.2.250.1.999.1.6", "1.2.250.1.999.1.5"),
    )
    pair = (cda(), cda(change=twin))
    gone = notice(request(pair, action=Action.DELETE), patient=False, structure="A", texts=TextsConfig())
    assert "identifiant 1.2.250.1.999.1.7 et 1.2.250.1.999.1.8)" in gone
    new = notice(request(pair, action=Action.REPLACE), patient=False, structure="A", texts=TextsConfig())
    assert "identifiant 1.2.250.1.999.1.6 et 1.2.250.1.999.1.5)" in new


def test_an_initial_mail_keeps_the_senders_own_text() -> None:
    """CORPSMAIL alone, control characters removed."""
    made = request((cda(),), body_patient="Bonjour\x00 Madame", body_professionals="Cher confrère")
    assert body(made, patient=True, structure="A", texts=TextsConfig()) == "Bonjour Madame"


def test_a_site_may_write_its_own_texts() -> None:
    """Templates of the configuration; braces around no word stay."""
    texts = TextsConfig(delete_ps="Supprimer {id} { } {}")
    made = request((cda(),), action=Action.DELETE)
    assert body(made, patient=False, structure="A", texts=texts) == "Supprimer 1.2.250.1.999.1.7 { } {}"


def test_a_word_in_braces_that_nothing_replaces_is_refused() -> None:
    """`{patient}` would reach the reader as it stands: the site file is refused, with the words that are known."""
    with pytest.raises(ValueError, match=r"patient.*titre, date, id, ancien, structure, formes"):
        TextsConfig(replace_ps="Bonjour {patient}")


@pytest.mark.parametrize(
    ("kind", "said"),
    [("document", "une copie PDF."), ("rendue", "copie PDF, mise en page à partir du texte"), ("", "")],
)
def test_the_body_promises_only_what_is_attached(kind: CopyKind, said: str) -> None:
    """No PDF copy, no word of one; a copy of ours is called so; the site's own texts may ask for the same words."""
    for texts in (TextsConfig(), TextsConfig(initial_ps="Voir : {formes}")):
        text = body(request((cda(),)), patient=False, structure="A", texts=texts, kind=kind)
        assert ("copie PDF" in text) is bool(kind) and said in text and "archive IHE XDM" in text


def test_a_notice_without_its_document_holds_nothing_of_the_senders() -> None:
    """D1: "ci-joint" above no attachment; it may also tell the wrong patient something."""
    made = request((cda(),), action=Action.DELETE, body_patient="Vous trouverez ci-joint votre compte rendu.")
    text = notice(made, patient=True, structure="A", texts=TextsConfig())
    assert "ci-joint" not in text and "Merci de le supprimer" in text


def test_a_name_of_another_script_stands_in_the_subject() -> None:
    """Latin letters lose their accents; a name without any Latin letter is not left out, and spares the prefix."""
    change = (("PAT-TROIS", "Иванов"), ('"BR">DOMINIQUE', '"BR">Éloïse'))
    made = request((cda(change=change),))
    assert subject(made) == "XDM/1.0/DDM+CR d'examens biologiques ИВАНОВ Eloise 28/03/1979"
    assert pdf_name(made, made.documents[0]) == "20260104_CR d'examens biologiques_ИВАНОВ_Eloise_P-44.pdf"
    assert (name_text("Ñuñez d’Œ\u0301"), name_text("Ґалаган й")) == ("Nunez d'OE", "Ґалаган й")
