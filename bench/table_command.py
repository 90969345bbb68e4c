"""What `halfscan table` does: the cells of a sweep, as a table or as JSON."""

from __future__ import annotations

import argparse

from .errors import HalfscanError
from .table import print_table, read_cells, to_json
from .tracking import Store, tracking_uri


def run_table(options: argparse.Namespace) -> int:
    """Prints the cells.

    Raises:
        HalfscanError: no such sweep, or a profile that it was not scored in.
    """
    manifest, cells = read_cells(Store(tracking_uri(options.store), options.experiment), options.sweep)
    profiles = {name.partition("@")[2] for cell in cells for name in cell.first.metrics}
    if options.profile and cells and options.profile not in profiles:
        raise HalfscanError(f"--profile {options.profile}: this sweep was scored in {', '.join(sorted(profiles))}")
    if options.json:
        print(to_json(cells))
    else:
        print_table(manifest, cells, options.profile)
    return 0
