"""A file as a model, as far as it can be read: one mistake hides no other.

What pydantic refuses is taken away, and the rest is read again until it can be read. Whoever looks at the rest asks
`lost`, so that what follows from a mistake that was told already is not told too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from router.config.load import Source
from router.config.sentences import hint_of, known_keys, near_key, nearest_or_known, of_union, of_value
from router.errors import Problem, Severity

M = TypeVar("M", bound=BaseModel)
Where = tuple[str | int, ...]
_ROUNDS: Final = 100


class Reading(Generic[M]):
    """What of a file can be used (`config`), and what is wrong with the rest (`problems`)."""

    def __init__(
        self, source: Source, model: type[M], rest: type[M] | None = None, data: Mapping[str, Any] | None = None
    ) -> None:
        """rest: the same model where nothing is required, for a file of which something can't be used."""
        self.source = source
        self.problems: list[Problem] = []
        self._model = model
        self._lost: list[Where] = []
        self._data = _numbered(source.data if data is None else data)
        self.config = self._read(rest or model)

    @property
    def path(self) -> Path:
        return self.source.path

    @property
    def text(self) -> str:
        return self.source.text

    def lost(self, path: Sequence[str | int]) -> bool:
        """Whether what stands at this path, or around it, could not be used; or is spelt wrong."""
        where = tuple(path)
        return any(where[: len(one)] == one for one in self._lost)

    def names(self, *path: str) -> tuple[str, ...]:
        """The keys that are written in a mapping, readable or not."""
        written = self.source.value(path)
        return tuple(map(str, written)) if isinstance(written, Mapping) else ()

    def problem(
        self, path: Sequence[str | int], text: str, hint: str = "", *, severity: Severity = "error", column: int = 0
    ) -> Problem:
        """A problem at a path of `config`; see `Source.problem`."""
        return self.source.problem(self._written(path), text, hint, severity=severity, column=column)

    # ------------------------------------------------------------------------------------------- internals

    def _read(self, rest: type[M]) -> M:
        model, first = self._model, True
        for _ in range(_ROUNDS):
            try:
                return model.model_validate(self._data)
            except ValidationError as error:
                found = [_Found(self._known(item), dict(item)) for item in error.errors()]
            self._tell(found, first=first)
            self._take_away(found)
            model, first = rest, False
        return rest.model_validate({})

    def _tell(self, found: Sequence[_Found], *, first: bool) -> None:
        """Of what is found in a later round only a rule of ours that names nothing of what was taken away is told."""
        misspelt = dict(self._misspelt(found))
        self._lost += misspelt.values()
        told = found if first else [one for one in found if one.rule and not self._follows(one)]
        for path, some in _by_place(told).items():
            if some[0].kind == "missing" and self._written(path) in misspelt.values():
                continue
            self.problems.append(self._explain(path, some))
        self._lost += [self._written(one.path) for one in found]

    def _misspelt(self, found: Sequence[_Found]) -> Iterator[tuple[Where, Where]]:
        """(what is written, what was meant) for each unknown key that is almost a known one."""
        for one in found:
            if one.kind == "extra_forbidden":
                meant = near_key(str(one.path[-1]), known_keys(self._model, one.raw[:-1]))
                if meant:
                    yield one.path, (*self._written(one.path)[:-1], meant)

    def _follows(self, one: _Found) -> bool:
        """Whether a sentence of ours names a key below its place that was taken away before."""
        where = self._written(one.path)
        below = (str(path[len(where)]) for path in self._lost if path[: len(where)] == where and len(path) > len(where))
        return any(name in str(one.context.get("error", "")) for name in below)

    def _explain(self, path: Where, some: Sequence[_Found]) -> Problem:
        first = some[0]
        text = of_value(first.kind, first.context)
        if len(some) > 1:
            text = of_union([one.kind for one in some], text)
        if first.kind == "extra_forbidden":
            hint = nearest_or_known(str(path[-1]), known_keys(self._model, first.raw[:-1]))
        else:
            hint = hint_of(first.kind, first.context, first.value)
        return self.source.problem(self._written(path), text, hint)

    def _take_away(self, found: Sequence[_Found]) -> None:
        """Remove what can't stand there; of what lacks something, the whole."""
        paths = {one.path[:-1] if one.kind == "missing" else one.path for one in found}
        paths = {path for path in paths if not any(path[: len(other)] == other for other in paths if other != path)}
        self._lost += [self._written(path) for path in paths if path]
        for path in sorted(paths, key=_deepest_first):
            if path:
                parent = _at(self._data, path[:-1])
                if isinstance(parent, dict | _Numbered):
                    del parent[path[-1]]

    def _known(self, item: Mapping[str, Any]) -> Where:
        """The place of an error without what pydantic puts in it: tags of unions, `[key]`."""
        node: Any = self._data
        path: list[str | int] = []
        for part in item["loc"]:
            if _inside(node, part):
                node = node[part]
                path.append(part)
        return (*path, item["loc"][-1]) if item["type"] == "missing" else tuple(path)

    def _written(self, path: Sequence[str | int]) -> Where:
        """A path of what is left, as it stands in the file: entries of lists have their first numbers."""
        node: Any = self._data
        written: list[str | int] = []
        for part in path:
            inside = _inside(node, part)
            written.append(node.numbers[part] if inside and isinstance(node, _Numbered) else part)  # type: ignore[index]
            node = node[part] if inside else None
        return tuple(written)


class _Found:
    """One error of pydantic. `path`: without tags; `raw`: as pydantic says it."""

    def __init__(self, path: Where, item: Mapping[str, Any]) -> None:
        self.path = path
        self.raw: Where = tuple(item["loc"])
        self.kind: str = item["type"]
        self.context: Mapping[str, Any] = item.get("ctx", {})
        self.value: object = item.get("input")

    @property
    def rule(self) -> bool:
        """Whether a validator of ours says it."""
        return self.kind in ("value_error", "assertion_error")


class _Numbered(list[Any]):
    """A list whose entries know which number they had when the file was read."""

    def __init__(self, entries: Sequence[Any]) -> None:
        super().__init__(entries)
        self.numbers = list(range(len(entries)))

    def __delitem__(self, rank: Any) -> None:
        del self.numbers[rank]
        super().__delitem__(rank)


def _numbered(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {key: _numbered(value) for key, value in node.items()}
    return _Numbered([_numbered(one) for one in node]) if isinstance(node, list) else node


def _inside(node: Any, part: str | int) -> bool:
    if isinstance(node, dict):
        return part in node
    return isinstance(node, list) and isinstance(part, int) and 0 <= part < len(node)


def _at(node: Any, path: Where) -> Any:
    for part in path:
        node = node[part] if _inside(node, part) else None
    return node


def _deepest_first(path: Where) -> tuple[int, int]:
    """Later entries of a list first, so that the numbers of earlier ones stay."""
    last = path[-1] if path else 0
    return -len(path), -last if isinstance(last, int) else 0


def _by_place(found: Sequence[_Found]) -> dict[Where, list[_Found]]:
    """Errors of one place together. Of a union, what is said of an entry says more than what is said of the whole."""
    places: dict[Where, list[_Found]] = {}
    for one in found:
        places.setdefault(one.path, []).append(one)
    return {path: some for path, some in places.items() if not any(_deeper(one, path) for one in places)}


def _deeper(other: Where, path: Where) -> bool:
    return len(other) > len(path) > 0 and other[: len(path)] == path
