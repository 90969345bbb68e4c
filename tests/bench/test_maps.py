"""ESPIRiT against maps that are known, against its definition, and against what it must not look at."""

import pytest
import torch

from halfscan.bench.errors import HalfscanError, NotApplicable
from halfscan.bench.maps import Espirit
from halfscan.bench.operators import combine, expand, to_image

from ..conftest import phantom


def test_recovers_known_maps_inside_the_object() -> None:
    image, maps, kspace = phantom(slices=1, coils=6, height=64, width=56)
    found = Espirit()(kspace, (20, 44))
    inside = image.abs() > 0.3
    phase = torch.exp(-1j * torch.angle(maps[:, :1]))
    error = (found - maps * phase).abs().amax(1)[inside]
    assert error.median() < 0.02
    assert error.quantile(0.99) < 0.06


def test_unit_norm_inside_and_zero_outside() -> None:
    _, _, kspace = phantom(slices=1)
    noise = 0.02 * torch.randn(kspace.shape, dtype=kspace.dtype, generator=torch.Generator().manual_seed(0))
    norm = torch.linalg.vector_norm(Espirit(calibration=20)(kspace + noise, (14, 34)), dim=1)
    assert torch.all((norm < 1e-6) | ((norm - 1).abs() < 1e-4))
    assert norm[0, 24, 20] > 0.5
    assert norm[0, 0, 0] < 1e-6


def test_projects_noise_free_coil_images_onto_themselves() -> None:
    _, _, kspace = phantom(slices=2, height=64, width=64)
    maps, coil_images = Espirit()(kspace, (20, 44)), to_image(kspace)
    inside = torch.linalg.vector_norm(maps, dim=1, keepdim=True) > 0
    rest = (coil_images - expand(combine(coil_images, maps), maps)) * inside
    assert rest.abs().square().sum() < 1e-4 * coil_images.abs().square().sum()


def test_pixel_gram_is_the_sum_over_kernel_images() -> None:
    """The fast correlation form against the definition: Σ_k g_k g_kᴴ with one zero-padded FFT a kernel and coil."""
    _, _, kspace = phantom(slices=1, coils=3, height=32, width=30)
    espirit = Espirit(calibration=16, kernel=4)
    projection = espirit._projection(kspace[0][:, 8:24, 7:23])
    coils, width = 3, 4
    flat = projection.reshape(coils * width**2, -1)
    values, vectors = torch.linalg.eigh(flat)
    kernels = vectors[:, values > 0.5].mT.reshape(-1, coils, width, width).to(torch.complex64)
    padded = torch.zeros(len(kernels), coils, 32, 30, dtype=torch.complex64)
    padded[:, :, 14:18, 13:17] = kernels
    images = to_image(padded)
    direct = torch.einsum("kcyx,kdyx->yxcd", images, images.conj()) * (32 * 30 / width**2)
    # Seven lines at a time, so that the last block is a short one.
    blocks = torch.cat([block for _, block in espirit._pixel_gram(projection, (32, 30), 7)])
    torch.testing.assert_close(blocks.reshape(32, 30, 3, 3), direct, rtol=1e-4, atol=1e-4)


def test_looks_at_the_calibration_lines_alone() -> None:
    _, _, kspace = phantom()
    changed = kspace.clone()
    changed[:, :, :14] = complex("nan")
    changed[:, :, 34:] = 1e6
    espirit = Espirit(calibration=20)
    assert torch.equal(espirit(kspace, (14, 34)), espirit(changed, (14, 34)))


def test_one_coil_needs_no_calibration() -> None:
    _, _, kspace = phantom(coils=1)
    assert torch.equal(Espirit()(kspace, None), torch.ones_like(kspace))


@pytest.mark.parametrize("acs", [None, (22, 25)])
def test_too_few_calibration_lines_are_refused(acs: tuple[int, int] | None) -> None:
    with pytest.raises(NotApplicable, match=r"at least 6 ACS lines.*sampling.acs_lines"):
        Espirit()(phantom()[2], acs)


def test_a_matrix_smaller_than_the_kernel_is_refused() -> None:
    with pytest.raises(NotApplicable, match="at least 11 × 11 and it is 10 × 9"):
        Espirit(calibration=8)(phantom(height=10, width=9)[2], (0, 10))


@pytest.mark.parametrize("setting", [{"kernel": 0}, {"kernel": 30}, {"threshold": 1.0}, {"crop": -0.1}, {"iterations": 0}])
def test_settings_out_of_range_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(HalfscanError, match=f"maps.{next(iter(setting))}"):
        Espirit(**setting)
