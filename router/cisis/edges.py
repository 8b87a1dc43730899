"""The edge and bad inputs E01–E50 of the intake (hl7-input §10), in one line each.

They are promises: each has a test named by its number, listed in `docs/conformance.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

EDGES: Final[Mapping[str, tuple[str, str]]] = {
    "E01": ("Base64 cut in mid group", "AE 102 OBX^1^5^1^5"),
    "E02": ("Base64 cut at a group: half a document", "AE 207 OBX^1^5^1^5 906"),
    "E03": ("Raw line ends inside the base64", "AE 100; accepted when the feed joins lines"),
    "E04": ("Base64 with escaped line breaks or repetition separators, unpadded", "AA, the same bytes"),
    "E05": ("A sentence instead of a document", "AE 207 OBX^1^5^1^5 906"),
    "E06": ("DOCTYPE with an external entity", "AE 207 906, nothing read"),
    "E07": ("Billion laughs, 10,000 nested elements", "AE 207 906 in less than a second"),
    "E08": ("Character set declared wrongly", "AA with a warning, or AE 102 MSH^1^18"),
    "E09": ("Real 8859/15 text", "AA, ACK in 8859/15"),
    "E10": ("Unknown MSH-18", "AE 103 MSH^1^18"),
    "E11": ("BOM, LF, CRLF, blank lines", "AA"),
    "E12": ("The same message twice", "The stored ACK, one delivery"),
    "E13": ("Same MSH-10, other content", "AA with a warning"),
    "E14": ("Killed between store and ACK, sent again", "AA, one delivery"),
    "E15": ("A text node of 16 MB; over the limit", "AA; AE 207 906"),
    "E16": ("MSH-14 or DSC", "AE 199 MSH^1^14"),
    "E17": ("DMP without sender or structure", "AE 101 PRT"),
    "E18": ("Mail without recipient or address", "AE 101 PRT"),
    "E19": ("Recipient outside the liste blanche", "AA, Z02 N 510 for him"),
    "E20": ("Patient address that is not his INS", "AA, Z02 N 510; AE 207 904 when strict"),
    "E21": ("Hidden from the patient and mailed to him", "AE 207 906"),
    "E22": ("Masked to professionals and mailed to them", "AE 207 906; allowed by option"),
    "E23": ("Event, ORC-1 and OBX-11 disagree", "AE 207 ORC^1^1 906"),
    "E24": ("Replacement without or with another parent", "AE 101 TXA^1^13; AE 207 900; AE 207 906"),
    "E25": ("TXA-12 is not the CDA's id", "AE 207 TXA^1^12 906"),
    "E26": ("PID-3 and CDA hold different INS", "AE 207 PID^1^3 904"),
    "E27": ("CDA with one local id more", "AA"),
    "E28": ("Identity that is not qualified", "AE 207 906; AE 207 903; AA and Z01 N; AA without INS"),
    "E29": ("PID-32 with attributes, or empty", "Qualified, or not"),
    "E30": ("CX-5 = NH under the INS OID", "Not an INS"),
    "E31": ("INS with a wrong key, for the DMP", "AE 102 PID^1^3^1^1"),
    "E32": ("Type outside J07, or outside J66 for the DMP", "AE 103 OBX^1^3^1^1"),
    "E33": ("Types that differ", "AE 207 906"),
    "E34": ("Two documents in an MDM, three in an ORU", "AE 198"),
    "E35": ("A pair with two actions", "AE 207 OBX^2^11 906"),
    "E36": ("Other versions of HL7", "AE 203 MSH^1^12"),
    "E37": ("Other types and events", "AE 200, AE 201"),
    "E38": ("MSH-11 = T in production", "AE 202 MSH^1^11"),
    "E39": ("Metadata missing, twice, out of order, wrong, unknown", "AE 101, 198, warning, 103, ignored"),
    "E40": ("PRT out of place", "AE 100 PRT^n"),
    "E41": ("Z segments, NTE, PD1, more fields", "AA"),
    "E42": ("Unusual separators", "AA; ACK with the usual ones"),
    "E43": ("Escapes in names and ids", "AA, decoded once, never injected"),
    "E44": ("A frame that is no message", "AE 100, MSA-2 empty"),
    "E45": ("Mail body truncated, or with header lines", "AA, text kept, body only"),
    "E46": ("PRT-15.4 that is more than an address", "AE 102 PRT^n^15^1^4"),
    "E47": ("FHS or BHS batch", "AE 200, MSA-2 empty"),
    "E48": ("Deletion of a document never seen", "AA"),
    "E49": ("1.2 message with a real CDA", "AA with warnings, recipients from the CDA, no ZAM"),
    "E50": ("Storage full", "AR 207; the sender's next try gets AA"),
}
