"""Varied brains: seeded, split by patient, truthful about noise, and no two alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from halfscan.bench.errors import HalfscanError
from halfscan.datasets.atlas import load_atlas
from halfscan.datasets.varied_anatomy import head, leaves, off_resonance, random_field, smooth_field
from halfscan.datasets.varied_brains import VariedBrains, _scan

pytest.importorskip("nilearn")

COHORT = VariedBrains(train=6, validation=2, slices=1)


def test_a_patient_is_the_same_on_every_machine_and_in_every_cohort() -> None:
    one, again = COHORT.acquisitions()[2], replace(COHORT, train=4).acquisitions()[2]
    assert one.digest == again.digest
    first = one.kspace.read_stack()
    _scan.cache_clear()
    assert np.array_equal(first, again.kspace.read_stack())
    assert replace(COHORT, data_seed=1).acquisitions()[2].digest != one.digest


def test_no_patient_is_in_two_splits() -> None:
    patients = [{one.patient for one in COHORT.of_split(split).acquisitions()} for split in ("train", "validation", "test")]
    assert [len(one) for one in patients] == [6, 2, 0]
    assert not patients[0] & patients[1]


def test_noise_is_as_stated_and_the_truth_has_none() -> None:
    for one in COHORT.acquisitions():
        noise = one.kspace.read_stack() - one.truth.read_stack()
        covariance = _scan(COHORT, int(one.volume), one.kspace.shape)[2]
        found = np.einsum("scyx,sdyx->cd", noise, noise.conj()) / (noise.size / noise.shape[1])
        assert np.abs(found - covariance).max() < 0.06 * np.abs(covariance).max()


def test_scanners_differ_and_some_measured_their_noise() -> None:
    many = replace(COHORT, train=80).acquisitions()
    assert len({one.kspace.shape for one in many}) >= 5
    assert 20 < sum(one.read_noise_cov is None for one in many) < 60


def test_pictures_of_nothing_fill_an_oval() -> None:
    picture = leaves(64, np.random.default_rng(0))
    assert abs(picture[32, 32]) > 0
    assert abs(picture[0]).max() == abs(picture[:, 0]).max() == 0
    assert len(np.unique(np.round(abs(picture), 2))) > 20


def test_most_pictures_have_parts_of_other_phase_and_some_have_none() -> None:
    spreads = []
    for seed in range(20):
        picture = leaves(64, np.random.default_rng(seed))
        # 1 where all has one phase.
        spreads.append(abs(picture.sum()) / abs(picture).sum())
    assert 2 <= sum(one > 1 - 1e-6 for one in spreads) <= 12
    assert min(spreads) < 0.9


def test_fat_of_other_phase_cancels_water_where_they_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    atlas = load_atlas()
    monkeypatch.setattr("halfscan.datasets.varied_anatomy._DEPHASED", 0.0)
    alike = head(96, 230.0, atlas, np.random.default_rng(3))
    assert np.abs(np.angle(alike[abs(alike) > 0])).max() < 1e-6
    monkeypatch.setattr("halfscan.datasets.varied_anatomy._DEPHASED", 1.0)
    apart = head(96, 230.0, atlas, np.random.default_rng(3))
    assert np.abs(np.angle(apart[abs(apart) > 0])).max() > 0.3
    assert (abs(apart) <= abs(alike) + 1e-5).all()
    assert (abs(apart) < 0.9 * abs(alike)).any()


def test_the_field_beside_air_falls_off_with_the_third_power() -> None:
    phases = [off_resonance(64, np.random.default_rng(seed)) for seed in range(30)]
    assert phases[0].shape == (64, 64)
    steepest = [np.abs(np.diff(one, axis=0)).max() for one in phases]
    assert np.median(steepest) > 0.1
    assert max(steepest) > 1


def test_fields_are_normed() -> None:
    rng = np.random.default_rng(0)
    field = random_field(64, 1.0, rng)
    assert field.mean() == pytest.approx(0, abs=1e-5)
    assert field.std() == pytest.approx(1, abs=1e-5)
    assert smooth_field(64, 2, rng).shape == (64, 64)


@pytest.mark.parametrize(
    "setting",
    [
        *({"split": "all"}, {"train": -1}, {"slices": 0}, {"generic_share": 2.0}),
        *({"snr": (5.0, 1.0)}, {"single_coil_snr": (0.0, 1.0)}),
    ],
)
def test_settings_out_of_range_are_refused(setting: dict) -> None:
    with pytest.raises(HalfscanError, match=f"dataset.{next(iter(setting))}"):
        VariedBrains(**setting)
