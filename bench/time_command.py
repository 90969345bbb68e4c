"""What `halfscan time` does: a breakdown, a check against consoles, a Pulseq file's seconds or such a file, or the page."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from .acquisition import Timing
from .configuration import build, compose_run, open_dataset, to_plain
from .errors import HalfscanError, one_line
from .files import why_unwritable
from .sampling.pattern import Sampling
from .scan_time.breakdown import Breakdown, break_down, print_breakdown
from .scan_time.protocol import Protocol

DEFAULT_LINES = 368
"""Width of a fastMRI knee."""
MOST_LINES = 100_000
DEFAULT_FOV_MM, DEFAULT_SLICE_MM = 256.0, 5.0


def run_time(options: argparse.Namespace) -> int:
    """Runs the command.

    Returns:
        0, or 1 where `--check` had to refuse some protocols.
    """
    _refuse_mixed(options)
    for file in filter(None, (options.page, options.write_seq)):
        _refuse_target(file)
    if options.check:
        return _check(options)
    if options.page:
        from .scan_time.page import write_page

        with _writing(options.page):
            write_page(options.page)
        print(f"Page: {options.page} (opens in any browser, offline)")
        return 0
    if options.seq:
        return _read_seq(options)
    breakdown, readout, voxel = _break_down(options.overrides, options.lines)
    if options.write_seq:
        return _write_seq(options, breakdown, readout, voxel)
    if options.json:
        print(json.dumps(breakdown.as_dict(), indent=2))
    else:
        print_breakdown(breakdown)
    return 0


def _refuse_target(file: Path) -> None:
    try:
        reason = "it is a folder" if file.is_dir() or not file.name else why_unwritable(file.parent)
    except (OSError, ValueError) as error:
        reason = one_line(error)
    if reason:
        raise HalfscanError(f"{str(file)[:80]}: can't be written ({reason[:80]})")


@contextmanager
def _writing(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise HalfscanError(f"{str(file)[:80]}: can't be written ({error.strerror})") from error


def _refuse_mixed(options: argparse.Namespace) -> None:
    alone = [name for name in ("check", "page", "seq") if getattr(options, name)]
    if len(alone) > 1:
        raise HalfscanError(f"--{alone[0]} and --{alone[1]} are two commands: give one")
    if alone and (options.overrides or options.lines is not None or options.write_seq):
        raise HalfscanError(f"--{alone[0]} takes no overrides, --lines or --write-seq: it times what is in its file")
    if not options.write_seq and any(getattr(options, name) is not None for name in ("fov_mm", "slice_mm")):
        raise HalfscanError("--fov-mm and --slice-mm are of --write-seq")
    if options.json and (options.page or options.write_seq):
        raise HalfscanError("--json does not go with --page or --write-seq: they write files")


def _check(options: argparse.Namespace) -> int:
    from .scan_time.check import print_report, report
    from .scan_time.console import read_console_file

    file = read_console_file(options.check)
    content = report(file.protocols, file.refused, file.unused)
    if options.json:
        print(json.dumps(content, indent=2))
    else:
        print_report(content)
    return 1 if file.refused else 0


def _read_seq(options: argparse.Namespace) -> int:
    from .scan_time.pulseq import read_seq

    found = read_seq(options.seq)
    if options.json:
        print(json.dumps(found.as_dict(), indent=2))
    else:
        for line in found.lines():
            print(line)
    return 0


def _write_seq(options: argparse.Namespace, breakdown: Breakdown, readout: int, voxel: tuple[float, float, float] | None) -> int:
    from .scan_time.pulseq import write_seq
    from .scan_time.sequences import Geometry

    fov, thickness = options.fov_mm, options.slice_mm
    if voxel is not None:
        stated = Geometry(
            fov_mm=fov or voxel[1] * breakdown.mask.acquired.shape[0],
            fov_readout_mm=voxel[2] * readout,
            slice_mm=thickness or voxel[0],
            readout=readout,
        )
    else:
        fov = DEFAULT_FOV_MM if fov is None else fov
        thickness = DEFAULT_SLICE_MM if thickness is None else thickness
        stated = Geometry(fov_mm=fov, fov_readout_mm=fov, slice_mm=thickness, readout=readout)
    with _writing(options.write_seq):
        found = write_seq(breakdown, stated, options.write_seq)
    for line in found.lines():
        print(line)
    return 0


def _break_down(overrides: Sequence[str], lines: int | None) -> tuple[Breakdown, int, tuple[float, float, float] | None]:
    """The breakdown, how many samples a line has, and the voxel (slice, ky, kx) [mm] where the data state it."""
    of_data = any(_names_dataset(word) for word in overrides)
    # Without data the data set may lack its path: only what is asked for is resolved.
    names = ["sampling", "protocol", "mask_replicate", *(["dataset"] if of_data else [])]
    config = to_plain(compose_run(overrides, names))
    sampling = build(config["sampling"], "sampling")
    protocol = build(config["protocol"], "protocol")
    if not isinstance(sampling, Sampling) or not isinstance(protocol, Protocol):
        raise HalfscanError("sampling and protocol must be halfscan's own kinds: check their _target_")
    replicate = int(config["mask_replicate"])
    if of_data:
        if lines is not None:
            raise HalfscanError("--lines contradicts dataset=...: the data have their own lines")
        acquisition = open_dataset(json.dumps(config["dataset"], sort_keys=True))[1][0]
        readout = acquisition.kspace.size("kx")
        mask = sampling.draw(
            acquisition.acquired, acquisition.digest, replicate, readout=readout, file_name=acquisition.file_name
        )
        return (
            break_down(mask, protocol, acquisition.timing, f"{mask.lines_acquired} lines of the first volume"),
            readout,
            acquisition.voxel_mm,
        )
    count = DEFAULT_LINES if lines is None else lines
    if not 1 <= count <= MOST_LINES:
        raise HalfscanError(f"--lines {count} must be at least 1, and at most {MOST_LINES}")
    mask = sampling.draw(np.ones(count, dtype=bool), "", replicate, readout=count)
    source = f"{count} phase-encode lines" + (" (--lines N for others, dataset=... for the data's own)" if lines is None else "")
    return break_down(mask, protocol, Timing(), source), count, None


def _names_dataset(word: str) -> bool:
    return word.lstrip("+").startswith(("dataset=", "dataset.", "experiment="))
