"""The master keys of a site file that changes while a process starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.config.site import Site
from router.errors import OperatorFault
from router.runtime.site_masters import SiteMasters

SITE = """\
environment: qualification
data: var
admin: {port: 0}
feeds: {sil: {kind: relay, mllp: {port: 0}}}
sinks: {hl7.dpi: {type: hl7, host: 127.0.0.1, port: 1}}
encryption: {master_key: {file: %s}}
"""


def test_a_key_that_was_taken_away_while_a_process_started_is_not_missed(tmp_path: Path) -> None:
    """It read the site file before the last step of a rotation, and asks for its keys after it."""
    path = tmp_path / "router.yaml"
    for name, digit in (("old.key", "1"), ("new.key", "2")):
        (tmp_path / name).write_text(digit * 64)
    path.write_text(SITE % "old.key")
    read = Site(path).config.encryption
    assert read is not None
    path.write_text(SITE % "new.key")
    (tmp_path / "old.key").unlink()
    masters = SiteMasters(path, read)
    assert masters().writes.id == SiteMasters(path, Site(path).config.encryption or read)().writes.id
    (tmp_path / "new.key").unlink()
    with pytest.raises(OperatorFault, match="SECRET"):
        masters()
