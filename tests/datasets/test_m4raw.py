"""M4Raw: a repetition under test, and a truth made of the others, in phase with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from halfscan.bench.errors import HalfscanError
from halfscan.bench.maps import Espirit
from halfscan.bench.operators import to_image, to_kspace
from halfscan.bench.truth import reference_image
from halfscan.datasets.m4raw import M4Raw, in_phase

from ..conftest import phantom
from .writing_fastmri import write

SIGMA = 0.02


@pytest.fixture
def clean() -> np.ndarray:
    return phantom(coils=4)[2].numpy()


def _repetitions(folder: Path, clean: np.ndarray, number: int = 3, name: str = "2022061003_T1", drift: float = 0.0) -> Path:
    rng = np.random.default_rng(0)
    y, x = np.meshgrid(*(np.linspace(-1, 1, size) for size in clean.shape[-2:]), indexing="ij")
    for index in range(number):
        noise = SIGMA * (rng.standard_normal((2, *clean.shape)) * [[[[[1]]]], [[[[1j]]]]]).sum(0)
        phase = np.exp(1j * drift * index * (2 + 3 * x + y)).astype(np.complex64)
        moved = to_kspace(to_image(torch.from_numpy(clean)) * torch.from_numpy(phase)).numpy()
        write(folder, (moved + noise).astype(np.complex64), f"{name}{index + 1:02d}")
    return folder


def test_the_truth_is_the_mean_of_the_other_repetitions(tmp_path: Path, clean: np.ndarray) -> None:
    (found,) = M4Raw(path=str(_repetitions(tmp_path, clean))).acquisitions()
    tested = np.abs(found.kspace.read() - clean).std()
    truth = np.abs(found.truth.read() - clean).std()
    assert truth / tested == pytest.approx(1 / np.sqrt(2), rel=0.1)
    assert (found.contrast, found.volume) == ("T1", "2022061003_T1")


@pytest.mark.parametrize("drift", [0.3, 1.5])
def test_repetitions_are_averaged_in_phase(tmp_path: Path, clean: np.ndarray, drift: float) -> None:
    (found,) = M4Raw(path=str(_repetitions(tmp_path, clean, drift=drift))).acquisitions()
    image = to_image(torch.from_numpy(found.truth.read())).abs()
    expected = to_image(torch.from_numpy(clean)).abs()
    inside = expected > 0.3 * expected.max()
    assert ((image - expected)[inside].pow(2).mean().sqrt() / expected[inside].pow(2).mean().sqrt()) < 0.06


def test_the_tested_repetition_s_noise_stays_out_of_its_truth(clean: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    own, other = (SIGMA * (rng.standard_normal(clean.shape) + 1j * rng.standard_normal(clean.shape)) for _ in range(2))
    noisy, aligned = (
        (clean + own).astype(np.complex64),
        in_phase((clean + other).astype(np.complex64), (clean + own).astype(np.complex64)),
    )
    remaining = to_image(torch.from_numpy(aligned - clean)).numpy()
    noise = to_image(torch.from_numpy(noisy - clean)).numpy()
    inside = np.abs(to_image(torch.from_numpy(clean)).numpy()) > 0.2
    correlation = (
        np.vdot(noise[inside], remaining[inside]).real / np.linalg.norm(noise[inside]) / np.linalg.norm(remaining[inside])
    )
    assert abs(correlation) < 0.05


def test_scores_name_their_truth(tmp_path: Path, clean: np.ndarray) -> None:
    (found,) = M4Raw(path=str(_repetitions(tmp_path, clean))).acquisitions()
    truth = reference_image(found, "rss", Espirit())
    assert (truth.source, truth.shares_noise) == ("repeat_average", False)
    (alone,) = M4Raw(path=str(_repetitions(tmp_path / "one", clean, number=1))).acquisitions()
    assert reference_image(alone, "rss", Espirit()).source == "full_kspace"


def test_a_part_of_the_truth_is_that_part_of_the_whole(tmp_path: Path, clean: np.ndarray) -> None:
    (found,) = M4Raw(path=str(_repetitions(tmp_path, clean, drift=0.3))).acquisitions()
    whole = found.truth.read()
    assert np.array_equal(found.truth.read({"slice": 1, "coil": 2, "ky": slice(3, 9)}), whole[1, 2, 3:9])
    assert np.array_equal(found.truth.read_stack(1, 2), whole[1:2])


def test_another_repetition_is_another_scan(tmp_path: Path, clean: np.ndarray) -> None:
    folder = str(_repetitions(tmp_path, clean))
    opened = [M4Raw(path=folder, repetition=number).acquisitions()[0] for number in (1, 2, 3)]
    assert len({one.digest for one in opened}) == 3
    assert len({one.patient for one in opened}) == 1
    with pytest.raises(HalfscanError, match=r"there is no repetition 4 .* but 01, 02, 03"):
        M4Raw(path=folder, repetition=4).acquisitions()


def test_contrasts_of_a_study_are_its_volumes(tmp_path: Path, clean: np.ndarray) -> None:
    for contrast in ("T1", "T2", "FLAIR"):
        _repetitions(tmp_path, clean, 2, f"2022061003_{contrast}")
    _repetitions(tmp_path, clean, 2, "2022061004_T1")
    opened = M4Raw(path=str(tmp_path)).acquisitions()
    assert [one.volume for one in opened] == ["2022061003_FLAIR", "2022061003_T1", "2022061003_T2", "2022061004_T1"]
    assert len({one.patient for one in opened}) == 2


def test_private_studies_are_pseudonyms(tmp_path: Path, clean: np.ndarray) -> None:
    (found,) = M4Raw(path=str(_repetitions(tmp_path, clean, 2, "DOE_JOHN_T1"))).acquisitions()
    assert "DOE" not in repr(found).upper()


def test_a_repetition_of_another_shape_is_refused(tmp_path: Path, clean: np.ndarray) -> None:
    _repetitions(tmp_path, clean, 2)
    write(tmp_path, clean[:, :2], "2022061003_T103")
    with pytest.raises(HalfscanError, match=r"2022061003_T103.h5: another shape"):
        M4Raw(path=str(tmp_path)).acquisitions()


def test_names_of_another_kind_are_refused(tmp_path: Path, clean: np.ndarray) -> None:
    write(tmp_path, clean, "scan")
    with pytest.raises(HalfscanError, match=r"scan.h5: not named STUDY_CONTRASTnn.h5"):
        M4Raw(path=str(tmp_path)).acquisitions()
