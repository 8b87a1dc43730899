"""The text of the mail: the sender's (CORPSMAIL), our notice before it on replace and delete, ours when none came.

The official examples' text says only that a report is attached, even when it asks for a deletion: so the notice
always stands first, unless the site wants the literal reading (mssante §1.2).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal

from router.request import Action, DocumentHeader, TransmissionRequest
from router.sinks.mssante.earlier import NOTHING_KNOWN, Earlier, in_words
from router.sinks.mssante.naming import act_time, day, plain
from router.sinks.mssante.settings import PLACEHOLDERS, TextsConfig

#: (action, to the patient) -> field of `TextsConfig`, shipped text.
TEXTS: Final[dict[tuple[Action, bool], tuple[str, str]]] = {
    (Action.INITIAL, False): (
        "initial_ps",
        "Bonjour,\n\nCe message contient un document de santé : « {titre} » du {date}, transmis par {structure}.\n"
        "{formes}",
    ),
    (Action.INITIAL, True): (
        "initial_patient",
        "Bonjour,\n\nCe message contient un document de santé qui vous concerne : « {titre} » du {date}, "
        "transmis par {structure}.",
    ),
    (Action.REPLACE, False): (
        "replace_ps",
        "Le document joint « {titre} » du {date} annule et remplace la version transmise précédemment "
        "(identifiant {ancien}). Merci de ne plus utiliser l'ancienne version.",
    ),
    (Action.REPLACE, True): (
        "replace_patient",
        "Une nouvelle version du document « {titre} » est jointe. Elle remplace celle que vous avez reçue auparavant.",
    ),
    (Action.DELETE, False): (
        "delete_ps",
        "Le document joint « {titre} » du {date} (identifiant {id}) a été transmis par erreur : il doit être supprimé "
        "de votre logiciel et de votre dossier. Aucune nouvelle version ne le remplace.",
    ),
    (Action.DELETE, True): (
        "delete_patient",
        "Le document « {titre} » du {date} vous a été envoyé par erreur. Merci de le supprimer.",
    ),
}

#: Action -> field of `TextsConfig`, shipped text: to a professional who had the document and is not written to now.
TO_EARLIER: Final[dict[Action, tuple[str, str]]] = {
    Action.REPLACE: (
        "replace_earlier",
        "Le document « {titre} » du {date} (identifiant {id}), que vous avez reçu de {structure}, a été remplacé par "
        "une nouvelle version, qui ne vous est pas adressée. Merci de ne plus utiliser la version reçue.",
    ),
    Action.DELETE: (
        "delete_earlier",
        "Le document « {titre} » du {date} (identifiant {id}), que vous avez reçu de {structure}, a été transmis par "
        "erreur : il doit être supprimé de votre logiciel et de votre dossier. Aucune nouvelle version ne le remplace.",
    ),
}

#: To the patient -> field of `TextsConfig`, shipped text: of a deletion, to somebody to whom we sent no version (D1).
TO_NOBODY: Final[dict[bool, tuple[str, str]]] = {
    False: (
        "delete_unsent_ps",
        "Le document « {titre} » du {date} (identifiant {id}), transmis par erreur par {structure}, a été supprimé. "
        "Aucune version ne vous en a été envoyée à cette adresse. Si vous l'avez reçu par une autre voie, il doit être "
        "supprimé de votre logiciel et de votre dossier.",
    ),
    True: (
        "delete_unsent_patient",
        "Le document « {titre} » du {date} a été supprimé par {structure}. Il ne vous a pas été envoyé à cette "
        "adresse. Si vous l'avez reçu autrement, merci de le supprimer.",
    ),
}

CopyKind = Literal["", "document", "rendue", "trop-grosse"]
"""No PDF copy; the document's own; one that we made of its text; left out because the mail would be too large."""
TOO_LARGE: Final = "La copie PDF du document n'est pas jointe, car le message aurait été trop volumineux."

#: The PDF copy that is attached -> what {formes} says: nothing is promised that the mail does not carry.
FORMS: Final[dict[CopyKind, str]] = {
    "document": "Il est joint sous deux formes : une archive IHE XDM pour votre logiciel et une copie PDF.",
    "rendue": "Il est joint sous deux formes : une archive IHE XDM pour votre logiciel et une copie PDF, "
    "mise en page à partir du texte du document.",
    "": "Il est joint sous la forme d'une archive IHE XDM, à ouvrir par votre logiciel.",
    "trop-grosse": "Il est joint sous la forme d'une archive IHE XDM, à ouvrir par votre logiciel.",
}

