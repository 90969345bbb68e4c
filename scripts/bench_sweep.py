"""Sweeps against the clock: cells side by side against one after the other, what is not science, tracking, and many small cells.

    python scripts/bench_sweep.py                   # 24 cells of 20 s or more, twice: about 16 minutes on two cores
    python scripts/bench_sweep.py --tiny 2000       # memory and time of so many tiny cells in one process

The basic launcher runs in this process, which has imported everything already, with an empty cache; side by side means a command
of its own with `hydra/launcher=cores`, start of all its processes included. Both at threads=1.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from halfscan.bench import benchmark, images
from halfscan.bench.cli import main
from halfscan.bench.metrics import Profile
from halfscan.bench.tracking import Store

ACCELERATIONS = "sampling.acceleration=2,3,4,6"
BRAINS = ["dataset=digital_brains", "dataset.train=0", "dataset.validation=0", "threads=1", "energy=none"]
SCIENCE = ("reconstruction", "metrics", "references")
spent: dict[str, list[float]] = defaultdict(list)


def clocked(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with every call's seconds noted."""

    def timed(*arguments: Any, **named: Any) -> Any:
        begin = time.perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            spent[name].append(time.perf_counter() - begin)

    return timed


def instrument() -> None:
    """Puts clocks around what is science, and around what a cell tells the store."""
    places: list[tuple[str, Any, str]] = [
        ("reconstruction", images, "reconstruct"),
        ("references", benchmark, "reference_image"),
        ("operations counted", benchmark, "recipe_costs"),
        ("metrics", Profile, "score"),
        ("tracking: run opened", Store, "start_cell"),
        ("tracking: all but its picture", Store, "log_cell"),
        ("tracking: run closed", Store, "end"),
    ]
    log_cell = Store.log_cell
    setattr(Store, "log_cell", lambda *args, **named: log_cell(*args, **{**named, "picture": None}))  # noqa: B010
    for name, place, function in places:
        setattr(place, function, clocked(name, getattr(place, function)))


def basic(words: list[str]) -> float:
    """Seconds of a sweep in this process."""
    spent.clear()
    begin = time.perf_counter()
    assert main(["run", *words]) == 0
    return time.perf_counter() - begin


def side_by_side(words: list[str]) -> float:
    """Seconds of the same in a command of its own."""
    command = [sys.executable, "-c", "import sys; from halfscan.bench.cli import main; sys.exit(main())", "run", *words]
    begin = time.perf_counter()
    subprocess.run([*command, "hydra/launcher=cores"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def cell_seconds(out: Path) -> list[float]:
    """That the cells of a sweep took."""
    return [json.loads(path.read_text("utf-8"))["seconds"] for path in out.glob("sweeps/*/cells/*/status.json")]


def large(options: argparse.Namespace) -> None:
    """24 cells of many seconds."""
    words = [
        *BRAINS,
        f"dataset.test={options.patients}",
        f"dataset.slices={options.slices}",
        "model=wavelet",
        f"model.iterations={options.iterations}",
        ACCELERATIONS,
    ]
    words.append(f"mask_replicate=range(0,{options.replicates})")
    cells = 4 * options.replicates
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        main(["run", *BRAINS, "dataset.test=1", "dataset.slices=1", "model=zero_filled", "out=warm"])
        alone = basic(words)
        found = {name: (sum(times), statistics.median(times)) for name, times in spent.items()}
        together = side_by_side([*words, "out=side", "tracking.experiment=side"])
        science = sum(found[name][0] for name in SCIENCE)
        print(f"{cells} cells of {alone / cells:.1f} s: one after the other {alone:.1f} s, side by side {together:.1f} s")
        print(f"  side by side / one after the other: {together / alone:.3f}")
        one, two = (statistics.median(cell_seconds(Path(folder))) for folder in ("outputs", "side"))
        print(f"  a cell alone {one:.1f} s, beside another {two:.1f} s (medians): the rest is starting, planning and closing")
        for name, (total, median) in found.items():
            print(f"  {name}: {total:.2f} s ({total / alone:.1%}), median {1000 * median:.1f} ms")
        print(f"  all but {', '.join(SCIENCE)}: {1 - science / alone:.1%}")


def tiny(number: int) -> None:
    """So many cells of one small volume: resident memory and seconds, tenth by tenth."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        kspace = rng.standard_normal((1, 1, 32, 32)) + 1j * rng.standard_normal((1, 1, 32, 32))
        Path("data").mkdir()
        np.save("data/one.npy", kspace.astype(np.complex64))
        Path("data/one.json").write_text('{"axes": ["slice", "coil", "ky", "kx"]}')
        marks: list[tuple[float, float]] = []
        from halfscan.bench import task as module

        seen = {"cells": 0}
        original = module.task

        def counted(config: Any) -> None:
            original(config)
            seen["cells"] += 1
            if seen["cells"] % max(1, number // 10) == 0:
                marks.append((time.perf_counter(), memory()))

        module.task = counted
        begin = time.perf_counter()
        words = ["dataset=array", "dataset.path=data", "sampling.acs_lines=8", "model=zero_filled_rss", "metrics=fastmri"]
        words += ["energy=none", "threads=1", f"mask_replicate=range(0,{number})"]
        assert main(["run", *words]) == 0
        print(f"{number} cells: {time.perf_counter() - begin:.1f} s in all, planning and page included")
        before = marks[0][0]
        for index, (at, megabytes) in enumerate(marks):
            lap = at - before if index else float("nan")
            before = at
            print(f"  after {(index + 1) * max(1, number // 10)} cells: {megabytes:.0f} MB, {lap:.1f} s for the last tenth")
        tenth = max(1, number // 10)
        for name, times in spent.items():
            first, last = (1000 * statistics.median(some) for some in (times[:tenth], times[-tenth:]))
            print(f"  {name}: {first:.1f} ms in the first tenth, {last:.1f} ms in the last")
        print(f"  at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def memory() -> float:
    """Resident [MB]."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=320, help="of the reconstruction with wavelets: more make cells longer")
    parser.add_argument("--patients", type=int, default=7, help="of each cell: more make cells longer")
    parser.add_argument("--slices", type=int, default=5, help="of each patient")
    parser.add_argument("--replicates", type=int, default=6, help="of each of four masks: 6 make 24 cells")
    parser.add_argument("--tiny", type=int, metavar="CELLS", help="only this")
    chosen = parser.parse_args()
    instrument()
    tiny(chosen.tiny) if chosen.tiny else large(chosen)
