"""Writes a site into a folder: whole, or nothing of it."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Final

from router.errors import OperatorFault
from router.simulators.serve import ensure_certificates
from router.starter.liste_blanche import liste_blanche
from router.starter.pipeline_files import copy_pipelines
from router.starter.profiles import Profile
from router.starter.site_text import site_text

SITE: Final = "router.yaml"
LISTE_BLANCHE: Final = "liste-blanche.xml"
CERTIFICATES: Final = "certificates"


def write_site(folder: Path, profile: Profile, bus: str = "sqlite") -> None:
    """Write the site of a profile. `folder` is new or empty; folders above it are made.

    Everything is written beside it first, and then takes its name: whoever is interrupted finds no half of a site.
    Raises `OperatorFault` for a folder that holds something, OSError for one that can't be written.
    """
    folder = folder.absolute()
    if folder.exists() and not folder.is_dir():
        raise OperatorFault("INIT-FOLDER", str(folder), "is not a folder: nothing was written")
    if not empty(folder):
        raise OperatorFault("INIT-FOLDER", str(folder), "is not empty: name a new folder, nothing was written")
    there = folder.is_dir()
    above = folder if there else folder.parent
    try:
        above.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".segur-router-init-", dir=above))
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(above)) from error
    try:
        fill(draft, profile, bus)
        if there:
            _move_inside(draft, folder)
        else:
            draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def fill(folder: Path, profile: Profile, bus: str = "sqlite") -> None:
    """All files of a site, into a folder that is there and empty."""
    feeds: defaultdict[str, list[str]] = defaultdict(list)
    for feed in profile.feeds:
        feeds[feed.shipped].append(feed.name)
    copy_pipelines(folder / "pipelines", feeds, {f"hl7.{name}" for name in profile.endpoints})
    ensure_certificates(folder / CERTIFICATES, dict(profile.certificates))
    (folder / LISTE_BLANCHE).write_text(liste_blanche(one.domain for one in profile.hospitals), encoding="utf-8")
    if bus == "kafka":
        (folder / "pseudonymes.key").write_text(secrets.token_hex(32) + "\n", encoding="ascii")
    (folder / SITE).write_text(site_text(profile, bus), encoding="utf-8")


def empty(folder: Path) -> bool:
    """Whether a site can be written there: nothing is there, or a folder that holds nothing."""
    if not folder.exists() and not folder.is_symlink():
        return True
    return folder.is_dir() and next(folder.iterdir(), None) is None


def _move_inside(draft: Path, folder: Path) -> None:
    """A folder that exists keeps its place (somebody may stand in it); the site file comes last."""
    names = sorted((path.name for path in draft.iterdir()), key=lambda name: name == SITE)
    moved: list[Path] = []
    try:
        for name in names:
            (draft / name).rename(folder / name)
            moved.append(folder / name)
    except BaseException:
        for path in moved:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        raise
