"""Digital brains: signal equations by hand, seeds, splits, lesions, noise as stated, and a truth without any."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from halfscan.bench.acquisition import Provenance
from halfscan.bench.errors import HalfscanError
from halfscan.bench.operators import root_sum_of_squares, to_image
from halfscan.datasets import digital_brains as module
from halfscan.datasets.atlas import load_atlas
from halfscan.datasets.digital_brains import DigitalBrains, patient_tissues, simulate, tissue_fractions
from halfscan.datasets.tissue import BY_FIELD, Tissue, inversion_recovery, signal, spin_echo, spoiled_gradient_echo, tissues_at

pytest.importorskip("nilearn")

SMALL = DigitalBrains(train=3, validation=2, test=4, slices=1, matrix=48, coils=4)


@pytest.fixture(autouse=True)
def _fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    module._noise_free.cache_clear()
    module._noisy.cache_clear()


# By hand, for T1 1 s, T2 0.1 s, T2* 0.05 s, ρ 0.8:
#   spin echo TR 2, TE 0.1:        0.8 · (1 − e^−2) · e^−1                      = 0.8 · 0.864665 · 0.367879
#   gradient echo TR 0.1, TE 0.01, 30°: 0.8 · 0.5 · (1 − 0.904837)/(1 − 0.866025 · 0.904837) · e^−0.2
#   inversion TR 5, TE 0.05, TI 0.5: 0.8 · |1 − 2 · 0.606531 + 0.006738| · e^−0.5
PLAIN = Tissue(1.0, 0.1, 0.05, 0.8)


def test_signal_equations_by_hand() -> None:
    assert spin_echo(PLAIN, 2.0, 0.1) == pytest.approx(0.254475, abs=1e-5)
    assert spoiled_gradient_echo(PLAIN, 0.1, 0.01, 30) == pytest.approx(0.144024, abs=1e-5)
    assert inversion_recovery(PLAIN, 5.0, 0.05, 0.5) == pytest.approx(0.100113, abs=1e-5)
    assert inversion_recovery(PLAIN, 1e9, 0.0, np.log(2)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("field", BY_FIELD)
def test_contrasts_look_as_radiologists_know_them(field: float) -> None:
    tissues = tissues_at(field)
    of = {contrast: {name: signal(tissue, contrast) for name, tissue in tissues.items()} for contrast in ("t1", "t2", "flair")}
    assert of["t1"]["white"] > of["t1"]["grey"] > of["t1"]["csf"]
    assert of["t2"]["csf"] > of["t2"]["grey"] > of["t2"]["white"]
    assert of["flair"]["csf"] < 0.3 * of["flair"]["grey"]
    assert of["flair"]["lesion"] > of["flair"]["grey"]
    assert of["t2"]["lesion"] > of["t2"]["grey"]


def test_the_image_is_the_sum_of_its_tissues() -> None:
    """A pure white-matter pixel shows the signal equation with the patient's own values."""
    plain = replace(SMALL, coils=1, lesion_share=0.0, matrix=96)
    fractions = tissue_fractions(plain, 0, 0, load_atlas())
    expected = sum(signal(patient_tissues(plain, 0)[name], "t2") * share for name, share in fractions.items())
    from halfscan.datasets.coils import ring_sensitivities

    rng = plain._rng(0, "scan")
    rng.uniform(-0.5, 0.5, 3)
    coil = ring_sensitivities(1, (192, 192), (240.0, 240.0), z_mm=rng.uniform(-10, 10), ring_radius_mm=170.0)[0]
    found = to_image(torch.from_numpy(simulate(plain, 0, "t2")[0, 0])).abs().numpy()
    truth = np.abs(coil * expected)[::2, ::2]
    inside = fractions["white"][::2, ::2] > 0.95
    assert inside.sum() > 50
    assert np.median(np.abs(found - truth)[inside] / truth[inside]) < 0.05


def test_noise_and_truth() -> None:
    acquisition = replace(SMALL, matrix=96).acquisitions()[0]
    assert acquisition.provenance is Provenance.SIMULATED
    clean, noisy = acquisition.truth.read(), acquisition.kspace.read()
    assert np.array_equal(clean, simulate(replace(SMALL, matrix=96), 0, "t2"))
    noise = (noisy - clean).transpose(1, 0, 2, 3).reshape(4, -1)
    covariance = noise @ noise.conj().T / noise.shape[1]
    sigma = float(root_sum_of_squares(to_image(torch.from_numpy(clean))).max()) / 50
    expected = sigma**2 * (np.eye(4) + 0.1 * (np.roll(np.eye(4), 1, axis=0) + np.roll(np.eye(4), -1, axis=0)))
    np.testing.assert_allclose(covariance, expected, atol=0.04 * sigma**2)


