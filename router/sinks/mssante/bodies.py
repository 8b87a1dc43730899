"""The text of the mail: the sender's (CORPSMAIL), our notice before it on replace and delete, ours when none came.

The official examples' text says only that a report is attached, even when it asks for a deletion: so the notice
always stands first, unless the site wants the literal reading (mssante §1.2).
"""

from __future__ import annotations

import re
from typing import Final, Literal

from router.request import Action, DocumentHeader, TransmissionRequest
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
) -> str:
    """The whole body of a mail that carries the document, lines ended by LF.

    patient: whose text and which notice;  kind: the PDF copy that is attached
    """
    text = _clean((request.body_patient if patient else request.body_professionals) or "")
    ours = ""
    if not text or (request.action is not Action.INITIAL and notice_first):
        ours = notice(request, patient=patient, structure=structure, texts=texts, kind=kind)
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
) -> str:
    """Our text for this action and reader. `title` stands for the document's own, which the sender wrote.

    earlier: to somebody who had the document and is not among the recipients now (`TO_EARLIER`)
    """
    field, shipped = TO_EARLIER[request.action] if earlier else TEXTS[request.action, patient]
    values = _values(request, request.principal, structure) | {"formes": FORMS[kind]}
    if title is not None:
        values["titre"] = title
    return _FIELD.sub(lambda found: values[found[1]], getattr(texts, field) or shipped)


def _values(request: TransmissionRequest, document: DocumentHeader, structure: str) -> dict[str, str]:
    """What stands in a text, by field. Of an N1 + N3 pair both identifiers are named, in message order."""
    replaced = dict.fromkeys(one.replaces for one in request.documents if one.replaces)
    return {
        "titre": plain(document.title or document.code.label) or "document",
        "date": day(act_time(document)) or "date inconnue",
        "id": " et ".join(one.id for one in request.documents),
        "ancien": " et ".join(replaced) or request.replaces or "inconnu",
        "structure": plain(structure) or "un établissement de santé",
    }


def _clean(text: str) -> str:
    """LF line ends, no control characters but tab."""
    return _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()
