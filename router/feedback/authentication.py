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
_PROPERTY: Final = re.compile(r'([\w-]+\.[\w-]+)\s*=\s*("[^"]*"|[^\s;]+)')
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
    for one in results.split(";"):
        found = _METHOD.match(one)
        if found is None or (method := found[1].lower()) not in _DOMAINS:
            continue
        said = found[2].lower()
        vouched = [
            value.strip('"').rpartition("@")[2].lower()
            for name, value in _PROPERTY.findall(found[3])
            if name.lower() in _DOMAINS[method]
        ]
        if method == "dmarc" and said in _FAILED:
            return "fail"
        if said == "pass" and any(domain == of or domain.endswith(f".{of}") for of in vouched if "." in of):
            passed = True
        failed = failed or said in _FAILED
    return "pass" if passed else "fail" if failed else "unknown"