def test_a_patient_is_the_same_whatever_the_cohort() -> None:
    one = SMALL.acquisitions()[2]
    other = replace(SMALL, train=9, test=3, contrasts=("flair", "t2")).acquisitions()[5]
    assert one.patient == other.patient
    assert one.digest == other.digest
    assert np.array_equal(one.kspace.read(), other.kspace.read())
    assert not np.array_equal(replace(SMALL, data_seed=1).acquisitions()[2].kspace.read(), one.kspace.read())


def test_no_patient_is_in_two_splits() -> None:
    groups = [{acquisition.patient for acquisition in SMALL.of_split(split).acquisitions()} for split in module.SPLITS]
    assert [len(group) for group in groups] == [3, 2, 4]
    assert len(set.union(*groups)) == 9
    assert len(DigitalBrains().patients()) + 20 + 4 >= 60


def test_lesions_are_in_a_known_part_and_show() -> None:
    cohort = DigitalBrains(test=200)
    with_lesions = [patient for patient in cohort.patients() if cohort.lesions(patient)]
    assert 0.4 < len(with_lesions) / 200 < 0.6
    assert not any(replace(cohort, lesion_share=0.0).lesions(patient) for patient in range(50))
    patient = next(patient for patient in with_lesions if any(lesion.radius_mm > 4 for lesion in cohort.lesions(patient)))
    lesion = next(lesion for lesion in cohort.lesions(patient) if lesion.radius_mm > 4)
    share = tissue_fractions(cohort, patient, lesion.slice_index, load_atlas())["lesion"]
    pixel = 240 / 256
    assert share[round(lesion.y_mm / pixel) + 128, round(lesion.x_mm / pixel) + 128] > 0.3


def test_fractions_never_exceed_a_whole_voxel() -> None:
    for patient in range(4):
        total = sum(tissue_fractions(SMALL, patient, 0, load_atlas()).values())
        assert total.min() >= 0
        assert total.max() < 1.05


def test_patients_differ_as_stated() -> None:
    tissues = [patient_tissues(DigitalBrains(), patient)["grey"].t1_s for patient in range(300)]
    assert np.std(np.log(tissues)) == pytest.approx(0.05, rel=0.15)
    images = [np.abs(simulate(SMALL, patient, "t2")) for patient in (0, 1)]
    assert not np.allclose(images[0], images[1], rtol=0.1)


def test_a_damaged_cache_is_made_again(tmp_path: Path) -> None:
    acquisition = SMALL.acquisitions()[0]
    first = acquisition.truth.read()
    (path,) = (tmp_path / "halfscan" / "digital_brains").iterdir()
    path.write_bytes(path.read_bytes()[:100])
    module._noise_free.cache_clear()
    assert np.array_equal(acquisition.truth.read(), first)


def test_edited_code_does_not_find_what_the_code_before_rendered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SMALL.acquisitions()[0].truth.read()
    module._noise_free.cache_clear()
    monkeypatch.setattr(module, "source_hash", lambda *_: "another version of the code")
    monkeypatch.setattr(module, "simulate", lambda *_: np.ones((1, 4, 48, 48), dtype=np.complex64))
    assert (SMALL.acquisitions()[0].truth.read() == 1).all()
    assert len(list((tmp_path / "halfscan" / "digital_brains").iterdir())) == 2


def test_an_unwritable_cache_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HalfscanError, match=r"can't write .*dataset.cache"):
        replace(SMALL, cache=str(tmp_path / "file")).acquisitions()[0].truth.read()


@pytest.mark.parametrize(
    "setting",
    [
        {"split": "all"},
        {"test": -1},
        {"slices": 6},
        {"matrix": 8},
        {"coils": 0},
        {"field_strength_t": 7.0},
        {"snr": 0.0},
        {"contrasts": ("pd",)},
        {"contrasts": ("t1", "t1")},
        {"deformation_mm": 99.0},
        {"lesion_share": 1.5},
    ],
)
def test_settings_out_of_range_are_refused(setting: dict) -> None:
    with pytest.raises(HalfscanError, match=next(iter(setting))):
        DigitalBrains(**setting)
