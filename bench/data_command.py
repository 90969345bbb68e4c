"""What `halfscan data` does: `split` patients into teachers and scored ones."""

from __future__ import annotations

import argparse
import json

from .configuration import compose_run, open_dataset, to_plain
from .errors import HalfscanError
from .files import why_unwritable
from .splits import SPLITS, split_patients


def run_data(options: argparse.Namespace) -> int:
    """Runs the command.

    Returns:
        0.
    """
    return _split(options)


def _split(options: argparse.Namespace) -> int:
    if options.out.exists() and not options.force:
        raise HalfscanError(f"--out {options.out}: exists; patients might change sides: name another file, or add --force")
    if why := why_unwritable(options.out.parent):
        raise HalfscanError(f"--out {options.out}: can't be written ({why})")
    node = to_plain(compose_run(options.overrides, ["dataset"]))["dataset"]
    _, volumes = open_dataset(json.dumps({**node, "splits": None} if "splits" in node else node, sort_keys=True))
    splits = split_patients({one.patient for one in volumes}, options.shares, options.seed)
    splits.write(options.out)
    sizes = ", ".join(f"{len(splits.patients[name])} {name}" for name in SPLITS)
    print(f"{options.out}: {sizes} patients of {len(volumes)} volumes")
    print(f"Use it: dataset.splits={options.out}; digest {splits.digest[:12]}")
    return 0
