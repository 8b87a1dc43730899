"""A document as a tree, read once for all who look into it: its PDF copy, its narrative, its pictures."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from router.cda import xml
from router.cda.light import Light
from router.cda.presented import document_in


class Whole:
    """The tree of a document that was read before (`router.cda.document.read`); made when it is first asked for."""

    def __init__(self, raw: bytes | memoryview) -> None:
        self.raw = raw

    @cached_property
    def light(self) -> Light:
        """The document without its long texts: their marks stand in the tree."""
        return Light.of(self.raw)

    @cached_property
    def root(self) -> Any:
        """The ClinicalDocument, without comments. Raises `Malformed` R35."""
        return document_in(xml.read_whole(self.light.data, comments=False))
