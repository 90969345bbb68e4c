"""What `halfscan pair` does: two series a patient, really scanned, as a sweep of two cells with their claims."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from .configuration import compose_run, to_plain
from .errors import HalfscanError
from .files import why_unwritable, write_json
from .job import Running, origin_tags, recorded
from .keeping import Kept
from .manifest import Entry, sweeps_folder
from .pair.results import Results, measure, outline
from .pair.study import Study, open_study
from .pair.tables import ARMS, Arm, read_pairs, read_readings, read_regions
from .privacy import redact
from .progress import progress
from .run_command import close_planned
from .sources import module_of, source_hash
from .sweep import plan_sweep
from .tracking import Store

RECORD = "pairs.json"
"""Of the parent run's artifacts: registrations, regions and readers, of pseudonyms."""
_SERIES = "series"
"""Name of the tags by which a cell says which series it measured."""


def run_pair(options: argparse.Namespace) -> int:
    """Compares all pairs and closes their sweep, whatever ended the comparison.

    Returns:
        0, or 1 where an arm has no result.

    Raises:
        HalfscanError: bad input, before anything is measured; or the store is away at the end.
    """
    try:
        _compare(options)
    except BaseException:
        close_planned()
        raise
    return close_planned()


def _compare(options: argparse.Namespace) -> None:
    """Opens and checks all pairs, registers the claims, measures both arms.

    With `--pictures` it draws where the regions lie, and measures nothing: what is drawn may still be drawn better.
    """
    config = _configuration(options.overrides)
    if options.pictures and not options.regions:
        raise HalfscanError(f"--pictures {options.pictures}: shows where regions lie, so give --regions")
    if options.pictures and (why := why_unwritable(options.pictures)):
        raise HalfscanError(f"--pictures {options.pictures}: can't be written ({why})")
    lines = read_pairs(options.pairs)
    names = [line.name for line in lines]
    regions = read_regions(options.regions, names) if options.regions else {}
    readings = read_readings(options.readers, names) if options.readers else {}
    with progress("pairs", len(lines)) as advance:
        study = open_study(lines, regions, readings, config["dataset"], advance)
    if options.pictures:
        _look(study, options.pictures)
        return
    entries = tuple(_entry(study, arm, config["dataset"]) for arm in ARMS)
    with plan_sweep(entries, ("arm",), config, lambda store, out: _known(study, store, out)) as plan:
        if not plan.remaining:
            return
        outcome = _measured(study)
        for entry, arm in zip(entries, ARMS, strict=True):
            if entry in plan.remaining:
                recorded(plan.manifest, entry, partial(_log, arm=arm, study=study, outcome=outcome, config=config))


def _measured(study: Study) -> Results | Exception:
    """What was measured, or why nothing was: a cell records it."""
    try:
        with progress("measured", len(study.pairs)) as advance:
            return measure(study, advance)
    except Exception as error:
        return error


def _look(study: Study, pictures: Path) -> None:
    with progress("drawn", len(study.pairs)) as advance:
        found = outline(study, pictures, advance)
    for number, one in enumerate(found, 1):
        down, along = one.shift_mm
        said = f"moved {down:+.2f} mm down, {along:+.2f} mm along the rows, turned {one.rotation_deg:+.1f}°"
        print(f"pair {number}: {said}, correlation {one.correlation:.3f}" + (f": {one.reason}" if one.reason else ""))
    print(f"{pictures}: the regions in both series. Nothing was measured: the same command without --pictures does.")


def _known(study: Study, store: Store, out: Path) -> int:
    """Both arms, where any series was measured before: regions are redrawn and pairs left out for what it showed."""
    seen = store.marks(_SERIES)
    for path in sweeps_folder(out).glob(f"*/{RECORD}"):
        try:
            seen |= set(json.loads(path.read_text("utf-8"))["series"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return len(ARMS) if seen & set(study.series) else 0


_LEFT = tuple(f"dataset.{name}" for name in ("path", "series", "patient_pattern", "max_slices", "splits", "split", "phase_axis"))
"""Settings of a data set that would change what is measured, or under what name it is known."""


def _configuration(words: list[str]) -> dict[str, Any]:
    """Plain; only what a comparison of finished images has a use for."""
    for word in words:
        name = word.lstrip("+~").partition("=")[0]
        if name.split(".")[0] not in ("dataset", "claim", "claims", "out", "tracking"):
            raise HalfscanError(f"{word}: nothing is undersampled or reconstructed here: give claim, dataset, out or tracking")
        if name in _LEFT:
            raise HalfscanError(f"{word}: the table of pairs says which series, and of whom; they are taken whole, as they lie")
    chosen = [] if any(word.startswith("dataset=") for word in words) else ["dataset=dicom"]
    # Each line of the table has its own.
    return to_plain(compose_run([*chosen, "dataset.path=.", *words], ["dataset", "claims", "out", "tracking"]))


def _entry(study: Study, arm: Arm, dataset: Mapping[str, Any]) -> Entry:
    sources = source_hash("halfscan.bench.pair.results", module_of(dataset["_target_"]))
    key = hashlib.sha256(json.dumps([study.digest, study.dataset, arm, sources]).encode()).hexdigest()
    return Entry(key=key, digest=key, overrides=(f"arm={arm}",))


def _log(running: Running, *, arm: Arm, study: Study, outcome: Results | Exception, config: Mapping[str, Any]) -> None:
    if isinstance(outcome, Exception):
        raise outcome
    rows, name = outcome.rows[arm], f"scanner arm={arm}"
    running.start(name)
    write_json(running.manifest.folder / RECORD, outcome.record)
    kept = Kept(
        name=name,
        config=redact({"arm": arm, "pairs": len(study.pairs), "dataset": config["dataset"]}),
        manifest_digest=study.digest,
        training=None,
        picture=False,
        tags={
            **origin_tags(rows[0]),
            **Store.marked(_SERIES, study.series),
            "halfscan.pictures": "none: patients' images stay where they are",
        },
        seconds=running.seconds,
        sweep_files=(RECORD,),
    )
    running.finish(rows, kept)
