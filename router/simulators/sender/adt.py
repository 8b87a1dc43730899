"""ADT messages of PAM-FR (2.11): admissions with ZFA, identity changes and merges (decisions D8)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

from router.simulators.sender.er7 import segment
from router.simulators.sender.hl7 import ins_cx, ipp_cx, msh, pid, pv1
from router.simulators.sender.people import Patient

_STRUCTURES: Final = {"A04": "A01", "A08": "A01", "A14": "A05", "A28": "A05", "A31": "A05", "A40": "A39", "A44": "A43"}
"""MSH-9.3 of events that share another event's structure (HL7 v2.5, chapter 3)."""
_MERGES: Final = frozenset({"A40", "A44", "A47"})
_WITHOUT_VISIT: Final = frozenset({"A28", "A31", "A40", "A47"})


def adt(
    event: str,
    patient: Patient,
    *,
    when: dt.datetime,
    control_id: str,
    sending: tuple[str, str],
    receiving: tuple[str, str],
    pid32: Sequence[str],
    ins: bool,
    opposition: str,
    consent: str,
    dmp: str,
    merged: Patient | None,
    processing: str,
) -> list[str]:
    """The segments of one ADT; `opposition` is ZFA-9 (INO, IO, NA), `consent` ZFA-11, `dmp` ZFA-1, "" for no ZFA.

    `merged` fills MRG-1: the patient that disappears (A40), from whom the file comes (A44), whose identifiers
    change (A47, then an INS that is left out of PID-3 is withdrawn).
    """
    stamp = f"{when:%Y%m%d%H%M%S}"
    structure = _STRUCTURES.get(event, event)
    out = [
        msh(
            sending,
            receiving,
            when,
            f"ADT^{event}^ADT_{structure}",
            control=control_id,
            processing=processing,
            version="2.5^FRA^2.11",
            profile="2.11^IHE_FRANCE-2.11-PAM",
        ),
        segment("EVN", {2: stamp, 6: stamp}),
        pid(patient, pid32, ins=ins),
    ]
    if event in _MERGES:
        gone = merged or patient
        out.append(segment("MRG", {1: "~".join(([ins_cx(gone)] if gone.ins else []) + [ipp_cx(gone)])}))
    if event not in _WITHOUT_VISIT:
        movement = {1: f"{control_id}^{sending[1]}", 2: stamp, 4: "INSERT", 5: "N", 9: "HMS"}
        out += [pv1("I", patient), segment("ZBE", movement)]
    if dmp:
        out.append(segment("ZFA", {1: dmp, 2: stamp, 9: opposition, 10: stamp, 11: consent, 12: stamp}))
    return out
