"""Pictures for a sweep's page: of patients chosen by rank, drawn at the sweep's end and kept in the store."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ..claims.aggregate import patient_means
from ..files import write_json
from ..manifest import SweepManifest
from ..pictures import ERROR_FULL_SCALE, VIEWS, read_view, visible
from ..table import CellSummary, fitting_profile, label
from ..tracking import Store

FOLDER = "pictures"
"""Of the parent run's artifacts."""
INDEX = "pictures.json"
BUDGET_BYTES = 3_900_000
"""Of all pictures of a sweep as PNG: with base64 and the rest, its page stays below 6 MB."""
_SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One cell's pictures of one patient; names of PNG files."""

    cell: str
    """Key of the cell."""
    label: str
    truth: str
    image: str
    error: str
    mask: str
    acceleration: float
    """Achieved."""
    score: float | None


@dataclass(frozen=True, kw_only=True)
class PictureCase:
    """One patient, chosen by rank."""

    name: str
    """best | median | worst | only"""
    patient: str
    volume: str
    rank: int
    """From 1, the worst."""
    of: int
    value: float
    """What the patient was ranked by."""
    shown: tuple[Shown, ...]


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """What there is to see of a sweep, or why there is nothing."""

    ranked_by: str = ""
    ratio: bool = False
    """Whether the values that patients were ranked by are logarithms of ratios."""
    metric: str = ""
    """`metric@profile` of the scores beside the pictures."""
    cases: tuple[PictureCase, ...] = ()
    left_out: int = 0
    """Cells without pictures here: more would not fit on a page."""
    reason: str | None = None
    """Why there is none."""
    files: Mapping[str, bytes] | None = None
    """Name → PNG; None until read back from the store."""


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """What patients are chosen by."""

    words: str
    metric: str
    values: Mapping[str, float]
    """Patient → value; lower is worse."""
    ratio: bool = False
    """Whether they are logarithms of ratios."""
    first: tuple[str, ...] = ()
    """Keys of the cells that come first where not all fit."""


def rank_by_score(cells: Sequence[CellSummary]) -> Ranking | None:
    """Where no claim names a reference: patients by their mean score over all cells; None without any score."""
    metric = f"ssim@{fitting_profile(cells)}" if cells else ""
    values = [
        (patient, score)
        for cell in cells
        if metric in cell.rows.metrics
        for patient, score in zip(cell.rows.values("patient"), cell.rows.values(metric), strict=True)
        if score is not None
    ]
    return Ranking(words=f"mean {metric} over all cells", metric=metric, values=patient_means(values)) if values else None


def log_pictures(store: Store, manifest: SweepManifest, cells: Sequence[CellSummary], ranking: Ranking | None) -> None:
    """Draws the best, the median and the worst patient as all cells rebuilt them, and gives the pictures to the store.

    Args:
        store: of the sweep.
        manifest: with the folder that the cells' views lie in; no view, no picture.
        cells: the finished ones.
        ranking: of the patients.
    """
    with tempfile.TemporaryDirectory() as folder:
        pictures = _draw(manifest, cells, ranking, Path(folder))
        if pictures.reason and not read_pictures(store, manifest.parent_run).reason:
            # Drawn at an earlier close, on a machine that had the views.
            return
        content = {"schema_version": _SCHEMA_VERSION, "error_full_scale": ERROR_FULL_SCALE, "slice": "middle", **asdict(pictures)}
        content.pop("files")
        store.log_folder(manifest.parent_run, Path(folder), FOLDER)
        # Last, in a call of its own: it names what is there by now.
        write_json(Path(folder) / INDEX, content)
        store.log_folder(manifest.parent_run, Path(folder), FOLDER)


