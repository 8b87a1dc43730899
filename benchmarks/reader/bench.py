"""Our reader beside `hl7` and `hl7apy`: time and memory to read a message and decode its document."""

from __future__ import annotations

import argparse
import base64
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks.reader.messages import small, with_document

SIZES = {"1 KB": 1_000, "293 KB": 293_000, "20 MB": 20_000_000}
#: (size, figure) -> what we promise of our own reader.
TARGETS = {("1 KB", "us"): 60.0, ("293 KB", "us"): 1500.0, ("20 MB", "memory"): 3.0}


def message(size: str) -> bytes:
    return small() if size == "1 KB" else with_document(SIZES[size])


def ours(data: bytes, document: bool) -> object:
    """Parse, read what a router asks first, decode the document strictly."""
    from router.hl7.base64 import decode_obx
    from router.hl7.message import Message

    read = Message.parse(data)
    found = (read.text("MSH-10"), read.text("PID-3[PI].1"))
    return decode_obx(read.segments("OBX")[0]) if document else found


def with_hl7(data: bytes, document: bool) -> object:
    import hl7

    read = hl7.parse(data.decode())
    found = (str(read["MSH.F10"]), str(read["PID.F3.R1.C1"]))
    return base64.b64decode(str(read["OBX.F5.R1.C5"])) if document else found


def with_hl7apy(data: bytes, document: bool) -> object:
    from hl7apy.parser import parse_message

    read = parse_message(data.decode(), find_groups=True)
    found = (read.msh.msh_10.value, read.children.get("oru_r01_patient_result") is not None)
    if not document:
        return found
    order = read.oru_r01_patient_result.oru_r01_order_observation
    return base64.b64decode(order.oru_r01_observation[0].obx.obx_5.value.split("^")[4])


READERS: dict[str, Callable[[bytes, bool], object]] = {"router": ours, "hl7": with_hl7, "hl7apy": with_hl7apy}


def memory(name: str) -> int:
    """A figure of this process's memory, in bytes. (`ru_maxrss` won't do: it begins with the parent's.)"""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024


def measure(reader: str, size: str, file: Path) -> dict[str, float]:
    """Best time of one reading; peak memory of reading it, the message included, in sizes of the message."""
    read, document = READERS[reader], size != "1 KB"
    read(small(), False)
    data = file.read_bytes()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins again here (proc_pid_clear_refs(5))
    before = memory("VmRSS")
    read(data, document)
    grown = max(0, memory("VmHWM") - before)
    best, until, runs = float("inf"), time.perf_counter() + 2, 0
    while time.perf_counter() < until or runs < 3:
        started = time.perf_counter()
        read(data, document)
        best, runs = min(best, time.perf_counter() - started), runs + 1
    return {"us": best * 1e6, "memory": (len(data) + grown) / len(data), "bytes": len(data), "runs": runs}


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--json", type=Path, help="also write the figures here")
    arguments.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.one:
        reader, size, file = options.one
        print(json.dumps(measure(reader, size, Path(file))))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        return compare(Path(folder) / "message.hl7", options.json)


def compare(file: Path, report: Path | None) -> int:
    """Every reader on every size, in a process each: peak memory never goes down again."""
    figures, missed = [], 0
    print(f"{'message':>8} {'reader':>8} {'time':>12} {'memory':>22}")
    for size in SIZES:
        file.write_bytes(message(size))
        for reader in READERS:
            command = [sys.executable, __file__, "--one", reader, size, str(file)]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            figures.append({"size": size, "reader": reader, **found})
            kept = f"{found['memory']:.1f} x the message" if size != "1 KB" else ""
            print(f"{size:>8} {reader:>8} {found['us']:>9.0f} us {kept:>22}")
            if reader == "router":
                wrong = [figure for (s, figure), most in TARGETS.items() if s == size and found[figure] > most]
                missed += len(wrong)
    if report:
        report.write_text(json.dumps(figures, indent=1))
    print(f"targets missed: {missed}")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
