"""What `halfscan report` does: write a sweep's page from the tracking store alone."""

from __future__ import annotations

import argparse
from pathlib import Path

from .books import Books, sweep_and_overrides
from .closing import write_report
from .errors import HalfscanError
from .files import why_unwritable
from .report.gather import read_record
from .tracking import Store, tracking_uri


def run_report(options: argparse.Namespace) -> int:
    """Writes the page of a sweep.

    Returns:
        0: written.
    """
    sweep, overrides = sweep_and_overrides(options.words)
    books = Books.composed(overrides)
    store = Store(tracking_uri(options.store), options.experiment)
    record = read_record(store, store.parent_of(sweep))
    path = options.out or Path(f"halfscan-{record.manifest.sweep_id}.html")
    try:
        if path.is_dir():
            raise HalfscanError(f"--out {path} is a folder: name the HTML file")
        if why := why_unwritable(path.absolute().parent):
            raise HalfscanError(f"--out {path} can't be written ({why})")
        write_report(record, path, books)
    except OSError as error:
        # A name that is too long, a disk that is full.
        raise HalfscanError(f"--out {path} can't be written ({error.strerror})") from error
    print(f"Page: {path}")
    return 0
