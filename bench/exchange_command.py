"""What `halfscan export-inputs` and `halfscan score` do: a vendor's method between the two."""

from __future__ import annotations

import argparse
import json
import re

from .configuration import build, compose_run, open_dataset, to_plain
from .errors import HalfscanError
from .exchange import INDEX, export_inputs
from .progress import progress
from .run_command import run_sweep
from .sampling.pattern import Sampling


def run_export(options: argparse.Namespace) -> int:
    """Writes the sampled lines of a data set's volumes, and nothing else of them."""
    plain = to_plain(compose_run(options.overrides, ["dataset", "sampling", "mask_replicate"]))
    _, acquisitions = open_dataset(json.dumps(plain["dataset"], sort_keys=True))
    sampling: Sampling = build(plain["sampling"], "sampling")
    with progress("inputs", len(acquisitions)) as advance:
        volumes = export_inputs(
            acquisitions,
            lambda one: sampling.draw(
                one.acquired, one.digest, plain["mask_replicate"], readout=one.kspace.size("kx"), file_name=one.file_name
            ),
            options.out,
            advance,
        )
    print(f"{options.out}: {len(volumes)} volumes, sampled lines alone. For each NAME.h5 comes back NAME.npy, (slice, ky, kx)")
    print(f"of its field_of_view, on the scale of its k-space, beside {INDEX}. Then: halfscan score FOLDER, same overrides")
    return 0


def run_score(options: argparse.Namespace) -> int:
    """Runs a sweep over finished images."""
    if not options.images.is_dir():
        raise HalfscanError(f"{options.images}: no such folder of images")
    if not re.fullmatch(r"[\w.-]{1,40}", options.name):
        raise HalfscanError(f"--name {options.name[:60]}: use one short word")
    path = str(options.images.absolute()).replace("\\", "\\\\").replace("'", "\\'")
    chosen = ["model=finished", f"model.path='{path}'", f"model.name={options.name}", f"model.combination={options.combination}"]
    # Replicas would need the method itself.
    return run_sweep([*chosen, "qa=none", *options.overrides])
