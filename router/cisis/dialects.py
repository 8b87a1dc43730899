"""The generations of senders as one table (hl7-input §1.7): everything that differs is a column here.

The checks and the reading of a message ask this table; none of them compares a version.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from router.request import Dialect

#: The metadata of the volet, canonical names, in the fixed order of 2.1 (hl7-input §1.6).
MASKS: Final = ("MASQUE_PS", "INVISIBLE_PATIENT", "INVISIBLE_REP_LEGAUX", "CONNEXION_SECRETE", "MODIF_CONF_CODE")
DESTINATIONS: Final = ("DESTDMP", "DESTMSSANTEPS", "DESTMSSANTEPAT")
ACKNOWLEDGEMENTS: Final = ("ACK_RECEPTION", "ACK_LECTURE_MSS")
BODIES: Final = ("CORPSMAIL_PS", "CORPSMAIL_PATIENT")

#: Other spellings of a metadata name, accepted from every generation.
ALIASES: Final[Mapping[str, str]] = {
    "ACK_LECTURE": "ACK_LECTURE_MSS",
    "INVISIBLE_REPRESENTANTS_LEGAUX": "INVISIBLE_REP_LEGAUX",
    "INVISIBLE_REPRENSANTS_LEGAUX": "INVISIBLE_REP_LEGAUX",
    "MODIF_CONFIDENTIALITYCODE": "MODIF_CONF_CODE",
}

#: Spellings that only a 1.2 sender uses: they betray one when MSH-21 is absent.
_NAMES_OF_1_2: Final = frozenset(
    {
        "INVISIBLE_REPRESENTANTS_LEGAUX",
        "INVISIBLE_REPRENSANTS_LEGAUX",
        "MODIF_CONFIDENTIALITYCODE",
        "COMP_LOT",
    }
)


@dataclass(frozen=True, slots=True)
class DialectTable:
    """One generation.

    profile:          MSH-21 to answer with: (EI-1, EI-2)
    order_segments:   ORC and OBR are required
    action_in_orc:    ORC-1 carries the action (NW, RO, CA) and must agree with the rest; else it is ignored
    obr_code:         OBR-4 must be the document's type
    recipients_in_cda: MSSanté addresses stand in the CDA's informationRecipient
    sender_in_prt:    a PRT SB names who sends
    metadata:         canonical names in this generation's order
    order_is_a_rule:  the site may refuse another order (R71)
    ignored:          OBX-3 codes that this generation adds and we don't need
    yes_no:           coding system of Y and N (OBX-5.3), in both directions
    participation:    coding system of PRT-4
    zam:              it knows business acknowledgements
    error_condition:  coding system of ERR-3 in a ZAM
    """

    dialect: Dialect
    profile: tuple[str, str]
    order_segments: bool
    action_in_orc: bool
    obr_code: bool
    recipients_in_cda: bool
    sender_in_prt: bool
    metadata: tuple[str, ...]
    order_is_a_rule: bool
    ignored: frozenset[str]
    yes_no: str
    participation: str
    zam: bool
    error_condition: str


DIALECTS: Final[Mapping[Dialect, DialectTable]] = {
    Dialect.V1_2: DialectTable(
        dialect=Dialect.V1_2,
        profile=("1.2", "CISIS_CDA_HL7_V1"),
        order_segments=False,
        action_in_orc=False,
        obr_code=False,
        recipients_in_cda=True,
        sender_in_prt=False,
        metadata=(*MASKS, *DESTINATIONS),
        order_is_a_rule=False,
        ignored=frozenset({"COMP_LOT"}),
        yes_no="",
        participation="",
        zam=False,
        error_condition="",
    ),
    Dialect.V2_0: DialectTable(
        dialect=Dialect.V2_0,
        profile=("2.0", "CISIS_CDA_HL7_V2"),
        order_segments=False,
        action_in_orc=False,
        obr_code=True,
        recipients_in_cda=False,
        sender_in_prt=True,
        metadata=(*MASKS, *DESTINATIONS, *BODIES, *ACKNOWLEDGEMENTS),
        order_is_a_rule=False,
        ignored=frozenset(),
        yes_no="HL70136",
        participation="HL70912",
        zam=True,
        error_condition="HL70357",
    ),
    Dialect.V2_1: DialectTable(
        dialect=Dialect.V2_1,
        profile=("2.1", "CISIS_CDA_HL7_V2"),
        order_segments=True,
        action_in_orc=True,
        obr_code=True,
        recipients_in_cda=False,
        sender_in_prt=True,
        metadata=(*MASKS, *DESTINATIONS, *ACKNOWLEDGEMENTS, *BODIES),
        order_is_a_rule=True,
        ignored=frozenset(),
        yes_no="expandedYes-NoIndicator",
        participation="participation",
        zam=True,
        error_condition="messageErrorCondition",
    ),
}

#: MSH-21.2 -> the families of MSH-21.1 that stand behind it.
_PROFILES: Final[Mapping[str, Mapping[str, Dialect]]] = {
    "CISIS_CDA_HL7_V1": {"1": Dialect.V1_2},
    "CISIS_CDA_HL7_V2": {"2.0": Dialect.V2_0, "2.1": Dialect.V2_1},
}


def declared(version: str, profile: str) -> Dialect | None:
    """The generation that MSH-21 declares, or None for an unknown one (R11). Both parts already trimmed.

    `2.1.2` is 2.1; an empty 21.2 is read from the version alone.
    """
    if profile and profile.upper() not in _PROFILES:
        return None
    families = [_PROFILES[profile.upper()]] if profile else list(_PROFILES.values())
    for known in families:
        for family, dialect in known.items():
            if version == family or version.startswith(family + "."):
                return dialect
    return None


def inferred(names: Iterable[str], yes_no_systems: Iterable[str]) -> Dialect:
    """The generation of a message without MSH-21, from its metadata names (OBX-3.1) and OBX-5.3."""
    if not _NAMES_OF_1_2.isdisjoint(names):
        return Dialect.V1_2
    systems = set(yes_no_systems)
    if DIALECTS[Dialect.V2_0].yes_no in systems:
        return Dialect.V2_0
    if DIALECTS[Dialect.V2_1].yes_no in systems:
        return Dialect.V2_1
    return Dialect.V1_2 if systems == {""} else Dialect.V2_1


def canonical(name: str) -> str:
    """The canonical name of a metadata OBX."""
    return ALIASES.get(name.upper(), name.upper())
