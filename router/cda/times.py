"""R38: the dates of the header that the mail, the archive and the DMP are made of (hl7-input §6.2, dmp §2.1).

A date that is no TS of HL7 can be neither converted to UTC nor shown, and nobody behind us may guess what it means.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple

from router.request import DocumentHeader

#: `AAAA[MM[JJ[hh[mm[ss]]]]]` and the offset from UTC; the fraction of a second is gone when the header is read.
_TS: Final = re.compile(r"(\d{4}(?:\d\d){0,5})([+-]\d{4})?", re.ASCII)
_OFFSET: Final = re.compile(r"[+-]\d{1,4}\Z", re.ASCII)
_BIRTH: Final = "recordTarget/patientRole/patient/birthTime/@value"
_FIRST_YEAR: Final = 1800
_LAST_YEAR: Final = 9998
_MAX_OFFSET: Final = 14 * 60
"""Minutes: the zone that is farthest from UTC is UTC+14."""


def is_time(value: str) -> bool:
    """Whether the text is a TS of HL7 and a date that exists; hour, offset and all after the year may lack."""
    match = _TS.fullmatch(value)
    return match is not None and _exists(match[1]) and _is_offset(match[2] or "+0000")


def is_noted_time(value: str) -> bool:
    """As `is_time`, with an offset of any form that the schema of the CDA takes (`+100`): nobody converts this date."""
    digits = _OFFSET.sub("", value)
    return _TS.fullmatch(digits) is not None and _exists(digits)


def is_birth_date(value: str) -> bool:
    """As `is_time`, and month or day may be `00`: unknown, as civil registers of some countries give them."""
    match = _TS.fullmatch(value)
    if match is None:
        return False
    year, month, day = value[:4], match[1][4:6], match[1][6:8]
    known = year + (month if month != "00" else "01") + (day if day != "00" else "01") + match[1][8:]
    return _exists(known) and _is_offset(match[2] or "+0000")


def _exists(digits: str) -> bool:
    parts = [int(digits[:4]), *(int(digits[at : at + 2]) for at in range(4, len(digits), 2))]
    year, *rest = parts
    try:
        datetime(year, *[*rest, *(1, 1)[len(rest) :]])  # type: ignore[arg-type]  # at most six
    except ValueError:
        return False
    return _FIRST_YEAR <= year <= _LAST_YEAR


def _is_offset(text: str) -> bool:
    hours, minutes = int(text[1:3]), int(text[3:5])
    return minutes < 60 and hours * 60 + minutes <= _MAX_OFFSET


class Time(NamedTuple):
    """A date of the header: its name for a person, where it stands, its values, and what it must look like."""

    name: str
    xpath: str
    values: Callable[[DocumentHeader], Iterable[str]]
    fits: Callable[[str], bool] = is_time


TIMES: Final[tuple[Time, ...]] = (
    Time("date de création", "effectiveTime/@value", lambda h: (h.effective_time,)),
    Time(
        "date de naissance",
        _BIRTH,
        lambda h: (h.patient.birth_date,),
        is_birth_date,
    ),
    Time("date de l'auteur", "author/time/@value", lambda h: (one.time for one in h.authors), is_noted_time),
    Time(
        "date de signature",
        "legalAuthenticator[signatureCode/@code='S']/time/@value",
        lambda h: (h.legal_authenticator.time,) if h.legal_authenticator else (),
        is_noted_time,
    ),
    Time("début de l'acte", "documentationOf/serviceEvent/effectiveTime/low/@value", lambda h: (h.start_time,)),
    Time("fin de l'acte", "documentationOf/serviceEvent/effectiveTime/high/@value", lambda h: (h.stop_time,)),
)


def future_times(header: DocumentHeader, today: date) -> list[str]:
    """The dates that are more than a day after today, but for the birth date: names in French, in table order."""
    return [one.name for one in TIMES if one.xpath != _BIRTH and _in_future(one, header, today)]


def born_in_future(header: DocumentHeader, today: date) -> bool:
    """Whether the patient's birth date is more than a day after today."""
    return any(one.xpath == _BIRTH and _in_future(one, header, today) for one in TIMES)


def _in_future(one: Time, header: DocumentHeader, today: date) -> bool:
    """A date is compared as far as it is written: `2026` is not in the future in 2026."""
    last = (today + timedelta(days=1)).strftime("%Y%m%d")
    days = (value[:8] for value in one.values(header) if value and one.fits(value))
    return any(day > last[: len(day)] for day in days)


def wrong_times(header: DocumentHeader) -> list[tuple[str, str]]:
    """The dates that are there and are none: (name in French, path under ClinicalDocument), in table order."""
    return [(one.name, one.xpath) for one in TIMES if not all(map(one.fits, filter(None, one.values(header))))]
