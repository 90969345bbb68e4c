"""The built-in sample: seeded, labelled simulated, its truth without noise, its noise as stated."""

from pathlib import Path

import numpy as np
import pytest
import torch

from halfscan.bench.acquisition import Provenance
from halfscan.bench.errors import HalfscanError
from halfscan.bench.operators import root_sum_of_squares, to_image
from halfscan.datasets.sample import Sample
from halfscan.datasets.simulation import render

pytest.importorskip("nibabel")


@pytest.fixture(scope="module")
def acquisition():
    try:
        return Sample(slices=2, coils=4).acquisitions()[0]
    except HalfscanError as absent:
        pytest.skip(str(absent))


def test_says_that_it_is_simulated(acquisition) -> None:
    assert acquisition.provenance is Provenance.SIMULATED
    assert acquisition.kspace.shape == acquisition.truth.shape == (2, 4, 128, 96)


def test_noise_is_as_stated(acquisition) -> None:
    clean = acquisition.truth.read()
    noise = acquisition.kspace.read() - clean
    peak = float(root_sum_of_squares(to_image(torch.from_numpy(clean))).max())
    samples = noise.transpose(1, 0, 2, 3).reshape(4, -1)
    found = samples @ samples.conj().T / samples.shape[1]
    assert np.sqrt(found[0, 0].real) == pytest.approx(peak / 50, rel=0.02)
    np.testing.assert_allclose(found, acquisition.noise_cov, atol=0.02 * found[0, 0].real)


def test_the_seed_changes_the_noise_and_not_the_truth(acquisition) -> None:
    again, other = (Sample(slices=2, coils=4, data_seed=seed).acquisitions()[0] for seed in (0, 1))
    assert np.array_equal(again.kspace.read(), acquisition.kspace.read())
    assert not np.array_equal(other.kspace.read(), acquisition.kspace.read())
    assert np.array_equal(other.truth.read(), acquisition.truth.read())
    assert again.digest == acquisition.digest != other.digest


def test_reads_a_slice_at_a_time(acquisition) -> None:
    assert np.array_equal(acquisition.kspace.read({"slice": 1}), acquisition.kspace.read()[1])
    with pytest.raises(HalfscanError, match="no axis 'echo'"):
        acquisition.kspace.read({"echo": 0})


def test_rendering_keeps_the_scale_of_a_smooth_image() -> None:
    y, x = np.meshgrid(np.linspace(-1, 1, 64), np.linspace(-1, 1, 48), indexing="ij")
    fine = np.exp(-4 * (x**2 + y**2)).astype(np.complex64)[None]
    coarse = to_image(torch.from_numpy(render(fine, (32, 24)))).abs().numpy()
    np.testing.assert_allclose(coarse[0], np.abs(fine[0, ::2, ::2]), atol=0.01)


def test_a_stripped_nibabel_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import nibabel

    monkeypatch.setattr(nibabel, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(HalfscanError, match=r"example4d.nii.gz .*some distributions strip it.*dataset=array"):
        Sample().acquisitions()


@pytest.mark.parametrize("setting", [{"coils": 0}, {"slices": 99}, {"snr": 0.0}, {"noise_correlation": 0.5}, {"data_seed": -1}])
def test_settings_out_of_range_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(HalfscanError, match=next(iter(setting))):
        Sample(**setting).acquisitions()
