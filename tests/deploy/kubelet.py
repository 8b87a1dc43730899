"""Volumes of ConfigMaps as the kubelet lays them out: files are links into `..data`, which is replaced as one."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from tests.deploy.chart import Manifest

_NUMBERS = itertools.count()


def write(volume: Path, files: dict[str, bytes]) -> None:
    """Put new contents into a volume, at one instant, as an update of its object does."""
    volume.mkdir(parents=True, exist_ok=True)
    generation = volume / f"..{next(_NUMBERS):06}"
    for name, data in files.items():
        path = generation / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    link = volume / "..data_tmp"
    link.symlink_to(generation.name)
    link.rename(volume / "..data")
    for top in {Path(name).parts[0] for name in files}:
        if not (volume / top).is_symlink():
            (volume / top).symlink_to(Path("..data") / top)
    for path in volume.iterdir():
        if not path.name.startswith("..") and path.name not in {Path(name).parts[0] for name in files}:
            path.unlink()


def contents(volume: dict[str, Any], maps: dict[str, Manifest]) -> dict[str, bytes]:
    """Path -> bytes of a volume that ConfigMaps fill."""
    found: dict[str, bytes] = {}
    for source in volume.get("projected", {}).get("sources", [volume]):
        entry = source["configMap"]
        data = maps[entry["name"]]["data"]
        items = entry.get("items") or [{"key": key, "path": key} for key in data]
        found |= {item["path"]: data[item["key"]].encode() for item in items}
    return found
