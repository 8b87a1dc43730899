"""One message of the demo's story: what was asked, what became of it, and what of it was promised."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Row:
    """One message of the story: what was asked, what became of it, and whether that is what was promised."""

    scene: str
    asked: str
    control_id: str
    ack: str = ""
    dmp: str = "-"
    mail: str = "-"
    back: str = "-"
    broken: list[str] = field(default_factory=list)

    def promise(self, sentence: str, kept: object) -> None:
        """Note a promise that was not kept."""
        if not kept:
            self.broken.append(sentence)
