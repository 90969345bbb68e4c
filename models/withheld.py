"""How loud a network had better take the noise to be: as loud as lets it predict lines that were kept from it.

A network that learned from simulated images takes what those had not for noise. Lines that were sampled and withheld from it tell
how far, without any truth: the noise in them is new to it, and what is left is its own error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from ..bench.network import NetworkInput, normalised
from ..bench.operators import expand, to_kspace

FACTORS = (0.5, 0.71, 1.0, 1.41)
"""Of the noise as it is known or estimated, that are tried."""
_EVERY, _FOLDS = 4, 2
"""One in so many lines outside of the ACS is withheld from the middle slice, in so many ways."""


def noise_factor(network: Callable[[NetworkInput], Tensor], given: NetworkInput) -> float:
    """The best of `FACTORS` for slices that are reconstructed together.

    It is 1 for masks over the plane, and where hardly a line lies outside of the ACS.

    Source of the idea to judge by withheld samples: Yaman et al., Magn Reson Med 84:3172 (2020), who train so.

    Args:
        network: at work.
        given: slices of a volume, which share one mask.
    """
    if given.mask.shape[-1] > 1 or given.maps is None:
        return 1.0
    outer = (given.mask[0, :, 0] & ~given.acs[0, :, 0]).nonzero()[:, 0]
    if len(outer) < 2 * _EVERY:
        return 1.0
    middle = len(given.kspace) // 2
    part = given.part(slice(middle, middle + 1))
    errors = dict.fromkeys(FACTORS, 0.0)
    for fold in range(_FOLDS):
        shown, wanted = _without(part, outer[fold * _EVERY // _FOLDS :: _EVERY])
        assert shown.maps is not None
        for factor in FACTORS:
            image = network(replace(shown, noise=shown.noise * factor)) * shown.scale
            found = to_kspace(expand(image, shown.maps))
            errors[factor] += float(torch.view_as_real(found[..., wanted.lines, :] - wanted.samples).square().sum())
    return min(errors, key=lambda factor: errors[factor])


class _Withheld(NamedTuple):
    lines: Tensor
    samples: Tensor


def _without(given: NetworkInput, lines: Tensor) -> tuple[NetworkInput, _Withheld]:
    """A slice without some of its lines, and those lines."""
    mask = given.mask.clone()
    mask[:, lines] = False
    shown = normalised(given.kspace, mask, given.acs, given.maps, given.noise)
    return shown, _Withheld(lines, given.kspace[..., lines, :])
