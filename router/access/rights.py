"""Rights and names, as text that people write and as they are stored."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final

from router.access.person import EVERY, Role
from router.errors import OperatorFault
from router.language import T_, filled
from router.structures import FINESS

ROLES: Final[Mapping[str, Role]] = {role.name.lower(): role for role in Role}
RESERVED: Final = frozenset({"system", "cli", "anonymous", "nobody"})
"""Words that stand in the audit in the place of a name."""
_PLAIN: Final = re.compile(r"[a-z0-9][a-z0-9._@+-]{1,63}")
NAME: Final = T_("not a name: {n} characters at most, small letters without accents, digits, and . _ @ + - inside")
STRUCTURE: Final = T_("not a FINESS, and not `*` for all structures: {what}")
ROLE: Final = T_("no role is named so; the roles are {roles}")


def folded(name: str) -> str:
    """A name as two people who type it differently mean it: without case, spaces around, and wide letters."""
    readable = name[:256].encode(errors="replace").decode()
    return unicodedata.normalize("NFKC", readable).strip().casefold()


def plain(name: str) -> bool:
    """Whether an account can be named so."""
    return _PLAIN.fullmatch(name) is not None


def checked_name(name: str) -> str:
    """The name of an account. Raises `OperatorFault` (`ACCESS-NAME`) for one that can't be one."""
    found = folded(name)
    if not plain(found) or found in RESERVED:
        raise OperatorFault("ACCESS-NAME", "", filled(NAME, n=64))
    return found


def role(text: str) -> Role:
    """`reader`, `operator` or `administrator`. Raises `OperatorFault` (`ACCESS-ROLE`)."""
    if (found := ROLES.get(text.strip().lower())) is None:
        raise OperatorFault("ACCESS-ROLE", "", filled(ROLE, roles=", ".join(ROLES)))
    return found


def rights(pairs: Iterable[tuple[str, str]]) -> dict[str, Role]:
    """(FINESS or `*`, name of a role) -> rights. Raises `OperatorFault` (`ACCESS-STRUCTURE`, `ACCESS-ROLE`)."""
    found: dict[str, Role] = {}
    for structure, name in pairs:
        if structure != EVERY and not FINESS.fullmatch(structure):
            raise OperatorFault("ACCESS-STRUCTURE", "", filled(STRUCTURE, what=repr(structure[:20])))
        found[structure] = max(role(name), found.get(structure, Role.READER))
    return found


def both(one: Mapping[str, Role], other: Mapping[str, Role]) -> dict[str, Role]:
    """What both of these rights give."""

    def held(rights: Mapping[str, Role], structure: str) -> int:
        return max(rights.get(structure, 0), rights.get(EVERY, 0))

    found = {structure: min(held(one, structure), held(other, structure)) for structure in {*one, *other}}
    return {structure: Role(least) for structure, least in found.items() if least}


def typed(held: Mapping[str, Role]) -> str:
    """As they are typed, `750100125=reader`, with blanks between several."""
    return " ".join(f"{structure}={held_role.name.lower()}" for structure, held_role in held.items())


def stored(held: Mapping[str, Role]) -> str:
    return json.dumps({structure: name.name.lower() for structure, name in sorted(held.items())})


def read(text: str) -> dict[str, Role]:
    """What `stored` made. A role that a newer version wrote gives no right here."""
    return {structure: ROLES[name] for structure, name in json.loads(text).items() if name in ROLES}
