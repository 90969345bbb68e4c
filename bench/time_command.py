"""What `halfscan time` does: a breakdown, a check against consoles, a Pulseq file's seconds or such a file, or the page."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from .acquisition import Timing
from .configuration import build, open_dataset, to_plain
from .errors import HalfscanError, one_line
from .files import why_unwritable
from .sampling.pattern import Sampling
from .scan_time.breakdown import Breakdown, break_down, print_breakdown
from .scan_time.protocol import Protocol

DEFAULT_LINES = 368
"""Width of a fastMRI knee."""


def run_time(options: argparse.Namespace) -> int:
    """Runs the command.

    Returns:
        0, or 1 where `--check` had to refuse some protocols.
    """
    _refuse_mixed(options)
    for file in filter(None, (options.page, options.write_seq)):
        if reason := why_unwritable(file.parent):
            raise HalfscanError(f"{file}: can't be written ({reason})")
    if options.check:
        return _check(options)
    if options.page:
        from .scan_time.page import write_page

        write_page(options.page)
        print(f"Page: {options.page} (opens in any browser, offline)")
        return 0
    if options.seq:
        return _read_seq(options)
    breakdown, readout = _break_down(options.overrides, options.lines)
    if options.write_seq:
        return _write_seq(options, breakdown, readout)
    if options.json:
        print(json.dumps(breakdown.as_dict(), indent=2))
    else:
        print_breakdown(breakdown)
    return 0


def _refuse_mixed(options: argparse.Namespace) -> None:
    alone = [name for name in ("check", "page", "seq") if getattr(options, name)]
    if len(alone) > 1:
        raise HalfscanError(f"--{alone[0]} and --{alone[1]} are two commands: give one")
    if alone and (options.overrides or options.lines is not None or options.write_seq):
        raise HalfscanError(f"--{alone[0]} takes no overrides, --lines or --write-seq: it times what is in its file")
    if options.json and (options.page or options.write_seq):
        raise HalfscanError("--json does not go with --page or --write-seq: they write files")


def _check(options: argparse.Namespace) -> int:
    from .scan_time.check import print_report, report
    from .scan_time.console import read_console_file

    file = read_console_file(options.check)
    content = report(file.protocols, file.refused)
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


def _write_seq(options: argparse.Namespace, breakdown: Breakdown, readout: int) -> int:
    from .scan_time.pulseq import Geometry, write_seq

    geometry = Geometry(fov_mm=options.fov_mm, slice_mm=options.slice_mm, readout=readout)
    found = write_seq(breakdown, geometry, options.write_seq)
    for line in found.lines():
        print(line)
    return 0


def _break_down(overrides: Sequence[str], lines: int | None) -> tuple[Breakdown, int]:
    """The breakdown, and how many samples a line has."""
    config = _compose(overrides)
    sampling: Sampling = build(config["sampling"], "sampling")
    protocol: Protocol = build(config["protocol"], "protocol")
    replicate = int(config["mask_replicate"])
    if any(_names_dataset(word) for word in overrides):
        if lines is not None:
            raise HalfscanError("--lines contradicts dataset=...: the data have their own lines")
        acquisition = open_dataset(json.dumps(config["dataset"], sort_keys=True))[1][0]
        readout = acquisition.kspace.size("kx")
        mask = sampling.draw(
            acquisition.acquired, acquisition.digest, replicate, readout=readout, file_name=acquisition.file_name
        )
        return break_down(mask, protocol, acquisition.timing, f"{mask.lines_acquired} lines of the first volume"), readout
    count = DEFAULT_LINES if lines is None else lines
    if count < 1:
        raise HalfscanError(f"--lines {count} must be at least 1")
    mask = sampling.draw(np.ones(count, dtype=bool), "", replicate, readout=count)
    source = f"{count} phase-encode lines" + (" (--lines N for others, dataset=... for the data's own)" if lines is None else "")
    return break_down(mask, protocol, Timing(), source), count


def _names_dataset(word: str) -> bool:
    return word.lstrip("+").startswith(("dataset=", "dataset.", "experiment="))


def _compose(overrides: Sequence[str]) -> dict[str, Any]:
    from hydra import compose, initialize_config_module
    from hydra.errors import HydraException

    from ..configs.schema import register

    register()
    try:
        with initialize_config_module("halfscan.configs", version_base="1.3"):
            config = compose("run", list(overrides))
    except HydraException as error:
        if "multirun" in str(error):
            raise HalfscanError("halfscan time takes one mask at a time, and an override has several values: use run") from error
        cause = one_line(error.__cause__) if error.__cause__ else ""
        raise HalfscanError(one_line(error) + (f" {cause}" if cause and cause not in one_line(error) else "")) from error
    # The data set may lack its path: only what is asked for is resolved.
    named = [name for name in ("dataset",) if any(_names_dataset(word) for word in overrides)]
    return to_plain(OmegaConf.masked_copy(config, ["sampling", "protocol", "mask_replicate", *named]))
