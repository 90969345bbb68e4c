"""Laws that every reconstruction keeps. A new model adds one line to MODELS.

What a model declares it can't do is "not applicable" and skips with the model's own words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from halfscan.bench.errors import HalfscanError, NotApplicable
from halfscan.bench.maps import Espirit
from halfscan.bench.operators import centre_crop, combine, root_sum_of_squares, sample, to_image
from halfscan.bench.reconstruction import ReconInput, ReconResult, Reconstructor
from halfscan.bench.sampling.equispaced import Equispaced
from halfscan.bench.sampling.mask import Mask
from halfscan.bench.sampling.partial_fourier import PartialFourier
from halfscan.bench.sampling.poisson_disc import PoissonDisc
from halfscan.models.bart import Bart
from halfscan.models.denoised import Denoised
from halfscan.models.grappa import Grappa
from halfscan.models.homodyne import Homodyne
from halfscan.models.modl import Modl
from halfscan.models.outside import Outside
from halfscan.models.own_network import OwnNetwork
from halfscan.models.pocs import Pocs
from halfscan.models.sense import Sense
from halfscan.models.sigpy import SigPy
from halfscan.models.total_variation import TotalVariation
from halfscan.models.unet import UNet
from halfscan.models.varnet import VarNet
from halfscan.models.varnet_fastmri import FastMriVarNet
from halfscan.models.wavelet import Wavelet
from halfscan.models.zero_filled import ZeroFilled

from ..conftest import phantom

MODELS: dict[str, Callable[[], Reconstructor]] = {
    "zero_filled": ZeroFilled,
    "zero_filled_rss": lambda: ZeroFilled(combination="rss"),
    "sense": Sense,
    "sense_compressed": lambda: Sense(virtual_coils=4),
    "sense_two_sets": lambda: Sense(map_sets=2),
    "wavelet": Wavelet,
    "total_variation": TotalVariation,
    "denoised": Denoised,
    "grappa": Grappa,
    "grappa_rss": lambda: Grappa(combination="rss"),
    "homodyne": Homodyne,
    "homodyne_ramp_rss": lambda: Homodyne(weighting="ramp", combination="rss"),
    "pocs": Pocs,
    "pocs_rss": lambda: Pocs(combination="rss"),
    "bart": lambda: _outside(Bart(iterations=8)),
    "bart_wavelet": lambda: _outside(Bart(method="wavelet", iterations=8)),
    "sigpy": lambda: _outside(SigPy(iterations=8)),
    "sigpy_wavelet": lambda: _outside(SigPy(method="wavelet", iterations=8)),
    "unet": lambda: _random_unet(),
    "modl": lambda: _random_modl(),
    "varnet": lambda: VarNet(cascades=2, features=4, map_features=2),
    "varnet_rss": lambda: VarNet(cascades=2, features=4, map_features=2, combination="rss"),
    "varnet_fastmri": lambda: FastMriVarNet(cascades=2, features=4, pools=2, map_features=2, map_pools=2),
    "unet_kept": lambda: replace(_random_unet(), keep_samples=True),  # type: ignore[type-var]
    "modl_calibrated": lambda: replace(_random_modl(), calibrate=True),  # type: ignore[type-var]
    "modl_turned": lambda: replace(_random_modl(), turns=3),  # type: ignore[type-var]
    "varnet_kept": lambda: VarNet(cascades=2, features=4, map_features=2, keep_samples=True),
    "own_network": lambda: OwnNetwork(module=partial(torch.nn.Conv2d, 2, 2, 3, padding=1)),
}
# Settings under which a model has no bias of its own: noise-free full sampling must return the truth.
# An untrained U-Net returns its input.
UNBIASED: dict[str, Callable[[], Reconstructor]] = {
    **MODELS,
    "sense": lambda: Sense(regularisation=0.0),
    "sense_compressed": lambda: Sense(regularisation=0.0, virtual_coils=6),
    "sense_two_sets": lambda: Sense(regularisation=0.0, map_sets=2),
    "wavelet": lambda: Wavelet(regularisation=0.0),
    "total_variation": lambda: TotalVariation(regularisation=0.0),
    "denoised": lambda: Denoised(strength=0.0),
    "bart": lambda: _outside(Bart(regularisation=0.0)),
    "bart_wavelet": lambda: _outside(Bart(method="wavelet", regularisation=0.0)),
    "sigpy": lambda: _outside(SigPy(regularisation=0.0)),
    "sigpy_wavelet": lambda: _outside(SigPy(method="wavelet", regularisation=0.0)),
    "unet": UNet,
    "modl": lambda: Modl(features=4, iterations=2).with_network(_unweighted()),
    "modl_calibrated": lambda: Modl(features=4, iterations=2, calibrate=True).with_network(_unweighted()),
    "modl_turned": lambda: Modl(features=4, iterations=2, turns=3).with_network(_unweighted()),
    "own_network": lambda: OwnNetwork(module=torch.nn.Identity, residual=False),
}
# A variational network takes the mean of an image for an artefact until it has learned better.
for _name in ("varnet", "varnet_rss", "varnet_fastmri"):
    del UNBIASED[_name]


def _outside(model: Outside) -> Reconstructor:
    """A model whose program may not be there."""
    try:
        model.find()
    except HalfscanError as reason:
        pytest.skip(f"not applicable: {reason}")
    return model


def _random_unet() -> Reconstructor:
    """A U-Net that does something: the last layer of an untrained one is zero."""
    network = UNet(features=4).build(0).eval()
    _stir(network.correct.unet.final_conv)
    return UNet(features=4).with_network(network)


def _random_modl() -> Reconstructor:
    network = Modl(features=4, iterations=2).build(0).eval()
    _stir(network.denoise.unet.final_conv)
    return Modl(features=4, iterations=2).with_network(network)


def _unweighted() -> torch.nn.Module:
    """An untrained denoiser returns its input: what is left is SENSE at this weight."""
    network = Modl(features=4, iterations=2).build(0).eval()
    torch.nn.init.constant_(network.log_weight, -12.0)
    torch.nn.init.zeros_(network.log_power)
    return network


def _stir(layer: torch.nn.Module) -> None:
    torch.nn.init.normal_(layer.weight, std=0.1, generator=torch.Generator().manual_seed(0))


# Where equispaced lines are not what a model is for: (lines along ky) → the mask that its laws are tested with.
MASKS: dict[str, Callable[[int], Mask]] = dict.fromkeys(
    ("homodyne", "homodyne_ramp_rss", "pocs", "pocs_rss"), lambda height: _partial_fourier(height)
)
SHAPES = [(2, 6, 48, 40), (1, 6, 48, 40), (2, 1, 48, 40), (3, 5, 31, 27), (1, 1, 13, 17)]


def _mask(height: int, acceleration: float = 3, acs: int = 12) -> Mask:
    return Equispaced(acceleration=acceleration, acs_lines=acs).draw(np.ones(height, dtype=bool), "test")


def _partial_fourier(height: int) -> Mask:
    acs = min(12, height // 2)
    return PartialFourier(acceleration=1, acs_lines=acs, fraction=0.75).draw(np.ones(height, dtype=bool), "test")


def _mask_of(name: str, height: int) -> Mask:
    return MASKS.get(name, _mask)(height)


def _positions(mask: Mask) -> torch.Tensor:
    sampled = torch.from_numpy(mask.sampled.copy())
    return sampled[:, None] if sampled.ndim == 1 else sampled


def _input(model: Reconstructor, kspace: torch.Tensor, mask: Mask, crop: tuple[int, int] | None = None) -> ReconInput:
    coils = kspace.shape[1]
    try:
        model.check(mask, coils)
        espirit = Espirit(calibration=12)
        lines = _positions(mask)
        sampled = sample(kspace, lines)
        maps = espirit(sampled, mask.calibration, mask.acs_readout) if model.needs_maps else None
        if maps is not None and getattr(model, "map_sets", 1) > 1:
            maps = espirit.sets(sampled, mask.calibration, mask.acs_readout, model.map_sets)
    except NotApplicable as reason:
        pytest.skip(f"not applicable: {reason}")
    return ReconInput(
        kspace=sampled,
        mask=lines,
        acs=mask.calibration,
        acs_readout=mask.acs_readout,
        maps=maps,
        noise_cov=None,
        field_of_view=crop or (kspace.shape[-2], kspace.shape[-1]),
    )


def _noisy(shape: tuple[int, int, int, int]) -> torch.Tensor:
    slices, coils, height, width = shape
    kspace = phantom(slices, coils, height, width)[2]
    return kspace + 0.02 * torch.randn(kspace.shape, dtype=kspace.dtype, generator=torch.Generator().manual_seed(1))


def _expected(result: ReconResult, data: ReconInput, full: torch.Tensor) -> torch.Tensor:
    if data.maps is not None and data.maps.ndim == 5:
        return torch.linalg.vector_norm(combine(to_image(full).unsqueeze(1), data.maps), dim=1)
    if result.combination == "rss":
        return root_sum_of_squares(to_image(full))
    assert data.maps is not None
    return combine(to_image(full), data.maps)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", UNBIASED)
def test_noise_free_full_sampling_returns_the_truth(name: str, shape: tuple[int, int, int, int]) -> None:
    slices, coils, height, width = shape
    full = phantom(slices, coils, height, width)[2]
    model = UNBIASED[name]()
    data = _input(model, full, _mask(height, acceleration=1))
    result = model(data)
    truth = _expected(result, data, full)
    error = torch.linalg.vector_norm(result.image * result.scale - truth) / torch.linalg.vector_norm(truth)
    assert error < 1e-5


@pytest.mark.parametrize("pattern", ["lines", "plane"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_non_interference(name: str, shape: tuple[int, int, int, int], pattern: str) -> None:
    """Changing any unsampled sample leaves the output bit-identical, maps and scale included."""
    model, kspace, mask = MODELS[name](), _noisy(shape), _mask_of(name, shape[2])
    if pattern == "plane":
        spec = PoissonDisc(acceleration=2, acs_lines=8)
        mask = spec.draw(np.ones(shape[2], dtype=bool), "test", readout=shape[3])
    unsampled = ~_positions(mask).expand(shape[2], shape[3])
    assert unsampled.any()
    changed = torch.where(unsampled, torch.full_like(kspace, complex("nan")), kspace)
    one, two = model(_input(model, kspace, mask)), model(_input(model, changed, mask))
    assert torch.equal(one.image, two.image)
    assert (one.scale, one.kind, one.combination) == (two.scale, two.kind, two.combination)


@pytest.mark.parametrize("name", MODELS)
def test_a_slice_does_not_depend_on_its_neighbours(name: str) -> None:
    model, kspace, mask = MODELS[name](), _noisy((3, 6, 48, 40)), _mask_of(name, 48)
    together = model(_input(model, kspace, mask)).image
    for index in range(3):
        alone = model(_input(model, kspace[index : index + 1], mask)).image[0]
        torch.testing.assert_close(together[index], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_an_empty_slice_stays_empty_and_harms_no_other(name: str) -> None:
    model, kspace, mask = MODELS[name](), _noisy((2, 6, 48, 40)), _mask_of(name, 48)
    kspace[1] = 0
    image = model(_input(model, kspace, mask)).image
    assert torch.isfinite(image.abs()).all()
    assert image[1].abs().max() == 0
    assert image[0].abs().max() > 0


@pytest.mark.parametrize("name", MODELS)
def test_shape_kind_and_crop(name: str) -> None:
    model, kspace, mask = MODELS[name](), _noisy((2, 6, 48, 40)), _mask_of(name, 48)
    whole, cropped = model(_input(model, kspace, mask)), model(_input(model, kspace, mask, crop=(32, 21)))
    assert cropped.image.shape == (2, 32, 21)
    assert torch.equal(cropped.image, centre_crop(whole.image, (32, 21)))
    assert whole.image.is_complex() == (whole.kind == "complex")


@pytest.mark.parametrize("scale", [1e-7, 1e6])
@pytest.mark.parametrize("name", MODELS)
def test_scales_with_its_input(name: str, scale: float) -> None:
    model, kspace, mask = MODELS[name](), _noisy((1, 6, 48, 40)), _mask_of(name, 48)
    one, other = model(_input(model, kspace, mask)), model(_input(model, kspace * scale, mask))
    torch.testing.assert_close(other.image * other.scale / scale, one.image * one.scale, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_same_input_same_bits(name: str) -> None:
    model, kspace, mask = MODELS[name](), _noisy((2, 6, 48, 40)), _mask_of(name, 48)
    assert torch.equal(model(_input(model, kspace, mask)).image, model(_input(model, kspace, mask)).image)
