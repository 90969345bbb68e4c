"""What `halfscan data` does: `check` files before they are believed, `split` patients into teachers and scored ones."""

from __future__ import annotations

import argparse
import json
from importlib.resources import files

from omegaconf import OmegaConf

from .configuration import build, compose_run, open_dataset, to_plain
from .data_check import Recognising, check_path, expand, in_words
from .errors import HalfscanError
from .files import why_unwritable
from .splits import SPLITS, split_patients


def run_check(options: argparse.Namespace) -> int:
    """Says what files hold.

    Returns:
        0, or 1 where a path can't be used.
    """
    if options.pictures and (why := why_unwritable(options.pictures)):
        raise HalfscanError(f"--pictures {options.pictures}: can't be written ({why})")
    formats = known_formats()
    checked = []
    for path in expand(options.paths, formats):
        checked.append(check_path(path, formats, options.pictures))
        if not options.json:
            print("\n".join([*in_words(checked[-1]), ""]))
    if options.json:
        print(json.dumps([one.as_dict() for one in checked], indent=1))
    return 1 if any(one.refused for one in checked) else 0


def known_formats() -> list[Recognising]:
    """All data sets in files among the configurations."""
    found: list[Recognising] = []
    for entry in sorted(files("halfscan.configs").joinpath("dataset").iterdir(), key=lambda one: one.name):
        config = compose_run([f"dataset={entry.name.removesuffix('.yaml')}"], ["dataset"])
        if not OmegaConf.is_missing(config.dataset, "path"):
            continue  # made here, not read
        config.dataset.path = "?"
        dataset = build(to_plain(config)["dataset"], "dataset")
        if isinstance(dataset, Recognising):
            found.append(dataset)
    return found


def run_split(options: argparse.Namespace) -> int:
    """Draws a manifest of who is learned from and who is scored."""
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
