"""The variational network has the names and the outputs of MONAI's, and none of its traps."""

from __future__ import annotations

import pytest
import torch
from monai.apps.reconstruction.networks.nets.coil_sensitivity_model import CoilSensitivityModel
from monai.apps.reconstruction.networks.nets.complex_unet import ComplexUnet
from monai.apps.reconstruction.networks.nets.varnet import VariationalNetworkModel

from halfscan.models.varnet_network import Sensitivities, VariationalNetwork, monai_unet

CASCADES, FEATURES, MAP_FEATURES = 2, 6, 4


def _widths(features: int) -> tuple[int, ...]:
    return tuple(features * factor for factor in (1, 1, 2, 4, 8, 1))


def both() -> tuple[VariationalNetworkModel, VariationalNetwork]:
    """MONAI's network and ours with its weights, which are stirred: biases and normalisations begin at zero and one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = VariationalNetworkModel(
            CoilSensitivityModel(spatial_dims=2, features=_widths(MAP_FEATURES)),
            ComplexUnet(spatial_dims=2, features=_widths(FEATURES)),
            num_cascades=CASCADES,
        )
        with torch.no_grad():
            for parameter in theirs.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
    ours = VariationalNetwork([monai_unet(FEATURES) for _ in range(CASCADES)], Sensitivities(monai_unet(MAP_FEATURES)))
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def scan(batch: int, coils: int, height: int, readout: int, acs: int = 8) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """K-space, mask, ACS lines; lines beside the ACS are left out, so that MONAI finds the same ones."""
    draws = torch.randn(batch, coils, height, readout, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))
    mask = torch.zeros(batch, height, 1, dtype=torch.bool)
    mask[:, ::4] = True
    start = (height - acs + 1) // 2
    mask[:, start - 1], mask[:, start + acs] = False, False
    region = torch.zeros_like(mask)
    region[:, start : start + acs] = True
    mask |= region
    return torch.where(mask.unsqueeze(1), draws, 0), mask, region


def monai(network: VariationalNetworkModel, kspace: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """MONAI's phase encode is its last axis."""
    turned = torch.view_as_real(kspace.transpose(-1, -2).contiguous())
    return network(turned, mask[:1, :, 0].view(1, 1, 1, -1, 1)).transpose(-1, -2)


@pytest.mark.parametrize("shape", [(1, 4, 48, 64), (1, 3, 39, 50), (2, 2, 35, 33)])
def test_images_are_those_of_monai(shape: tuple[int, int, int, int]) -> None:
    theirs, ours = both()
    kspace, mask, acs = scan(*shape)
    with torch.no_grad():
        expected, found = monai(theirs, kspace, mask), ours(kspace, mask, acs)
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-4


def test_gradients_are_those_of_monai() -> None:
    theirs, ours = (network.double() for network in both())
    kspace, mask, acs = scan(1, 3, 48, 40)
    kspace = kspace.to(torch.complex128)
    weight = torch.rand(1, 48, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    (monai(theirs, kspace, mask) * weight).mean().backward()
    (ours(kspace, mask, acs) * weight).mean().backward()
    mine = dict(ours.named_parameters())
    largest = max(float(one.grad.abs().max()) for one in theirs.parameters())
    for name, parameter in theirs.named_parameters():
        # A bias that a normalisation takes out again has no gradient but rounding.
        gradient = torch.zeros_like(parameter) if mine[name].grad is None else mine[name].grad
        assert float((gradient - parameter.grad).abs().max()) < 1e-6 * largest, name


def test_every_slice_has_its_own_mask() -> None:
    _, ours = both()
    kspace, mask, acs = scan(2, 3, 48, 40)
    mask[1, 2] = True
    kspace = torch.where(mask.unsqueeze(1), torch.randn(2, 3, 48, 40, dtype=torch.complex64, generator=torch.manual_seed(3)), 0)
    with torch.no_grad():
        together = ours(kspace, mask, acs)
        alone = torch.cat([ours(kspace[i : i + 1], mask[i : i + 1], acs[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


def test_whole_scans_empty_slices_and_masks_over_the_plane() -> None:
    _, ours = both()
    kspace, mask, acs = scan(2, 3, 48, 40)
    with torch.no_grad():
        assert torch.isfinite(ours(kspace, torch.ones_like(mask), acs)).all()
        kspace[0] = 0
        assert float(ours(kspace, mask, acs)[0].abs().max()) == 0
        plane = mask & (torch.arange(40) % 2 == 0)
        assert torch.isfinite(ours(torch.where(plane.unsqueeze(1), kspace, 0), plane, acs)).all()
