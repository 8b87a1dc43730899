"""A YAML file with the place of everything in it."""

from __future__ import annotations

import errno
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from router.config.sentences import ANOTHER_COLON, COLON, DEEP, OPENED, TWICE, of_yaml
from router.errors import ConfigFault, Problem, Severity
from router.language import N_, filled

LARGEST: Final = 1_000_000
"""Characters of a file."""
_DEEPEST: Final = 50
"""Mappings and lists within one another."""
_OPEN: Final = 200
"""Brackets that are open at once: the reader of YAML takes minutes for some thousands, and then has no stack left."""
_ENTRIES: Final = 100_000
"""Entries of a file, those that aliases repeat counted again each time."""
_COLON: Final = re.compile(r":(\s|$)")
_MANY: Final = N_("too much stands here: what a * repeats counts each time")


class Source:
    """One parsed YAML file: its plain data, and where each path stands."""

    def __init__(self, path: Path, text: str | None = None, *, absent: str = "") -> None:
        """Read and parse. Raises `ConfigFault` for a file that can't be read or is not a YAML mapping.

        absent: what to do where no such file exists
        """
        self.path = path
        try:
            self.text = _read(path) if text is None else text
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or N_("not UTF-8")
            hint = absent if isinstance(error, FileNotFoundError) else ""
            raise ConfigFault(
                [Problem(str(path), 1, 1, "", filled("can't be read: {reason}", reason=reason), hint)]
            ) from error
        self._tree = self._parse()

    def _parse(self) -> CommentedMap:
        if _brackets(self.text) > _OPEN:
            raise ConfigFault([Problem(str(self.path), 1, 1, "", DEEP)])
        yaml = YAML(typ="rt")
        yaml.allow_duplicate_keys = False
        try:
            tree = yaml.load(StringIO(self.text))
        except MarkedYAMLError as error:
            raise ConfigFault([self._malformed(error)]) from error
        except RecursionError as error:
            raise ConfigFault([Problem(str(self.path), 1, 1, "", DEEP)]) from error
        except (YAMLError, ValueError) as error:  # a character that no YAML may hold; a number that is none
            raise ConfigFault([Problem(str(self.path), 1, 1, "", of_yaml(""))]) from error
        if tree is None:
            raise ConfigFault([Problem(str(self.path), 1, 1, "", "is empty", "write `name: …`")])
        if not isinstance(tree, CommentedMap):
            raise ConfigFault([Problem(str(self.path), 1, 1, "", "must be a mapping of keys", "write `name: …`")])
        self._measure(tree)
        return tree

    def _malformed(self, error: MarkedYAMLError) -> Problem:
        """Where the mistake is, and not where the reader gave up, as far as the two differ."""
        said = str(error.problem or error.context or "")
        marks = [error.problem_mark, error.context_mark]
        mark = next((one for one in (reversed(marks) if said.startswith(OPENED) else marks) if one), None)
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        if said.startswith(ANOTHER_COLON) and (before := self._without_colon(line - 1)) is not None:
            return Problem(str(self.path), *before, "", COLON)
        return Problem(str(self.path), line, column, "", of_yaml(said))

    def _without_colon(self, end: int) -> tuple[int, int] | None:
        """The last line that says something before a line (counted from 0), if it is a key without a colon."""
        for rank in range(end - 1, -1, -1):
            text = self.text.splitlines()[rank]
            said = text.strip()
            if said and not said.startswith("#"):
                return None if _COLON.search(said) or said[0] in "-'\"|>" else (rank + 1, text.index(said) + 1)
        return None

    def _measure(self, tree: CommentedMap) -> None:
        """Refuse what would never end when it is read, and two keys that are one text (`12` and `"12"`)."""
        left: list[tuple[Any, int]] = [(tree, 1)]
        for count in itertools.count():
            if not left:
                return
            node, depth = left.pop()
            if depth > _DEEPEST or count + len(left) > _ENTRIES:
                raise ConfigFault([Problem(str(self.path), 1, 1, "", DEEP if depth > _DEEPEST else _MANY)])
            if isinstance(node, CommentedMap):
                texts: set[str] = set()
                for key, value in node.items():
                    if str(key) in texts:
                        line, column = node.lc.key(key) if key in node.lc.data else (0, 0)
                        raise ConfigFault([Problem(str(self.path), line + 1, column + 1, "", TWICE)])
                    texts.add(str(key))
                    left.append((value, depth + 1))
            elif isinstance(node, list):
                left += [(one, depth + 1) for one in node]

    @property
    def data(self) -> dict[str, Any]:
        """The file as plain dicts, lists and scalars."""
        return _plain(self._tree)  # type: ignore[no-any-return]

    def holds(self, path: Sequence[str | int]) -> bool:
        """Whether something is written at this path."""
        return len(list(self._steps(path))) == len(path)

    def value(self, path: Sequence[str | int]) -> Any:
        """What is written at a path, None for nothing."""
        steps = list(self._steps(path))
        if len(steps) < len(path):
            return None
        return steps[-1][0][steps[-1][1]] if steps else self._tree

    def place(self, path: Sequence[str | int]) -> tuple[int, int]:
        """Line and column (from 1) of a path, or of the nearest parent that exists."""
        line, column = 1, 1
        for node, key in self._steps(path):
            line, column = (n + 1 for n in (node.lc.key(key) if isinstance(node, CommentedMap) else node.lc.item(key)))
        return line, column

    def _steps(self, path: Sequence[str | int]) -> Iterator[tuple[Any, Any]]:
        """Each node on the way to a path, with the key in it that leads on; they end where nothing is written."""
        node: Any = self._tree
        for part in path:
            key = _key(node, part)
            if key is None:
                return
            yield node, key
            node = node[key]

    def within(self, path: Sequence[str | int], column: int) -> tuple[int, int]:
        """Line and column of a character (from 1) of the text at a path; of its key, where YAML folds the text."""
        parent, last = self.value(path[:-1]), path[-1] if path else 0
        key, text = _key(parent, last), self.value(path)
        if key is None or not isinstance(text, str) or not isinstance(parent, CommentedMap):
            return self.place(path)
        line, begin = parent.lc.value(key)
        written = self.text.splitlines()[line][begin:]
        quoted = written[:1] in ("'", '"')
        if not written[quoted:].startswith(text):
            return self.place(path)
        return line + 1, begin + quoted + column

    def problem(
        self, path: Sequence[str | int], text: str, hint: str = "", *, severity: Severity = "error", column: int = 0
    ) -> Problem:
        """A problem at a path. column: of a character of the text that stands there, from 1."""
        line, at = self.within(path, column) if column else self.place(path)
        return Problem(str(self.path), line, at, dotted(path), text, hint, severity)


def _read(path: Path) -> str:
    """Raises OSError, UnicodeDecodeError."""
    with path.open(encoding="utf-8-sig") as file:
        text = file.read(LARGEST + 1)
    if len(text) > LARGEST:
        raise OSError(errno.EFBIG, N_("it is too long"))
    return text


def _brackets(text: str) -> int:
    """How many are open at once at most, those in texts counted too."""
    depths = itertools.accumulate((one in "[{") - (one in "]}") for one in re.findall(r"[\[\]{}]", text))
    return max(depths, default=0)


def _key(node: Any, part: str | int) -> Any:
    """The key in a node of the tree that a part of a path means: YAML reads `12:` as a number. None for nothing."""
    if isinstance(node, CommentedSeq):
        return part if isinstance(part, int) and 0 <= part < len(node) else None
    if not isinstance(node, CommentedMap):
        return None
    return part if part in node else next((key for key in node if str(key) == part), None)


def dotted(path: Sequence[str | int]) -> str:
    """`steps[0].validate.schema` for a path."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _plain(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    if isinstance(node, str):
        return str(node)
    if isinstance(node, bool) or node is None:
        return node
    if isinstance(node, int):
        return int(node)
    return float(node) if isinstance(node, float) else node
