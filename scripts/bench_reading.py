"""Reading a volume slice by slice, beside h5py reading the same bytes: seconds, memory, and what is asked of us.

    python scripts/bench_reading.py [--slices 30 --coils 16 --readout 640 --lines 368 --padding 20] [--json OUT]

Writes a file as fastMRI lays it out, reads it once so that it lies in the system's cache, and then reads it in turns by
h5py (`dataset[slice]`) and by our data set (open, then every slice without its padding). Opening hashes a file once in its
life; that pass is timed by itself. Memory is the growth of a fresh process's peak while it streams all slices, over the
bytes of one slice.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from halfscan.datasets.fastmri import FastMri

RATIO, SLICES = 1.25, 2.0
"""Asked: our seconds over h5py's, and the memory of streaming in slices, at most."""
_HEADER = """<?xml version="1.0"?><ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><encoding>
<encodedSpace><matrixSize><x>{x}</x><y>{y}</y><z>1</z></matrixSize><fieldOfView_mm><x>{x}</x><y>{y}</y><z>3</z></fieldOfView_mm></encodedSpace>
<reconSpace><matrixSize><x>320</x><y>320</y><z>1</z></matrixSize><fieldOfView_mm><x>320</x><y>320</y><z>3</z></fieldOfView_mm></reconSpace>
<encodingLimits><kspace_encoding_step_1><minimum>0</minimum><maximum>{last}</maximum><center>{centre}</center></kspace_encoding_step_1></encodingLimits>
<trajectory>cartesian</trajectory></encoding></ismrmrdHeader>"""


def main() -> int:
    options = _options()
    if options.child:
        print(grown(options.child))
        return 0
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_CACHE_HOME"] = name
        path = Path(name) / "volume.h5"
        write(path, options)
        begin = time.perf_counter()
        (volume,) = FastMri(path=str(path)).acquisitions()
        survey_s = time.perf_counter() - begin
        seconds: dict[str, list[float]] = {"h5py": [], "halfscan": []}
        for _ in range(options.rounds):
            seconds["h5py"].append(timed(lambda: by_h5py(path)))
            seconds["halfscan"].append(timed(lambda: ours(path)))
        found = {
            "h5py_s": statistics.median(seconds["h5py"]),
            "halfscan_s": statistics.median(seconds["halfscan"]),
            "survey_s": survey_s,
            "memory_slices": memory(path) / slice_bytes(path),
        }
        shape = " × ".join(str(size) for size in volume.kspace.shape)
    found["ratio"] = found["halfscan_s"] / found["h5py_s"]
    print(f"slice × coil × ky × kx = {shape}, of {options.lines} lines with their padding; medians of {options.rounds} rounds")
    print(f"h5py {found['h5py_s']:.3f} s, halfscan {found['halfscan_s']:.3f} s, first pass (hash, once a file) {survey_s:.2f} s")
    for what, value, most in (
        ("seconds over h5py's", found["ratio"], RATIO),
        ("memory in slices", found["memory_slices"], SLICES),
    ):
        print(f"{'holds' if value <= most else 'MISSED'}: {what} {value:.2f} (at most {most})")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    return 0


def write(path: Path, options: argparse.Namespace) -> None:
    """A volume of noise, with lines of zeros on both sides."""
    rng = np.random.default_rng(0)
    shape = (options.slices, options.coils, options.readout, options.lines)
    with h5py.File(path, "w") as file:
        data = file.create_dataset("kspace", shape, np.complex64)
        for index in range(options.slices):
            one = rng.standard_normal((*shape[1:], 2), dtype=np.float32).view(np.complex64)[..., 0]
            one[..., : options.padding] = one[..., options.lines - options.padding :] = 0
            data[index] = one
        acquired = options.lines - 2 * options.padding
        file["ismrmrd_header"] = _HEADER.format(
            x=options.readout, y=options.lines, last=acquired - 1, centre=options.lines // 2 - options.padding
        )


def timed(work: Callable[[], None]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def by_h5py(path: Path) -> None:
    """All slices as they lie in the file."""
    with h5py.File(path, "r") as file:
        for index in range(file["kspace"].shape[0]):
            file["kspace"][index]


def ours(path: Path) -> None:
    """Opening, then all slices without their padding."""
    (volume,) = FastMri(path=str(path)).acquisitions()
    for index in range(volume.slices):
        volume.kspace.read({"slice": index})


def slice_bytes(path: Path) -> int:
    with h5py.File(path, "r") as file:
        return int(np.prod(file["kspace"].shape[1:])) * file["kspace"].dtype.itemsize


def memory(path: Path) -> int:
    """Bytes that a fresh process grows by while it streams."""
    printed = subprocess.run(
        [sys.executable, __file__, "--child", str(path)], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    return int(printed.split()[-1])


def grown(path: str) -> int:
    """Growth of this process's peak, libraries loaded before."""
    FastMri(path=path, max_slices=1).acquisitions()
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    ours(Path(path))
    return _status("VmHWM") - before


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name, default in (("slices", 30), ("coils", 16), ("readout", 640), ("lines", 368), ("padding", 20), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
