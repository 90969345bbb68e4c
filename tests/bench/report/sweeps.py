"""Sweeps with a page: planted, closed and read back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from halfscan.bench.claims.types import ClaimSpec, Endpoint
from halfscan.bench.closing import Closed, close_sweep
from halfscan.bench.identity import KEY_VARIABLE
from halfscan.bench.manifest import SweepManifest
from halfscan.bench.rows import Row
from halfscan.bench.tracking import Store

from ..claims.test_judge import CANDIDATE, CLAIM, ENDPOINT, REFERENCE, SSIM, arm, spread
from ..planted import plant
from .reading import Kept, Page, kept

PSNR, NMSE = "psnr@mvue", "nmse@mvue"


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """One that is closed."""

    work: Path
    store: Store
    manifest: SweepManifest
    closed: Closed

    @property
    def kept(self) -> Kept:
        return kept(self.work, self.manifest.parent_run)

    @property
    def page(self) -> Page:
        return self.kept.page

    def key(self, name: str) -> str:
        """Of a cell, by the name that it was planted under."""
        return next(entry.key for entry in self.manifest.cells if entry.digest == name)


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """For fixtures that outlive a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv(KEY_VARIABLE, "a test site's secret")
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield


def planted_sweep(
    rows: Mapping[str, Sequence[Row]],
    claims: Sequence[ClaimSpec],
    work: Path,
    *,
    swept: Mapping[str, Mapping[str, str]] | None = None,
    **settings: Any,
) -> tuple[Store, SweepManifest]:
    """As `plant`, whose sweeps differ in their models alone.

    Args:
        rows: name of a cell → its rows.
        claims: that the sweep was started with.
        work: working directory with a store.
        swept: name of a cell → its swept parameters, the same ones in all cells.
        settings: of `plant`.
    """
    store, manifest = plant(rows, claims, work, **settings)
    folders = {manifest.cell_folder(entry) for entry in manifest.cells}
    assert len(folders) == len(manifest.cells), "names of sweep and cell are too long: cells share a folder"
    if swept is not None:
        names = tuple(next(iter(swept.values())))
        cells = tuple(
            replace(entry, overrides=tuple(f"{name}={value}" for name, value in swept[entry.digest].items()))
            for entry in manifest.cells
        )
        manifest = replace(manifest, swept=names, cells=cells)
        manifest.write()
    return store, manifest


def closed_sweep(rows: Mapping[str, Sequence[Row]], claims: Sequence[ClaimSpec], work: Path, **settings: Any) -> Sweep:
    """The same, closed."""
    store, manifest = planted_sweep(rows, claims, work, **settings)
    return Sweep(work=work, store=store, manifest=manifest, closed=close_sweep(manifest))


# The sweep that most tests look at ----------------------------------------------------------------------------------------

PATIENTS, VOLUMES = 24, 36
"""The first twelve patients have two volumes, of two contrasts."""
RATIO = Endpoint(
    metric=NMSE, margin=0.03, margin_rationale="three in a hundred", scale="log_ratio", higher_is_better=False, tail_margin=0.2
)
TAIL = replace(ENDPOINT, tail_margin=0.02, tail_required=0.5)
HALF_TIME = replace(CLAIM, endpoints=(TAIL, RATIO), time_target=0.4)
OTHER = replace(
    HALF_TIME,
    claim_id="other",
    time_target=None,
    candidate={"model": "net"},
    endpoints=(ENDPOINT, Endpoint(metric=PSNR, margin=0.6, margin_rationale="half of R = 3 to R = 4")),
)
BETTER = replace(
    CLAIM,
    claim_id="better",
    time_target=None,
    endpoints=(Endpoint(metric=SSIM, at_least=1.5, scale="log_ratio", bounded_by=1.0), Endpoint(metric=PSNR, at_least=0.25)),
)
LARGEST = replace(
    CLAIM,
    claim_id="largest",
    time_target=None,
    time_baseline="full",
    candidate={"model": "unet"},
    endpoints=(replace(TAIL, margin=0.012),),
    ladder=(8.0, 2.0, 4.0),
)
HELIUM = replace(
    CLAIM, claim_id="helium", endpoints=(), time_target=None, reference={}, candidate={}, untestable="a datasheet figure"
)
CLAIMS = [LARGEST, HALF_TIME, BETTER, OTHER, HELIUM]
SWEPT = {
    name: {"model": model, "sampling.acceleration": rate}
    for name, model, rate in (
        ("sense2", "sense", "2"),
        ("unet8", "unet", "8"),
        ("unet2", "unet", "2"),
        ("unet4", "unet", "4"),
        ("net4", "net", "4"),
    )
}


def rich_rows() -> dict[str, list[Row]]:
    """A reference, a network at three accelerations, and a second one whose PSNR is null in one volume."""
    rng = np.random.default_rng(11)
    level = 0.9 + 0.02 * rng.standard_normal(VOLUMES)
    fall = {"sense2": 0.0, "unet2": 0.004, "unet4": 0.0, "unet8": -0.05, "net4": -0.01}
    cells = {}
    for name, swept in SWEPT.items():
        patients = spread(PATIENTS, fall[name], 0.0 if name == "sense2" else 0.004)
        if name == "unet4":
            patients[[3, 17]] -= 0.03
        ssim = level + patients[np.arange(VOLUMES) % PATIENTS] + 0.002 * rng.standard_normal(VOLUMES)
        psnr: list[float | None] = list(20 + 15 * ssim + 0.2 * rng.standard_normal(VOLUMES))
        nmse = 0.05 * np.exp(-8 * (ssim - 0.9) + 0.02 * rng.standard_normal(VOLUMES))
        if name == "net4":
            psnr[30] = None
        rate = float(swept["sampling.acceleration"])
        side = {**(CANDIDATE if swept["model"] != "sense" else REFERENCE), "model": swept["model"]}
        side |= {"nominal_acceleration": rate, "acceleration": 0.91 * rate, "mask_hash": f"mask of R={rate}"}
        side |= {"recon_s_per_slice": 0.0123 * rate, "lines_sampled": int(256 / rate)}
        rows = arm({SSIM: ssim.tolist(), PSNR: psnr, NMSE: nmse.tolist()}, side)
        cells[name] = [_of_a_patient(row, index, rate) for index, row in enumerate(rows)]
    return cells


def _of_a_patient(row: Row, index: int, rate: float) -> Row:
    """Seconds hang on the contrast; so do the reductions that follow from them."""
    late = index >= PATIENTS
    scan, full, clinical = 12 + (110 + 30 * late) / rate, 122.0 + 30 * late, 67.0 + 15 * late
    seconds = {"scan_s": scan, "scan_low_s": scan - 1.5, "scan_high_s": scan + 3, "full_s": full, "clinical_s": clinical}
    for name, other in (("full", full), ("clinical", clinical)):
        saved = 1 - scan / other
        seconds |= {f"reduction_{name}": saved, f"reduction_{name}_low": saved - 0.02, f"reduction_{name}_high": saved + 0.03}
    return replace(
        row,
        patient=f"p{index % PATIENTS:03}",
        volume=f"v{(7 * index) % VOLUMES:03}",
        contrast="PDFS" if late else "PD",
        assumptions={"preparation": "2 s (1 to 3)"},
        timing={"TR": "3000 ms (header)"},
        warnings=("the last shot is not full",) if rate == 8 else (),
        reasons={**row.reasons, "energy_j": "no counter on this machine"},
        **seconds,
    )
