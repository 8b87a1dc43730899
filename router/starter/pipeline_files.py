"""The shipped pipelines and their samples, and their copy into a site.

`router/starter/pipelines` is a link to `pipelines/` of the checkout; the wheel holds the files themselves.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Final

from router.config.load import Source

PIPELINES: Final = Path(__file__).parent / "pipelines"
SAMPLES: Final = PIPELINES / "samples"
FIRST: Final = "biologie-ok.hl7"
"""The sample to begin with."""
FIRST_ID: Final = "S2025-000001"
"""Its MSH-10; a test compares them."""
_FEED: Final = re.compile(r"^feed: (?:(?P<one>[a-z][a-z0-9-]*)|\[(?P<several>[^]]+)\])$", re.MULTILINE)
"""The shipped files write `feed` on one line; a test says so."""


def copy_pipelines(folder: Path, feeds: Mapping[str, Sequence[str]], sinks: Set[str]) -> None:
    """Copy the shipped files into `folder`, with their samples.

    feeds: name in the shipped files -> names in the site. sinks: instances of the site (`hl7.dpi`). A pipeline that has
    no feed there, or names a sink that is not there, is left out.
    """
    folder.mkdir()
    for file in sorted(PIPELINES.glob("*.yaml")):
        text = _for_feeds(file.read_text(encoding="utf-8"), feeds)
        named = {name for name in Source(file).data["sinks"] if "." in name}
        if text is not None and named <= sinks:
            (folder / file.name).write_text(text, encoding="utf-8")
    (folder / "samples").mkdir()
    for sample in sorted(SAMPLES.glob("*.hl7")):
        shutil.copyfile(sample, folder / "samples" / sample.name)


def _for_feeds(text: str, feeds: Mapping[str, Sequence[str]]) -> str | None:
    """The same pipeline for the feeds of a site; None when the site has none of them."""
    found = _FEED.search(text)
    shipped = [name.strip() for name in (found["one"] or found["several"]).split(",")] if found else []
    names = [own for name in shipped for own in feeds.get(name, ())]
    if found is None or not names:
        return None
    line = names[0] if len(names) == 1 else f"[{', '.join(names)}]"
    return f"{text[: found.start()]}feed: {line}{text[found.end() :]}"
