"""A patient as a search asks for him: keyed pseudonyms of his normalised forms; the journal keeps no identity in clear.

What is kept and what a person types go through the same forms, so that the one finds the other (hl7-input §5.3, §5.4).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Final

from router.cisis.ins import is_well_formed, key_of, normal
from router.exchange import Pseudonyms
from router.request import Patient

_FULL_DATE: Final = 8
_KEYLESS: Final = 13
_MOST_WORDS: Final = 8
_BLANKS: Final = re.compile(r"[\s.\u00a0\u202f]+")
_NAME: Final = re.compile(r"[^\W\d_]{2,}(?:['’-][^\W\d_]+)*|[^\W\d_]['’][^\W\d_]+")
_DATES: Final = (
    re.compile(r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)"),
    re.compile(r"(?P<day>\d\d?)[/.-](?P<month>\d\d?)[/.-](?P<year>\d{4})"),
    re.compile(r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)"),
)


def name_pseudonyms(
    pseudonyms: Pseudonyms, families: Iterable[str], givens: Iterable[str], birth_date: str
) -> tuple[str, ...]:
    """Pseudonyms of each family name with the birth date, alone and with each given name; none without a whole date.

    birth_date: YYYYMMDD, more is left out;  of a compound given name its first word counts too
    """
    born = birth_date[:_FULL_DATE]
    if len(born) < _FULL_DATE or not born.isdecimal():
        return ()
    firsts: dict[str, None] = {"": None}
    for given in filter(None, map(normal, givens)):
        firsts |= dict.fromkeys((given, given.split()[0]))
    known = dict.fromkeys(filter(None, map(normal, families)))
    return tuple(pseudonyms.of("person", family, given, born) for family in known for given in firsts)


def of_patient(patient: Patient, pseudonyms: Pseudonyms) -> tuple[str, ...]:
    """`name_pseudonyms` of a patient as a message or a document names him."""
    givens = (patient.given, patient.given_names.replace(",", " ").partition(" ")[0])
    return name_pseudonyms(pseudonyms, (patient.birth_family, patient.used_family), givens, patient.birth_date)


def asked(text: str, pseudonyms: Pseudonyms, authorities: Iterable[str]) -> list[str]:
    """Pseudonyms under which the journal may know the patient that a person typed; empty when nothing was typed.

    An INS with or without its key and with blanks, a patient's mailbox, an IPP (of each of `authorities`, or of its
    own as `value^^^&oid`), or names and a birth date in any order: `DUPONT Marie 31/01/1950`.
    """
    text = text.strip()
    if born := _birth_date(text):
        day, names = born
        return list(dict.fromkeys(_persons(names, day, pseudonyms)))
    if matricule := _matricule(text):
        return [pseudonyms.of("ins", matricule), *_ipps(text, pseudonyms, authorities)]
    return _ipps(text, pseudonyms, authorities) if text else []


def lacks_birth_date(text: str) -> bool:
    """Whether it names a person without a whole birth date: no search can find a patient by his names alone."""
    return "^" not in text and not _birth_date(text.strip()) and any(map(_NAME.fullmatch, text.split()))


def is_identity(address: str) -> bool:
    """Whether this address carries an INS, as a patient's mailbox does (mssante §4.2): then it is an identity."""
    return bool(_matricule(address)) and "@" in address


def _matricule(text: str) -> str:
    """The INS, key included, of an INS or of a patient's mailbox; "" for anything else."""
    plain = _BLANKS.sub("", text.removeprefix("<").partition("@")[0]).upper()
    if len(plain) == _KEYLESS and is_well_formed(f"{plain}00"):
        plain += key_of(plain)
    return plain if is_well_formed(plain) else ""


def _ipps(text: str, pseudonyms: Pseudonyms, authorities: Iterable[str]) -> list[str]:
    value, _, rest = text.partition("^")
    own = rest.strip("^").split("^")[0] if rest else ""
    named = [part for part in own.split("&") if part]
    wanted = named or authorities
    return [pseudonyms.of("ipp", authority, value.strip()) for authority in dict.fromkeys(wanted)]


def _birth_date(text: str) -> tuple[str, list[str]] | None:
    """(YYYYMMDD, the words beside it) when the text holds names and one date."""
    words = text.split()[:_MOST_WORDS]
    for place, word in enumerate(words):
        for form in _DATES:
            found = form.fullmatch(word)
            day = _day(found) if found else ""
            if day and len(words) > 1:
                return day, words[:place] + words[place + 1 :]
    return None


def _day(found: re.Match[str]) -> str:
    try:
        return date(int(found["year"]), int(found["month"]), int(found["day"])).strftime("%Y%m%d")
    except ValueError:
        return ""


def _persons(names: list[str], born: str, pseudonyms: Pseudonyms) -> Iterator[str]:
    """Every way to read the words as a family name and a given name, or as a family name alone."""
    words = normal(" ".join(names)).split()
    for cut in range(1, len(words) + 1):
        first, second = " ".join(words[:cut]), " ".join(words[cut:])
        yield pseudonyms.of("person", first, second, born)
        if second:
            yield pseudonyms.of("person", second, first, born)