def _draw(manifest: SweepManifest, cells: Sequence[CellSummary], ranking: Ranking | None, folder: Path) -> Pictures:
    if not cells or ranking is None:
        return Pictures(reason="no cell has a score to choose patients by")
    first = {key: place for place, key in enumerate(dict.fromkeys(ranking.first))}
    order = sorted(cells, key=lambda cell: first.get(cell.entry.key, len(first)))
    ranked = sorted(ranking.values, key=lambda patient: (ranking.values[patient], patient))
    volumes = _first_volumes(order[0])
    places = _places(order[0])
    seen = visible(manifest.cell_folder(order[0].entry) / VIEWS)
    shown_patients = [patient for patient in ranked if patient in volumes and places[patient, volumes[patient]] in seen]
    if not shown_patients:
        return Pictures(reason="the data are not marked as redistributable, or they are no longer on this machine")
    chosen = _chosen(shown_patients)
    shown: dict[str, list[Shown]] = {name: [] for name in chosen}
    drawn, room = 0, BUDGET_BYTES
    for cell in order:
        files: dict[str, bytes] = {}
        found = {
            name: one
            for name, patient in chosen.items()
            if (one := _shown(manifest, cell, (patient, volumes[patient]), f"{name}-{drawn:03d}", ranking.metric, files))
        }
        new = {name: png for name, png in files.items() if not (folder / name).exists()}
        room -= sum(map(len, new.values()))
        if room < 0:
            break
        for name, png in new.items():
            (folder / name).write_bytes(png)
        for name, one in found.items():
            shown[name].append(one)
        drawn += 1
    return Pictures(
        ranked_by=ranking.words,
        ratio=ranking.ratio,
        metric=ranking.metric,
        left_out=len(order) - drawn,
        cases=tuple(
            PictureCase(
                name=name,
                patient=patient,
                volume=volumes[patient],
                rank=1 + ranked.index(patient),
                of=len(ranked),
                value=ranking.values[patient],
                shown=tuple(shown[name]),
            )
            for name, patient in chosen.items()
            if shown[name]
        ),
        reason=None if any(shown.values()) else "one picture of each patient is too large for a page already",
    )


def _chosen(patients: Sequence[str]) -> dict[str, str]:
    """Of patients from the worst to the best: those that are shown."""
    if len(patients) == 1:
        return {"only": patients[0]}
    median = {"median": patients[len(patients) // 2]} if len(patients) > 2 else {}
    return {"worst": patients[0], **median, "best": patients[-1]}


def _first_volumes(cell: CellSummary) -> dict[str, str]:
    """Patient → the first of the patient's volumes by its id: which one is no choice either."""
    volumes: dict[str, str] = {}
    for patient, volume in zip(cell.rows.values("patient"), cell.rows.values("volume"), strict=True):
        volumes[patient] = min(volume, volumes.get(patient, volume))
    return volumes


def _places(cell: CellSummary) -> dict[tuple[str, str], int]:
    """(patient, volume) → its place among the cell's rows."""
    pairs = zip(cell.rows.values("patient"), cell.rows.values("volume"), strict=True)
    return {pair: place for place, pair in enumerate(pairs)}


def _shown(
    manifest: SweepManifest, cell: CellSummary, volume: tuple[str, str], stem: str, metric: str, files: dict[str, bytes]
) -> Shown | None:
    """Draws one cell's pictures of a (patient, volume) into `files`. Truths and masks that cells share are one file."""
    place = _places(cell).get(volume)
    view = None if place is None else read_view(manifest.cell_folder(cell.entry) / VIEWS, place)
    if view is None or place is None:
        return None
    case = stem.partition("-")[0]
    truth, mask = view.truth_png(), view.mask_png()
    names = {"truth": f"{case}-truth-{_short(truth)}.png", "mask": f"{case}-mask-{_short(mask)}.png"}
    image, error = view.image_png(), view.error_png()
    # The content's hash in every name: no index, however old, ever names another picture than the one it was written for.
    names |= {"image": f"{stem}-image-{_short(image)}.png", "error": f"{stem}-error-{_short(error)}.png"}
    files |= {names["truth"]: truth, names["mask"]: mask, names["image"]: image, names["error"]: error}
    return Shown(
        cell=cell.entry.key,
        label=label(cell),
        acceleration=cell.rows.values("acceleration")[place],
        score=cell.rows.values(metric)[place] if metric in cell.rows.metrics else None,
        **names,
    )


def _short(png: bytes) -> str:
    return hashlib.sha256(png).hexdigest()[:8]


def read_pictures(store: Store, parent: str) -> Pictures:
    """What `log_pictures` gave to the store; of a damaged index, or one that names a file that is not there, that it is damaged.

    No error: the page decides without pictures as well, and closing the sweep again, which reads it first, mends them.
    """
    files = store.read_folder(parent, FOLDER)
    index = files.pop(INDEX, None)
    if index is None:
        return Pictures(reason="none were logged: the sweep was closed by an older halfscan, or not yet")
    try:
        content = json.loads(index)
        cases = tuple(PictureCase(**{**case, "shown": tuple(Shown(**one) for one in case["shown"])}) for case in content["cases"])
        named = {getattr(one, kind) for case in cases for one in case.shown for kind in ("truth", "image", "error", "mask")}
        return Pictures(
            cases=cases,
            files={name: files[name] for name in sorted(named)},
            **{name: content[name] for name in ("ranked_by", "ratio", "metric", "left_out", "reason")},
        )
    except (ValueError, KeyError, TypeError) as error:
        return Pictures(reason=f"the pictures in the store are damaged ({error!r}): close the sweep again with `halfscan finish`")