_FIELD: Final = re.compile(r"\{(" + "|".join(PLACEHOLDERS) + r")\}")
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def body(
    request: TransmissionRequest,
    *,
    patient: bool,
    structure: str,
    texts: TextsConfig,
    notice_first: bool = True,
    kind: CopyKind = "document",
    title: str | None = None,
    earlier: bool = False,
    before: Earlier = NOTHING_KNOWN,
) -> str:
    """The whole body of a mail, lines ended by LF.

    patient: whose text and which notice;  kind: the PDF copy that is attached;  before: what the reader was sent
    title: how to call a document that is not attached. Then the text is ours alone: the sender's speaks of one (D1).
    """
    if title is not None:
        return notice(
            request, patient=patient, structure=structure, texts=texts, title=title, earlier=earlier, before=before
        )
    text = _clean((request.body_patient if patient else request.body_professionals) or "")
    ours = ""
    if not text or (_action(request, before) is not Action.INITIAL and notice_first):
        ours = notice(request, patient=patient, structure=structure, texts=texts, kind=kind, before=before)
    return "\n\n".join(part for part in (ours, text, TOO_LARGE if kind == "trop-grosse" else "") if part)


def notice(
    request: TransmissionRequest,
    *,
    patient: bool,
    structure: str,
    texts: TextsConfig,
    kind: CopyKind = "document",
    title: str | None = None,
    earlier: bool = False,
    before: Earlier = NOTHING_KNOWN,
) -> str:
    """Our text for this action and reader.

    title:   stands for the document's own, which the sender wrote, in a mail without the document
    earlier: to somebody who had the document and is not among the recipients now (`TO_EARLIER`)
    before:  what the reader was sent of the document: of versions that he never had nothing is said
    """
    field, shipped = (
        TO_EARLIER[request.action] if earlier else _text(request, before, patient=patient, carries=title is None)
    )
    values = _values(request, request.principal, structure) | {"formes": FORMS[kind]}
    others = in_words(before.others)
    if before.others:
        values["ancien"] = others or "inconnu"
    if title is not None:
        values["titre"] = title
    deleted = request.action is Action.DELETE and not earlier and bool(before.others)
    if deleted and not before.same:
        values["id"] = others or "inconnu"
    text = _FIELD.sub(lambda found: values[found[1]], getattr(texts, field) or shipped)
    return f"{text} {_also(before.others, others)}" if deleted and before.same and not patient else text


def _action(request: TransmissionRequest, before: Earlier) -> Action:
    """What the mail is to its reader: a replacement of what he was never sent is a first version to him."""
    first = request.action is Action.REPLACE and before.known and not before.others
    return Action.INITIAL if first else request.action


def _text(request: TransmissionRequest, before: Earlier, *, patient: bool, carries: bool) -> tuple[str, str]:
    """(field of `TextsConfig`, shipped text). Of a deletion it depends on what the reader was sent (D1)."""
    if request.action is Action.DELETE and before.nothing:
        return TO_NOBODY[patient]
    if request.action is Action.DELETE and not (patient or carries):
        return TO_EARLIER[Action.DELETE]  # nothing is "joint"
    return TEXTS[_action(request, before), patient]


def _also(others: Sequence[str], named: str) -> str:
    """The other versions that the reader was sent must be deleted too."""
    if len(others) == 1:
        which = f" (identifiant {named})" if named else ""
        return f"La version antérieure qui vous avait été adressée{which} doit être supprimée aussi."
    which = f" (identifiants {named})" if named else ""
    return f"Les versions antérieures qui vous avaient été adressées{which} doivent être supprimées aussi."


def _values(request: TransmissionRequest, document: DocumentHeader, structure: str) -> dict[str, str]:
    """What stands in a text, by field. Of an N1 + N3 pair both identifiers are named, in message order."""
    return {
        "titre": plain(document.title or document.code.label) or "document",
        "date": day(act_time(document)) or "date inconnue",
        "id": in_words(one.id for one in request.documents),
        "ancien": in_words(one.replaces for one in request.documents) or request.replaces or "inconnu",
        "structure": plain(structure) or "un établissement de santé",
    }


def _clean(text: str) -> str:
    """LF line ends, no control characters but tab."""
    return _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()
