"""What the traces of a mail say of it: which transaction of IHE it is, and the patient's pseudonym."""

from __future__ import annotations

from router.exchange import Pseudonyms
from router.payload import DocumentOrder
from router.sinks.mssante.contents import Contents


def facts(order: DocumentOrder, contents: Contents, pseudonyms: Pseudonyms) -> dict[str, str]:
    """An archive that leaves is a distribution of documents (ITI-32, IHE ITI TF-2); a notice alone is none."""
    patient = order.request.patient.ins
    found = {"patient": pseudonyms.of("ins", patient.value)} if patient else {}
    return {"iti": "ITI-32", **found} if contents.attachments else found
