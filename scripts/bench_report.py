"""Seconds to write and to open the page of 800 cells x 500 patients, and its size: python scripts/bench_report.py [FOLDER]

The sweep is planted: ten models at eight accelerations with ten training seeds, eight metrics, a claim and a ladder, and
pictures of a few cells.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from halfscan.bench.claims.types import ClaimSpec, Endpoint
from halfscan.bench.files import write_json
from halfscan.bench.manifest import Entry, SweepManifest
from halfscan.bench.pictures import VIEWS
from halfscan.bench.report.gather import read_record
from halfscan.bench.report.pictures import log_pictures, rank_by_score
from halfscan.bench.rows import CellRows, Row, to_table
from halfscan.bench.tracking import CLAIMS, Store
from halfscan.bench.verify import verify_sweep

PATIENTS, ACCELERATIONS, SEEDS = 500, (1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0), range(10)
MODELS = ("sense", *(f"network{number}" for number in range(9)))
METRICS = [f"{name}@{profile}" for profile in ("mvue", "fastmri") for name in ("ssim", "psnr", "nmse", "haarpsi")]
REPEATS, PICTURED = 3, 12
_FILLED: dict[str, Any] = {"str": "x", "float": 1.0, "int": 1, "bool": False}


def rows(model: str, acceleration: float, seed: int | None, rng: np.random.Generator) -> list[Row]:
    filled: dict[str, Any] = {
        one.name: _FILLED.get(str(one.type)) for one in fields(Row) if str(one.type).split(" ")[0] in _FILLED
    }
    seconds = 20 + 100 / acceleration
    filled |= {
        "model": model,
        "train_seed": seed,
        "nominal_acceleration": acceleration,
        "acceleration": acceleration * 0.8,
        "mask_hash": f"mask{acceleration}",
        "provenance": "measured",
        "evidence": "retrospective",
        "combination": "mvue",
        "scan_s": seconds,
        "scan_low_s": seconds - 2,
        "scan_high_s": seconds + 5,
        "lines_sampled": int(256 / acceleration),
        "lines_acquired": 256,
        "truth_combinations": {"mvue": "mvue", "fastmri": "rss"},
        "reasons": {"energy_j": "no counter on this machine"},
    }
    level = {"ssim": 0.95, "psnr": 36.0, "nmse": 0.01, "haarpsi": 0.9}
    loss = 0.004 * acceleration * (1 + 0.1 * MODELS.index(model))
    scores = {name: level[name.partition("@")[0]] * (1 - loss + rng.normal(0, 0.01, PATIENTS)) for name in METRICS}
    return [
        Row(
            **{**filled, "patient": f"p{one:03d}", "volume": f"v{one:03d}"},
            metrics={name: float(scores[name][one]) for name in METRICS},
        )
        for one in range(PATIENTS)
    ]


def claims() -> list[ClaimSpec]:
    endpoints = tuple(
        Endpoint(metric=f"{name}@mvue", margin=margin, margin_rationale="bench", tail_margin=9 * margin, tail_required=0.9)
        for name, margin in (("ssim", 0.02), ("psnr", 0.8))
    )
    shared: dict[str, Any] = {
        "statement": "bench",
        "source": "bench",
        "reference": {"model": "sense", "nominal_acceleration": 2.0, "mask_replicate": 1},
        "endpoints": endpoints,
        "scope": "method",
    }
    candidate = {"model": "network0", "nominal_acceleration": 4.0}
    return [
        ClaimSpec(claim_id="half_time", candidate=candidate, time_target=0.5, **shared),
        ClaimSpec(claim_id="largest", candidate={"model": "network0"}, time_target=None, ladder=ACCELERATIONS[1:], **shared),
    ]


def plant(folder: Path) -> tuple[Store, SweepManifest]:
    """The sweep as `halfscan run` leaves it, claims judged and pictures drawn."""
    store = Store(f"sqlite:///{folder}/mlflow.db", "halfscan")
    rng = np.random.default_rng(0)
    cells = [(model, acceleration, seed) for model in MODELS for acceleration in ACCELERATIONS for seed in SEEDS]
    stated = claims()
    manifest = SweepManifest(
        sweep_id="bench",
        parent_run=store.start_sweep("bench"),
        tracking_uri=store.uri,
        experiment=store.experiment,
        out=str(folder / "outputs"),
        swept=("model", "sampling.acceleration", "train_seed"),
        cells=tuple(
            Entry(
                key=f"{number:04d}",
                digest=f"{number:064d}",
                overrides=(f"model={model}", f"sampling.acceleration={r}", f"train_seed={seed}"),
            )
            for number, (model, r, seed) in enumerate(cells)
        ),
        claims={claim.claim_id: claim.sha256 for claim in stated},
        known_before=0,
        created_at="2026-01-01T00:00:00+00:00",
    )
    write_json(folder / CLAIMS, [asdict(claim) for claim in stated])
    store.log_file(manifest.parent_run, folder / CLAIMS)
    found = {}
    for entry, (model, acceleration, seed) in zip(manifest.cells, cells, strict=True):
        # SENSE has no seed; its replicates stand for ten mask replicates.
        side = rows(model, acceleration, None if model == "sense" else seed, rng)
        found[entry.key] = CellRows(to_table([_replicate(row, seed) for row in side] if model == "sense" else side))
        store.end(store.start_cell(manifest, entry, model).run_id, "FINISHED")
    store.finish_sweep(manifest, found, True)
    return store, manifest


def _replicate(row: Row, number: int) -> Row:
    return row if number == 0 else replace(row, mask_replicate=number + 1)


def draw(store: Store, manifest: SweepManifest) -> None:
    """Views of the first cells, of 320 x 320 with noise, which compresses as badly as real images do."""
    record = read_record(store, manifest.parent_run)
    ranking = rank_by_score(record.cells)
    rng = np.random.default_rng(1)
    y, x = np.mgrid[-1:1:320j, -1:1:320j]
    truth = (np.hypot(y, x) < 0.8) * 0.7 + 0.02 * rng.standard_normal(x.shape)
    for entry in manifest.cells[:PICTURED]:
        arrays: dict[str, Any] = {}
        for index in range(PATIENTS):
            image = truth + 0.03 * rng.standard_normal(x.shape) if index < 3 else truth
            arrays |= {f"truth_{index}": truth.astype(np.float16), f"image_{index}": image.astype(np.float16)}
            arrays[f"mask_{index}"] = np.arange(320) % 4 == 0
        path = manifest.cell_folder(entry) / VIEWS
        path.parent.mkdir(parents=True)
        np.savez(path, allow_pickle=False, **arrays)
    log_pictures(store, manifest, record.cells, ranking)


def written(folder: Path) -> tuple[float, float]:
    """(seconds of `halfscan report` as a process, megabytes of its page)."""
    begin = time.perf_counter()
    command = [
        sys.executable,
        "-c",
        "import sys; from halfscan.bench.cli import main; sys.exit(main())",
        "report",
        "--out",
        "page.html",
    ]
    subprocess.run(
        command,
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"},
    )
    return time.perf_counter() - begin, (folder / "page.html").stat().st_size / 1e6


def opened(page: Path) -> float | None:
    """Seconds until a headless Chromium has loaded and laid out the page; None without one."""
    browser = shutil.which("chromium")
    if browser is None:
        return None
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=browser, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        view = running.new_page(viewport={"width": 1280, "height": 900})
        begin = time.perf_counter()
        view.goto(page.as_uri())
        view.evaluate("document.body.offsetHeight")
        seconds = time.perf_counter() - begin
        running.close()
    return seconds


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    begin = time.perf_counter()
    store, manifest = plant(folder)
    print(f"planted {len(manifest.cells)} cells x {PATIENTS} patients in {time.perf_counter() - begin:.0f} s")
    begin = time.perf_counter()
    verdicts = verify_sweep(store, manifest.parent_run)
    print(f"judged in {time.perf_counter() - begin:.1f} s: {', '.join(f'{one.claim_id} {one.words}' for one in verdicts)}")
    begin = time.perf_counter()
    draw(store, manifest)
    print(f"views made and pictures drawn in {time.perf_counter() - begin:.1f} s")
    runs = [written(folder) for _ in range(REPEATS)]
    seconds = [one for one, _ in runs]
    ends = f"{min(seconds):.1f} to {max(seconds):.1f}"
    print(f"halfscan report: median {statistics.median(seconds):.1f} s ({ends}), {runs[0][1]:.1f} MB")
    views = [opened(folder / "page.html") for _ in range(REPEATS)]
    if None not in views:
        print(f"opened in Chromium: median {statistics.median(one for one in views if one):.2f} s")


if __name__ == "__main__":
    main()
