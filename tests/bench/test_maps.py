"""ESPIRiT against maps that are known, against its definition, and against what it must not look at."""

import pytest
import torch

from halfscan.bench import maps as estimation
from halfscan.bench.errors import HalfscanError, NotApplicable
from halfscan.bench.maps import Espirit
from halfscan.bench.operators import combine, expand, to_image

from ..conftest import phantom
from ..models.solving import noise_like, twice_the_field_of_view


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


@pytest.mark.parametrize("threshold", [0.0, 0.02])
@pytest.mark.parametrize("coils", [3, 12])
def test_kernels_are_the_row_space_of_the_calibration(coils: int, threshold: float) -> None:
    """By singular values, of a matrix with more rows than columns (3 coils: 169 and 48) and with fewer (12: 169 and 192)."""
    kspace = phantom(slices=1, coils=coils, height=32, width=30)[2]
    region = (kspace + noise_like(kspace, 0.01))[0][:, 8:24, 7:23]
    # A coil twice: what it adds is of no size but rounding's, which no threshold of zero lets in.
    region[-1] = region[0]
    found = Espirit(calibration=16, kernel=4, threshold=threshold)._projection(region).flatten(0, 2).flatten(1)
    patches = [region[:, y : y + 4, x : x + 4].flatten() for y in range(13) for x in range(13)]
    _, singular, rows = torch.linalg.svd(torch.stack(patches).to(torch.complex128), full_matrices=False)
    kept = rows[singular > max(threshold, 1e-6) * singular[0]].mT
    torch.testing.assert_close(found, (kept @ kept.mH).to(torch.complex64), rtol=1e-4, atol=1e-5)


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


def test_sets_are_orthonormal_and_in_the_order_of_their_eigenvalues() -> None:
    sets = Espirit().sets(twice_the_field_of_view(), (12, 36), None, 3)
    assert sets.shape == (1, 3, 8, 48, 40)
    products = torch.einsum("smcyx,skcyx->smkyx", sets.conj(), sets)
    norms = products.diagonal(dim1=1, dim2=2).real.clone()
    assert torch.all((norms < 1e-6) | ((norms - 1).abs() < 1e-4))
    products.diagonal(dim1=1, dim2=2)[:] = 0
    assert products.abs().max() < 1e-4
    shares = (norms > 0.5).float().mean((0, 1, 2))
    assert shares[0] > 0.9
    assert 0.4 < shares[1] < 0.6
    assert shares[2] == 0
    assert not torch.any((norms[..., 0] < 0.5) & (norms[..., 1] > 0.5))


def test_two_sets_explain_an_object_that_folds_and_one_does_not() -> None:
    kspace = twice_the_field_of_view()
    coil_images = to_image(kspace).unsqueeze(1)
    left = []
    for number in (1, 2):
        sets = Espirit().sets(kspace, (12, 36), None, number)
        seen = expand(combine(coil_images, sets), sets).sum(1, keepdim=True)
        left.append(((coil_images - seen).abs().square().sum() / coil_images.abs().square().sum()).sqrt().item())
    assert left[0] > 0.2
    assert left[1] < 0.05


@pytest.mark.parametrize("sigma", [0.0, 0.02])
def test_the_second_set_of_an_object_that_fits_is_empty(sigma: float) -> None:
    kspace = phantom(slices=1)[2]
    sets = Espirit().sets(kspace + noise_like(kspace, sigma), (12, 36))
    assert torch.all(sets[:, 1] == 0)
    assert torch.equal(sets[:, 0], Espirit()(kspace + noise_like(kspace, sigma), (12, 36)))


@pytest.mark.parametrize("number", [0, 7])
def test_numbers_of_sets_that_coils_do_not_have_are_refused(number: int) -> None:
    with pytest.raises(HalfscanError, match=rf"^{number} sets .* between 1 and the number of coils, 6$"):
        Espirit().sets(phantom()[2], (12, 36), None, number)


def test_one_coil_sees_one_set() -> None:
    sets = Espirit().sets(phantom(coils=1)[2], None, None, 2)
    assert torch.all(sets[:, 0] == 1)
    assert torch.all(sets[:, 1] == 0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), complex(0, float("nan"))])
def test_calibration_that_is_no_number_is_refused_in_one_line(value: complex) -> None:
    kspace = phantom()[2]
    kspace[1, 3, 20, 17] = value
    with pytest.raises(HalfscanError, match=r"^the calibration lines hold NaN or infinity[^\n]*$"):
        Espirit()(kspace, (12, 36))


def test_an_empty_calibration_gives_empty_maps_and_harms_no_other() -> None:
    kspace = phantom()[2]
    kspace[1] = 0
    for crop in (0.8, 0.0):
        sets = Espirit(crop=crop).sets(kspace, (12, 36))
        assert torch.all(sets[1] == 0)
        assert torch.isfinite(torch.view_as_real(sets)).all()
        assert torch.equal(sets[0], Espirit(crop=crop).sets(kspace[:1], (12, 36))[0])


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_cutting_up_changes_nothing(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    kspace = twice_the_field_of_view()
    whole = Espirit().sets(kspace, (12, 36))
    monkeypatch.setattr(estimation, "_BLOCK", rows * 8**2 * 40)
    torch.testing.assert_close(Espirit().sets(kspace, (12, 36)), whole, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("coils", "height", "width"), [(8, 64, 56), (6, 48, 40), (4, 50, 64), (12, 48, 48)])
def test_agrees_with_sigpy(coils: int, height: int, width: int) -> None:
    """Of an even matrix: of an odd one the centre of 24 lines is chosen otherwise."""
    app = pytest.importorskip("sigpy.mri.app")
    kspace = phantom(1, coils, height, width)[2]
    kspace = kspace + noise_like(kspace, 0.02)
    estimator = app.EspiritCalib(kspace[0].numpy(), calib_width=24, thresh=0.02, kernel_width=6, crop=0.8, show_pbar=False)
    theirs = torch.from_numpy(estimator.run())
    ours = Espirit()(kspace, (height // 2 - 12, height // 2 + 12))[0]
    seen = [(one.abs().sum(0) > 0) for one in (ours, theirs)]
    both = seen[0] & seen[1]
    assert both.sum() > 0.99 * (seen[0] | seen[1]).sum() > 0.3 * height * width
    assert torch.linalg.vector_norm((ours - theirs)[:, both]) < 1e-3 * torch.linalg.vector_norm(theirs[:, both])
