"""Pictures: of patients chosen by rank, all at one scale, within a budget, and never of data that may not be shown."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from halfscan.bench.benchmark import Measured
from halfscan.bench.cli import main
from halfscan.bench.closing import close_sweep
from halfscan.bench.manifest import SweepManifest
from halfscan.bench.pictures import VIEWS, read_view, view, visible, write_views
from halfscan.bench.report.pictures import BUDGET_BYTES, read_pictures
from halfscan.bench.rows import Row
from halfscan.bench.sampling.mask import Mask
from halfscan.bench.tracking import Store

from ..claims.test_judge import CANDIDATE, QUALITY, arm, baseline, spread
from .reading import Kept, Page, Picture, by_patient, differences, kept
from .sweeps import LARGEST, PATIENTS, SSIM, SWEPT, Sweep, closed_sweep, planted_sweep

SCALE = 0.2
"""Error over the truth's peak that is white."""
CLAIM = replace(QUALITY, candidate={"model": "unet"}, reference={"model": "sense"})


def _cells(patients: int = 6, **more: Sequence[float] | np.ndarray) -> dict[str, list[Row]]:
    """SENSE, and vendors whose patients differ from it so."""
    level = baseline(patients)
    others = {name: arm((level + differ).tolist(), CANDIDATE, model=name) for name, differ in more.items()}
    return {"sense": arm(level.tolist()), **others}


def _grey(values: np.ndarray) -> np.ndarray:
    return np.floor(np.clip(values.astype(np.float32), 0, 1) * 255).astype(np.uint8)


