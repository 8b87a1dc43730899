"""Who really wrote a mail, by the word of our own operator: `Authentication-Results` (RFC 8601)."""

from __future__ import annotations

import re
from typing import Final, Literal

from router.feedback.addresses import without_comments
from router.feedback.mime import Fields

Result = Literal["pass", "fail", "unknown"]

_HEADER: Final = "authentication-results"
_LONGEST: Final = 4096
_METHOD: Final = re.compile(r"\s*([\w.-]+)(?:/\d+)?\s*=\s*([\w.-]+)(.*)", re.DOTALL)
_PROPERTY: Final = re.compile(r"([\w-]+\.[\w-]+)\s*=\s*(\S+)")
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)(?:"|$)', re.DOTALL)
"""A quoted string (RFC 5322 §3.2.4). One that does not end holds all that follows: nothing of it is believed."""
_DOMAIN: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
#: Method -> properties that hold the domain it vouches for (RFC 8601 §2.7).
_DOMAINS: Final = {
    "dmarc": ("header.from",),
    "dkim": ("header.d", "header.i"),
    "spf": ("smtp.mailfrom",),
}
_FAILED: Final = frozenset({"fail", "hardfail", "permerror", "policy"})


def authenticated(header: Fields, authserv_id: str, domain: str) -> Result:
    """Whether the operator `authserv_id` found that the mail comes from `domain`.

    Of its fields only the topmost counts: it removes what a stranger wrote in its name (RFC 8601 §5), or writes above.
    A signature of a parent domain vouches for the domain too.
    """
    for value in header.all(_HEADER):
        who, _, results = without_comments(value[:_LONGEST]).partition(";")
        if who.split(" ")[0].strip().lower() == authserv_id.lower():
            return _result(results, domain.lower())
    return "unknown"


def _result(results: str, domain: str) -> Result:
    passed = failed = False
    quoted: list[str] = []

    def mark(found: re.Match[str]) -> str:
        """What stands in quotes is data: neither `;` nor `=` in it begins anything."""
        quoted.append(re.sub(r"\\(.)", r"\1", found[1]))
        return f"\0{len(quoted) - 1}\0"

    for one in _QUOTED.sub(mark, results.replace("\0", "")).split(";"):
        found = _METHOD.match(one)
        if found is None or (method := found[1].lower()) not in _DOMAINS:
            continue
        said = found[2].lower()
        vouched = [
            re.sub("\0(\\d+)\0", lambda mark: quoted[int(mark[1])], value).rpartition("@")[2].lower()
            for name, value in _PROPERTY.findall(found[3])
            if name.lower() in _DOMAINS[method]
        ]
        if method == "dmarc" and said in _FAILED:
            return "fail"
        vouched = [of for of in vouched if "." in of and _DOMAIN.fullmatch(of)]
        if said == "pass" and any(domain == of or domain.endswith(f".{of}") for of in vouched):
            passed = True
        failed = failed or said in _FAILED
    return "pass" if passed else "fail" if failed else "unknown"
