"""The master key: there, ours alone, and the one that opens the data keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from router import private
from router.errors import RouterError
from router.language import filled_plural
from router.runtime.doctor.check import Installation, Verdict, good, remark, wrong
from router.runtime.site_services import SiteServices
from router.sealing.master import Masters
from router.sealing.settings import EncryptionConfig


def look(installation: Installation) -> Iterator[Verdict]:
    """Each master key can be read; where there is a keyring, each data key has a master key here."""
    config = installation.site.config.encryption
    if config is None:
        text = "what stands on the disk is not sealed: protect the disk, or add `encryption`"
        yield remark("encryption", text)
        return
    yield from _files(config, installation.site.data)
    Masters.of(config)
    with closing(SiteServices(installation.site)) as services:
        database = services.config.database
        own = database.url is None and database.url_secret is None
        if own and not (installation.site.data / "keyring.db").exists():
            yield good("master_key")
            return
        keyring = services.keyring
        if keyring is None:
            return
        try:
            keyring.opens()
        except RouterError as fault:
            yield wrong(f"{fault.code} {fault.place}".strip(), fault.text)
            return
        state = keyring.state()
    yield good("master_key", filled_plural("opens {count} data key", "opens {count} data keys", state.keys))
    if state.lacking:
        text = filled_plural(
            "{count} data key lacks a wrap of the master key",
            "{count} data keys lack a wrap of the master key",
            state.lacking,
        )
        yield remark("master_key", text, "segur-router keys rotate")


def _files(config: EncryptionConfig, data: Path) -> Iterator[Verdict]:
    for name, one in (("master_key", config.master_key), *config.earlier.items()):
        if one.file is not None and private.open_to_others(one.file):
            text = "other accounts of this machine can read the master key"
            yield wrong(f"{name} {one.file}", text, f"chmod 600 {one.file}")
        if one.file is not None and one.file.is_relative_to(data):
            text = "stands in the data folder, beside what it opens: keep it elsewhere, and a copy of it"
            yield wrong(f"{name} {one.file}", text)