def _write(manifest: SweepManifest, name: str, views: Mapping[int, tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Path:
    """Views of a cell: place of the volume → truth, image and mask."""
    entry = next(entry for entry in manifest.cells if entry.digest == name)
    path = manifest.cell_folder(entry) / VIEWS
    arrays: dict[str, Any] = {}
    for place, (truth, image, mask) in views.items():
        arrays |= {f"truth_{place}": truth.astype(np.float16), f"image_{place}": image.astype(np.float16), f"mask_{place}": mask}
    np.savez(path, allow_pickle=False, **arrays)
    return path


def _close(store: Store, manifest: SweepManifest, work: Path) -> Kept:
    close_sweep(manifest)
    return kept(work, manifest.parent_run)


def _named(index: Mapping[str, Any]) -> dict[str, str]:
    """best, median, worst → patient."""
    return {case["name"]: case["patient"] for case in index["cases"]}


# By rank ---------------------------------------------------------------------------------------------------------------


def test_patients_are_ranked_by_the_first_claim_s_differences(rich: Sweep) -> None:
    reference, candidate = (rich.kept.cells[rich.key(name)] for name in ("sense2", "unet4"))
    found = differences(reference, candidate, SSIM)
    ranked = sorted(found, key=lambda patient: (found[patient], patient))
    index = rich.kept.index
    places = {"worst": 0, "median": PATIENTS // 2, "best": PATIENTS - 1}
    assert [case["name"] for case in index["cases"]] == list(places)
    for case in index["cases"]:
        place, patient = places[case["name"]], case["patient"]
        assert (patient, case["rank"], case["of"]) == (ranked[place], place + 1, PATIENTS)
        assert case["value"] == pytest.approx(found[patient], abs=1e-12)
        assert case["volume"] == min(row["volume"] for row in candidate if row["patient"] == patient)
    assert index["ranked_by"] == f"the paired difference of {SSIM} in claim {LARGEST.claim_id}"


def test_the_page_says_who_is_shown_and_that_nobody_picked_them(rich: Sweep) -> None:
    section, index = rich.page.section("pictures"), rich.kept.index
    assert f"Patients are chosen by rank, by {index['ranked_by']}: nobody picked them." in section.text
    assert "errors are white at 20% of the truth's peak in every picture" in section.text
    for case, shown in zip(index["cases"], section.all("details", kind="case"), strict=True):
        words = f"{case['name']} patient, rank {case['rank']} of {PATIENTS}"
        assert shown.one("summary").text == shown.attributes["data-name"] == words
        said = f"Patient {case['patient']}, volume {case['volume']}: rank {case['rank']} of {PATIENTS} from the worst, by "
        assert shown.all("p")[0].text == f"{said}{index['ranked_by']} ({case['value']:+.4g})."


def test_captions_name_the_cell_and_its_score_of_that_volume(rich: Sweep) -> None:
    for case, pictures in zip(rich.kept.index["cases"], rich.page.pictures(), strict=True):
        for name, swept in SWEPT.items():
            rows = rich.kept.cells[rich.key(name)]
            row = next(row for row in rows if (row["patient"], row["volume"]) == (case["patient"], case["volume"]))
            label = f"{swept['model']} acceleration={swept['sampling.acceleration']}"
            mine = {one.kind: one for one in pictures if one.cell == rich.key(name)}
            assert mine["image"].caption == f"{label}, {SSIM} {row[SSIM]:.3f}"
            assert mine["error"].caption == f"error of {label}"
            assert mine["mask"].caption == f"mask, achieved R = {row['acceleration']:.2f}"
            assert mine["image"].alt.startswith(f"{case['name']} patient as {label} rebuilt it, middle slice")
        assert all(one.alt for one in pictures)


@pytest.mark.parametrize(("patients", "chosen"), [(6, {"worst": 0, "median": 3, "best": 5}), (2, {"worst": 0, "best": 1})])
def test_ties_go_by_the_patient(patients: int, chosen: dict[str, int], here: Path) -> None:
    cells = _cells(patients, unet=np.zeros(patients))
    sweep = closed_sweep(cells, [CLAIM], here, pictures=True, sweep_id=f"ties{patients}")
    assert _named(sweep.kept.index) == {name: f"p{place:03}" for name, place in chosen.items()}


def test_without_a_claim_by_the_mean_score_over_all_cells(here: Path) -> None:
    sweep = closed_sweep(
        _cells(7, unet=spread(7, -0.01, 0.03), other=spread(7, 0.0, 0.01)), [], here, pictures=True, sweep_id="no"
    )
    rows = [row for cell in sweep.kept.cells.values() for row in cell]
    means = by_patient(rows, SSIM)
    ranked = sorted(means, key=lambda patient: (means[patient], patient))
    assert _named(sweep.kept.index) == {"worst": ranked[0], "median": ranked[3], "best": ranked[6]}
    assert ranked[0] != max(ranked, key=lambda patient: sweep.kept.cells["no-sense"][ranked.index(patient)][SSIM])
    assert f"by mean {SSIM} over all cells: nobody picked them" in sweep.page.section("pictures").text


def test_one_patient_is_the_only_one(here: Path) -> None:
    page = closed_sweep(_cells(1, unet=[0.0]), [CLAIM], here, pictures=True, sweep_id="one").page
    details = page.section("pictures").one("details", kind="case")
    assert details.one("summary").text == "the only patient, rank 1 of 1"


# One scale -------------------------------------------------------------------------------------------------------------


def _by_cell(pictures: Sequence[Picture]) -> dict[tuple[str, str], Picture]:
    return {(one.kind, one.cell): one for one in pictures}


def _odd_views(number: int, place: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of (20, 14) pixels; errors beyond the scale on both sides; a mask of more lines than the image has rows, or of points."""
    rng = np.random.default_rng(100 * number + place)
    truth = np.random.default_rng(place).uniform(0, 1.2, (20, 14))
    image = truth + rng.normal(0, 0.1 + 0.1 * number, truth.shape)
    mask = rng.uniform(size=33) < 0.4 if number == 0 else rng.uniform(size=(33, 29)) < 0.4
    return truth, image, mask


@pytest.fixture(scope="module")
def odd(shelf: Path) -> tuple[Kept, SweepManifest]:
    """A sweep whose views are noise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(shelf)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        store, manifest = planted_sweep(_cells(5, unet=spread(5), other=spread(5)), [CLAIM], shelf, sweep_id="odd")
        for number, name in enumerate(("sense", "unet", "other")):
            _write(manifest, name, {place: _odd_views(number, place) for place in range(5)})
        return _close(store, manifest, shelf), manifest


def test_every_pixel_is_where_its_value_puts_it(odd: tuple[Kept, SweepManifest]) -> None:
    """Grey is the value over the truth's peak, white an error of a fifth of it; whatever the cell and the patient."""
    found, manifest = odd
    for case, pictures in zip(found.index["cases"], found.page.pictures(), strict=True):
        place = int(case["patient"][1:])
        shown = _by_cell(pictures)
        (shared,) = (one for one in pictures if one.kind == "truth")
        for number, entry in enumerate(manifest.cells):
            truth, image, _ = (array.astype(np.float16).astype(np.float32) for array in _odd_views(number, place))
            assert np.array_equal(shown["image", entry.key].pixels, _grey(image))
            assert np.array_equal(shown["error", entry.key].pixels, _grey(np.abs(image - truth) / SCALE))
            assert np.array_equal(shared.pixels, _grey(truth))
            assert (shown["error", entry.key].pixels == 255).any(), "some lie beyond the scale"
    assert found.index["error_full_scale"] == SCALE


def test_masks_are_shown_as_they_are(odd: tuple[Kept, SweepManifest]) -> None:
    """A pixel a line or a point: no resampling makes lines that nobody acquired."""
    found, manifest = odd
    for case, pictures in zip(found.index["cases"], found.page.pictures(), strict=True):
        shown = _by_cell(pictures)
        for number, entry in enumerate(manifest.cells):
            mask = _odd_views(number, int(case["patient"][1:]))[2]
            lines = mask if mask.ndim == 2 else np.repeat(mask[:, None], 14, axis=1)
            assert np.array_equal(shown["mask", entry.key].pixels, 255 * lines.astype(np.uint8))


def test_what_cells_share_is_there_once(rich: Sweep) -> None:
    for pictures in rich.page.pictures():
        assert len([one for one in pictures if one.kind == "truth"]) == 1
        images = [one.png for one in pictures if one.kind == "image"]
        assert len(set(images)) == len(images) == len(SWEPT)


def test_an_error_goes_with_its_own_image(rich: Sweep) -> None:
    """The planted noise grows from cell to cell."""
    for pictures in rich.page.pictures():
        errors = {one.cell: float(one.pixels.mean()) for one in pictures if one.kind == "error"}
        means = [errors[rich.key(name)] for name in SWEPT]
        assert means == sorted(means)
        shown = _by_cell(pictures)
        truth = next(one for one in pictures if one.kind == "truth").pixels.astype(float)
        for name in SWEPT:
            image = shown["image", rich.key(name)].pixels
            inside = (image > 0) & (image < 255)
            off = np.abs(image - truth)[inside] / SCALE
            assert np.abs(np.minimum(off, 255) - shown["error", rich.key(name)].pixels[inside]).max() <= 2 / SCALE


# Budget ----------------------------------------------------------------------------------------------------------------


def _noise(size: int) -> Callable[[int, int], tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Views that no PNG makes smaller."""

    def make(number: int, place: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        truth = np.random.default_rng(place).uniform(0, 1, (size, size))
        error = np.random.default_rng(1000 + 10 * number + place).uniform(-SCALE, SCALE, truth.shape)
        return truth, truth + error, np.ones(size, dtype=bool)

    return make


def test_what_does_not_fit_is_left_out_and_counted_and_the_claim_s_arms_come_first(here: Path) -> None:
    cells = _cells(3, a=spread(3), b=spread(3), c=spread(3), late=spread(3), unet=spread(3))
    claims = [replace(CLAIM, candidate={"model": "unet"}), replace(CLAIM, claim_id="two", candidate={"model": "late"})]
    store, manifest = planted_sweep(cells, claims, here, sweep_id="big")
    make = _noise(390)
    for number, name in enumerate(cells):
        _write(manifest, name, {place: make(number, place) for place in range(3)})
    found = _close(store, manifest, here)
    shown = [[one["cell"] for one in case["shown"]] for case in found.index["cases"]]
    assert shown == [["big-sense", "big-unet", "big-late"]] * 3, "whole cells: all patients or none"
    assert found.index["left_out"] == len(cells) - 3
    assert f"{len(cells) - 3} more cells would not fit on a page." in found.page.root.text
    pngs = [path.stat().st_size for path in (found.folder / "pictures").glob("*.png")]
    assert 0.8 * BUDGET_BYTES < sum(pngs) <= BUDGET_BYTES, "and no more is left out than must be"
    assert len(found.page.html) < 6_000_000
    assert {one.cell for pictures in found.page.pictures() for one in pictures} == {"big-sense", "big-unet", "big-late"}
    assert len(found.page.root.one("table", id="all-cells").table()) == len(cells), "the table has them all"


def test_pictures_that_are_too_large_are_none(here: Path) -> None:
    store, manifest = planted_sweep(_cells(3, unet=spread(3)), [CLAIM], here, sweep_id="huge")
    for number, name in enumerate(("sense", "unet")):
        _write(manifest, name, {place: _noise(700)(number, place) for place in range(3)})
    found = _close(store, manifest, here)
    why = "one picture of each patient is too large for a page already"
    assert (found.index["cases"], found.index["reason"]) == ([], why)
    assert f"No pictures: {why}." in found.page.section("pictures").text
    assert list((found.folder / "pictures").glob("*.png")) == []


# What may not be shown -------------------------------------------------------------------------------------------------


def _measured(redistributable: Sequence[bool]) -> list[Measured]:
    rng = np.random.default_rng(4)
    sampled = np.arange(12) % 2 == 0
    mask = Mask(axes=("ky",), sampled=sampled, acquired=np.ones(12, dtype=bool), acs=None, nominal=2.0, pattern="equispaced")
    rows = arm([0.9] * len(redistributable))
    return [
        Measured(
            row=row, truth=rng.uniform(0, 9, (3, 12, 10)), image=rng.uniform(0, 9, (3, 12, 10)), mask=mask, redistributable=may
        )
        for row, may in zip(rows, redistributable, strict=True)
    ]


def test_a_view_is_the_middle_slice_over_the_truth_s_peak(tmp_path: Path) -> None:
    volume = _measured([True])[0]
    peak = np.percentile(volume.truth[1], 99.8)
    write_views([volume], tmp_path / VIEWS)
    found = read_view(tmp_path / VIEWS, 0)
    assert found is not None
    for array, stack in ((found.truth, volume.truth), (found.image, volume.image)):
        assert array == pytest.approx(stack[1] / peak, rel=1e-3, abs=1e-3)
    assert np.array_equal(found.mask, volume.mask.sampled)


def test_only_what_may_be_shown_is_kept(tmp_path: Path) -> None:
    volumes = _measured([False, True, False])
    write_views(volumes, tmp_path / VIEWS)
    assert visible(tmp_path / VIEWS) == {1}
    assert read_view(tmp_path / VIEWS, 0) is None
    with np.load(tmp_path / VIEWS) as arrays:
        assert set(arrays.files) == {"truth_1", "image_1", "mask_1"}
    with pytest.raises(ValueError, match="not redistributable"):
        view(volumes[0])


def test_views_of_an_earlier_run_do_not_outlive_a_change_of_mind(tmp_path: Path) -> None:
    """The data are not redistributable after all: what a failed try left behind is not shown either."""
    write_views(_measured([True, True]), tmp_path / VIEWS)
    write_views(_measured([False, False]), tmp_path / VIEWS)
    assert visible(tmp_path / VIEWS) == set()
    assert not (tmp_path / VIEWS).exists()


def test_data_that_may_not_be_shown_are_not(here: Path) -> None:
    sweep = closed_sweep(_cells(6, unet=spread(6)), [CLAIM], here, sweep_id="private")
    why = "the data are not marked as redistributable, or they are no longer on this machine"
    assert f"No pictures: {why}." in sweep.page.section("pictures").text
    assert sweep.page.said("not-measured", "pictures") == [why]
    assert sweep.page.section("pictures").all("img") == []
    assert list(sweep.kept.folder.rglob("*.png")) == []


def test_only_patients_who_may_be_shown_are_and_their_ranks_stay_honest(here: Path) -> None:
    """The worst two and the best may not be shown; of a fourth one's volumes not the first."""
    differ = np.array([-0.05, -0.04, -0.03, -0.02, -0.01, 0.0, 0.01, 0.02])
    cells = _cells(8, unet=differ)
    cells = {name: [*rows, replace(rows[2], volume="a first volume")] for name, rows in cells.items()}
    store, manifest = planted_sweep(cells, [CLAIM], here, sweep_id="mixed")
    for number, name in enumerate(cells):
        _write(manifest, name, {place: _odd_views(number, place) for place in (2, 3, 4, 5, 6)})
    found = _close(store, manifest, here)
    assert _named(found.index) == {"worst": "p003", "median": "p005", "best": "p006"}
    assert [(case["rank"], case["of"]) for case in found.index["cases"]] == [(4, 8), (6, 8), (7, 8)]


def test_a_cell_that_may_not_show_a_patient_does_not(here: Path) -> None:
    store, manifest = planted_sweep(_cells(5, unet=np.arange(5) / 100, other=spread(5)), [CLAIM], here, sweep_id="partly")
    for number, name in enumerate(("sense", "unet", "other")):
        _write(manifest, name, {place: _odd_views(number, place) for place in range(5) if (name, place) != ("other", 0)})
    found = _close(store, manifest, here)
    shown = {case["name"]: [one["cell"] for one in case["shown"]] for case in found.index["cases"]}
    assert shown["worst"] == ["partly-sense", "partly-unet"]
    assert shown["best"] == shown["median"] == ["partly-sense", "partly-unet", "partly-other"]
    assert {one.cell for one in found.page.pictures()[0]} == {"partly-sense", "partly-unet"}


# Damage ----------------------------------------------------------------------------------------------------------------


def _damaged(whole: bytes) -> list[bytes]:
    """Cut short, and with single bytes changed all over the file."""
    cuts = [whole[:length] for length in (0, 1, 3, 30, len(whole) // 2, len(whole) - 1)]
    rng = np.random.default_rng(0)
    flips = []
    for place in rng.choice(len(whole), 300, replace=False):
        flipped = bytearray(whole)
        flipped[place] ^= int(rng.integers(1, 256))
        flips.append(bytes(flipped))
    return [*cuts, *flips, b"\x93NUMPY" + whole, b"no archive at all"]


def test_damaged_views_are_no_views(tmp_path: Path) -> None:
    """Whatever the damage: never an error, and never another picture."""
    path = tmp_path / VIEWS
    write_views(_measured([True, True]), path)
    whole, kept_view = path.read_bytes(), read_view(path, 1)
    assert kept_view is not None
    unread = 0
    for content in _damaged(whole):
        path.write_bytes(content)
        assert visible(path) <= {0, 1}
        found = read_view(path, 1)
        unread += found is None
        if found is not None:
            for name in ("truth", "image", "mask"):
                assert np.array_equal(getattr(found, name), getattr(kept_view, name))
    assert unread > 100


def test_a_file_of_one_array_is_no_view(tmp_path: Path) -> None:
    with (tmp_path / VIEWS).open("wb") as file:
        np.save(file, np.zeros(3))
    assert visible(tmp_path / VIEWS) == set()
    assert read_view(tmp_path / VIEWS, 0) is None


@pytest.mark.parametrize("content", [b"", b"damaged"])
def test_a_sweep_whose_views_are_damaged_ends_without_pictures(content: bytes, here: Path) -> None:
    name = f"torn{len(content)}"
    store, manifest = planted_sweep(_cells(4, unet=spread(4)), [CLAIM], here, pictures=True, sweep_id=name)
    views = [manifest.cell_folder(entry) / VIEWS for entry in manifest.cells]
    views[1].write_bytes(content)
    found = _close(store, manifest, here)
    assert {one["cell"] for case in found.index["cases"] for one in case["shown"]} == {f"{name}-sense"}
    views[0].write_bytes(content)
    # What was drawn before is kept: nothing better can be drawn now.
    again = _close(store, manifest, here)
    assert again.index == found.index
    assert "No pictures: " not in again.page.section("pictures").text


DAMAGES: list[Callable[[str], str]] = [
    lambda text: text[: len(text) // 2],
    lambda text: "",
    lambda text: "[]",
    lambda text: "3",
    lambda text: text.replace('"cases"', '"case"'),
    lambda text: text.replace('"patient"', '"patron"'),
    lambda text: text.replace('"score"', '"scored"'),
    lambda text: re.sub(r"worst-000-image-\w+.png", "../../../report.html", text),
    lambda text: text.replace('"left_out"', '"left"'),
    lambda text: json.dumps({**json.loads(text), "cases": 5}),
    lambda text: json.dumps({**json.loads(text), "cases": [[]]}),
]


def test_damaged_pictures_take_nothing_else_with_them(here: Path) -> None:
    """The page says that they are damaged, and closing the sweep again mends them."""
    store, manifest = planted_sweep(_cells(4, unet=spread(4)), [CLAIM], here, pictures=True, sweep_id="harm")
    found = _close(store, manifest, here)
    page, path = found.page, found.folder / "pictures" / "pictures.json"
    whole = path.read_text("utf-8")
    assert read_pictures(store, manifest.parent_run).reason is None
    for damage in DAMAGES:
        path.write_text(damage(whole), "utf-8")
        pictures = read_pictures(store, manifest.parent_run)
        assert pictures.cases == ()
        assert str(pictures.reason).startswith("the pictures in the store are damaged (")
    harmed = _reported("harm")
    assert "No pictures: the pictures in the store are damaged (" in harmed.section("pictures").text
    assert "close the sweep again with `halfscan finish`" in harmed.section("pictures").text
    assert harmed.claim("half_time").text == page.claim("half_time").text
    assert _close(store, manifest, here).page.html == page.html


def _reported(name: str) -> Page:
    assert main(["report", name, "--out", f"{name}.html"]) == 0
    return Page(Path(f"{name}.html").read_text("utf-8"))


def test_a_picture_that_is_gone_is_damage_as_well(here: Path) -> None:
    sweep = closed_sweep(_cells(4, unet=spread(4)), [CLAIM], here, pictures=True, sweep_id="gone")
    gone = next((sweep.kept.folder / "pictures").glob("worst-000-image-*.png"))
    gone.unlink()
    assert f"damaged (KeyError('{gone.name}'))" in _reported("gone").section("pictures").text


def test_an_older_sweep_s_page_has_no_pictures(here: Path) -> None:
    sweep = closed_sweep(_cells(4, unet=spread(4)), [CLAIM], here, pictures=True, sweep_id="older")
    for path in (sweep.kept.folder / "pictures").iterdir():
        path.unlink()
    (sweep.kept.folder / "pictures").rmdir()
    said = "No pictures: none were logged: the sweep was closed by an older halfscan, or not yet."
    assert said in _reported("older").section("pictures").text
