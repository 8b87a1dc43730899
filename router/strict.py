"""The pydantic base of every model: frozen, unknown keys refused, and silent about its values."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict

FILE_OR_ADDRESS: Final = "file or address"
"""Marks a text, by `Annotated`, that is an address (`https://…`) or else the path of a file, as a `Path` would be."""


class Strict(BaseModel):
    """A configuration model: it prints whole, because it names secrets and never holds them."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Silent(Strict):
    """A model that holds patient data: its `repr` shows its class only, so it can't leak into a log."""

    model_config = ConfigDict(hide_input_in_errors=True)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    __str__ = __repr__
