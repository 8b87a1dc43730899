"""What the files of this machine say: certificates, lists of the espace de confiance, free room on the disk.

In a cluster each pod has other files: the keys of the DMP are the sinks' alone. So each tells what it has, and who
looks puts the answers together.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from router.config.site import Site
from router.contracts import Clock
from router.directory.kept import kept
from router.runtime.certificates import certificates_of
from router.runtime.status.views import CertificateView, DirectoryView, DiskView, ProcessReport
from router.sinks.certificates import expires
from router.sinks.registry import SINK_TYPES


def certificates(site: Site) -> tuple[CertificateView, ...]:
    """All that the site file names; `ends` is None for a file that this machine does not have, or can't read."""
    return tuple(CertificateView(name, expires(path)) for name, path in certificates_of(site.config).items())


def directory(site: Site, clock: Clock) -> DirectoryView:
    """Raises `OSError` when the folder can't be read."""
    config = site.config
    found = kept(config.directory, site.data / "directory", clock)
    return DirectoryView(
        used=any(SINK_TYPES[kind].directory for kind in config.sink_types.values()),
        liste_blanche_age=found.liste_blanche_age,
        domains=found.domains,
        annuaire_used=config.directory.annuaire.extraction is not None,
        annuaire_age=found.annuaire_age,
        mailboxes=found.mailboxes,
    )


def disk(folder: Path) -> DiskView:
    """Of the file system on which a folder stands, or will stand. Raises `OSError`."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    found = os.statvfs(place)
    return DiskView(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize, found.f_favail, found.f_files)


# ------------------------------------------------------------------------------------------- of several machines


def certificates_seen(
    own: Sequence[CertificateView], reports: Sequence[ProcessReport], *, all_answered: bool
) -> tuple[CertificateView, ...]:
    """Each with the earliest end that a machine read. What nobody read is told only when every machine answered."""
    found = []
    for one in own:
        others = [other.ends for report in reports for other in report.certificates if other.name == one.name]
        ends = min((end for end in (one.ends, *others) if end is not None), default=None)
        if ends is not None or all_answered:
            found.append(CertificateView(one.name, ends))
    return tuple(found)


def directory_seen(own: DirectoryView | None, reports: Sequence[ProcessReport]) -> DirectoryView | None:
    """The oldest list that a machine works with; a machine that has none yet says nothing of it."""
    views = [view for view in (own, *(report.directory for report in reports)) if view is not None]
    if not views:
        return None
    listed = [view for view in views if view.liste_blanche_age is not None]
    imported = [view for view in views if view.annuaire_age is not None]
    first = max(listed, key=lambda view: view.liste_blanche_age or 0, default=views[0])
    second = max(imported, key=lambda view: view.annuaire_age or 0, default=views[0])
    return DirectoryView(
        used=any(view.used for view in views),
        liste_blanche_age=first.liste_blanche_age,
        domains=first.domains,
        annuaire_used=any(view.annuaire_used for view in views),
        annuaire_age=second.annuaire_age,
        mailboxes=second.mailboxes,
    )
