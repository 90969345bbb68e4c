"""What `halfscan pair` does: two series a patient, really scanned, as a sweep of two cells with their claims."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from .configuration import compose_run, to_plain
from .errors import HalfscanError
from .files import write_json
from .job import Running, origin_tags, recorded
from .manifest import Entry
from .pair.study import Results, Study, measure, open_study
from .pair.tables import ARMS, Arm, read_pairs, read_readings, read_regions
from .progress import progress
from .rows import write_rows
from .sources import module_of, source_hash
from .sweep import plan_sweep
from .tracking import ROWS

RECORD = "pairs.json"
"""Of the parent run's artifacts: registrations, regions and readers, of pseudonyms."""


def run_pair(options: argparse.Namespace) -> None:
    """Opens and checks all pairs, registers the claims, measures both arms. The caller closes the sweep that was planned.

    Raises:
        HalfscanError: bad input, before anything is measured.
    """
    config = _configuration(options.overrides)
    lines = read_pairs(options.pairs)
    names = [line.name for line in lines]
    regions = read_regions(options.regions, names) if options.regions else {}
    readings = read_readings(options.readers, names) if options.readers else {}
    with progress("pairs", len(lines)) as advance:
        study = open_study(lines, regions, readings, config["dataset"], advance)
    entries = tuple(_entry(study, arm, config["dataset"]) for arm in ARMS)
    with plan_sweep(entries, ("arm",), config) as plan:

        @cache
        def results() -> Results:
            with progress("registered", len(study.pairs)) as advance:
                return measure(study, options.pictures, advance)

        for entry, arm in zip(entries, ARMS, strict=True):
            if entry in plan.remaining:
                recorded(plan.manifest, entry, lambda running, arm=arm: _log(running, arm, study, results(), config))  # type: ignore[misc]


def _configuration(words: list[str]) -> dict[str, Any]:
    """Plain; only what a comparison of finished images has a use for."""
    for word in words:
        name = word.lstrip("+~").partition("=")[0]
        if name.split(".")[0] not in ("dataset", "claim", "claims", "out", "tracking"):
            raise HalfscanError(f"{word}: nothing is undersampled or reconstructed here: give claim, dataset, out or tracking")
    chosen = [] if any(word.startswith("dataset=") for word in words) else ["dataset=dicom"]
    # Each line of the table has its own.
    path = [] if any(word.startswith("dataset.path=") for word in words) else ["dataset.path=."]
    return to_plain(compose_run([*chosen, *path, *words], ["dataset", "claims", "out", "tracking"]))


def _entry(study: Study, arm: Arm, dataset: Mapping[str, Any]) -> Entry:
    sources = source_hash("halfscan.bench.pair.study", module_of(dataset["_target_"]))
    key = hashlib.sha256(json.dumps([study.digest, study.dataset, arm, sources]).encode()).hexdigest()
    return Entry(key=key, digest=key, overrides=(f"arm={arm}",))


def _log(running: Running, arm: Arm, study: Study, results: Results, config: Mapping[str, Any]) -> None:
    manifest, entry, rows = running.manifest, running.entry, results.rows[arm]
    run_id = running.start(f"scanner arm={arm}")
    folder = manifest.cell_folder(entry)
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(rows, folder / ROWS)
    running.store.log_cell(
        run_id,
        config={"arm": arm, "pairs": len(study.pairs), "dataset": config["dataset"]},
        rows=rows,
        manifest_digest=study.digest,
        training=None,
        picture=None,
        tags={**origin_tags(rows[0]), "halfscan.pictures": "none: patients' images stay where they are"},
    )
    write_json(manifest.folder / RECORD, results.record)
    running.store.log_file(manifest.parent_run, manifest.folder / RECORD)
