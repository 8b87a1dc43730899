"""ADT messages of PAM-FR, a register in a file, and a clock that stands still; fictitious patients."""

from __future__ import annotations

from router.exchange import Pseudonyms
from router.hl7.message import Message
from router.register import AdtChange, read

PSEUDONYMS = Pseudonyms(b"a secret of the tests")
TEST_OID = "1.2.250.1.213.1.4.10"
INS_1 = "279035121518989"
INS_2 = "277076322082910"


class StillClock:
    """A clock that the test moves."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.at = now

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


def ipp(value: str) -> str:
    """A repetition of PID-3 or MRG-1: an IPP."""
    return f"{value}^^^CHU-X&000897406&N^PI"


def ins(value: str) -> str:
    """A repetition of PID-3 or MRG-1: an INS."""
    return f"{value}^^^ASIP-SANTE-INS-NIR&{TEST_OID}&ISO^INS"


def adt(
    event: str,
    *ids: str,
    status: str = "VALI",
    zfa: str = "",
    mrg: str | None = None,
    recorded: str = "20260105101500",
    extra: str = "",
    version: str = "2.5^FRA^2.11",
    fictitious: str = "N",
) -> bytes:
    """One ADT message; `zfa` is the segment's fields, `mrg` the content of MRG-1."""
    pid = ["PID", "1", "", "~".join(ids), "", "PAT-TROIS^DOMINIQUE^DOMINIQUE^^^^L", "", "19790328", "F", *[""] * 22]
    lines = [
        rf"MSH|^~\&|GAM|CHU-X|DPI|CHU-X|{recorded}||ADT^{event}^ADT_{event}|3975|P|{version}|||||FRA|UNICODE UTF-8",
        f"EVN||{recorded}",
        "|".join([*pid, fictitious, status]),
    ]
    if mrg is not None:
        lines.append(f"MRG|{mrg}")
    if zfa:
        lines.append(f"ZFA|{zfa}")
    if extra:
        lines.append(extra)
    return "\r".join([*lines, ""]).encode()


def zfa(opposition: str = "", *, consent: str = "", dmp: str = "ACTIF", at: str = "20260105") -> str:
    """The fields of a ZFA."""
    return f"{dmp}|{at}|||||||{opposition}|{at}|{consent}|{at}"


def change(event: str, *ids: str, **fields: str) -> AdtChange:
    """A change that was read without fault."""
    found = read(Message.parse(adt(event, *ids, **fields)))
    assert found.faults == ()
    return found


def ipp_name(value: str) -> str:
    """The pseudonym of an IPP."""
    return PSEUDONYMS.of("ipp", "CHU-X", value)


def ins_name(value: str) -> str:
    """The pseudonym of an INS."""
    return PSEUDONYMS.of("ins", value)
