"""Messages for the reader's benchmarks: fictitious, of any size, always the same for the same arguments."""

from __future__ import annotations

import base64
import random

_METADATA = (
    "MASQUE_PS",
    "INVISIBLE_PATIENT",
    "INVISIBLE_REP_LEGAUX",
    "CONNEXION_SECRETE",
    "MODIF_CONF_CODE",
    "DESTDMP",
    "DESTMSSANTEPS",
    "DESTMSSANTEPAT",
    "ACK_RECEPTION",
    "ACK_LECTURE_MSS",
)


def small() -> bytes:
    """A result of about 1 KB, without document."""
    lines = [
        "MSH|^~\\&|LAB|HOSP|PFI|DEST|20260102030405||ORU^R01^ORU_R01|K1|P|2.5|||||FRA|UNICODE UTF-8",
        "PID|1||100200300^^^HOSP&1.2.250.1.1&ISO^PI||MARTIN^ZOÉ^ZOÉ LOU^^^^L||19780312|F",
        "PV1|1|O|CARDIO^12^A||||10001234567^DURAND^PAUL",
        "ORC|NW|P1|F1||CM",
        "OBR|1|P1|F1|24331-1^Lipides^LN|||20260102",
    ]
    lines += [f"OBX|{n}|NM|2093-3^Cholestérol^LN||{n}.5|g/L|0-2|N|||F|||20260102" for n in range(1, 12)]
    return "".join(f"{line}\r" for line in lines).encode()


def with_document(size: int) -> bytes:
    """An ORU of the volet of about `size` bytes: its document, a recipient and the ten metadata."""
    lines = [
        "MSH|^~\\&|SIL|LABO|PFI|CHU|202601020304||ORU^R01^ORU_R01|D1|P|2.5|||||FRA|UNICODE UTF-8|||"
        "2.1^CISIS_CDA_HL7_V2",
        "PID|||42^^^CHU&1.2.250.1.1&ISO^PI||MARTIN^ZOÉ^ZOÉ^^^^L||19780312|F||||||||||||||||||||||||PROV",
        "PV1|1|I",
        "ORC|NW",
        "OBR|1|||11502-2^CR d'examens biologiques^LN",
    ]
    document = random.Random(7).randbytes(max(0, size - 2600) * 3 // 4)
    encoded = base64.b64encode(document).decode()
    lines.append(f"OBX|1|ED|11502-2^CR d'examens biologiques^LN||^TEXT^XML^Base64^{encoded}||||||F")
    lines.append("PRT||UC||RCT^^participation|801234567897^HODA^ADAM||||||||||^^X.400^adam.hoda@exemple.mssante.fr")
    lines += [
        f"OBX|{n}|CE|{name}^Libellé de la métadonnée^MetaDMPMSS||N^^expandedYes-NoIndicator||||||F"
        for n, name in enumerate(_METADATA, 2)
    ]
    return "".join(f"{line}\r" for line in lines).encode()
