"""What a reconstruction is scored against, and whether that truth carries noise of its own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from .acquisition import Acquisition, TruthKind
from .maps import Espirit
from .operators import centre_crop, combine, root_sum_of_squares, to_image
from .reconstruction import Combination


@dataclass(frozen=True, kw_only=True, eq=False)
class Truth:
    """The reference image of one volume."""

    image: Tensor
    """(slice, ky, kx) float32 magnitude, cropped to the field of view."""
    source: TruthKind | Literal["full_kspace"]
    shares_noise: bool
    """True where the truth's noise is also in the sampled lines: scores then favour what keeps that noise."""


@lru_cache(maxsize=128)
def reference_image(acquisition: Acquisition, combination: Combination, maps: Espirit) -> Truth:
    """Noise-free k-space or the mean of other repetitions where it exists, else the full k-space, combined as the metric
    profile names.

    Args:
        acquisition: the volume.
        combination: `rss`, or `mvue` with maps estimated from the truth's own central lines.
        maps: the estimator for `mvue`.
    """
    kspace = torch.from_numpy((acquisition.truth or acquisition.kspace).read_stack())
    if combination == "rss":
        image = root_sum_of_squares(to_image(kspace))
    else:
        lines = acquisition.acquired.nonzero()[0]
        image = combine(to_image(kspace), maps(kspace, (int(lines[0]), int(lines[-1]) + 1))).abs()
    return Truth(
        image=centre_crop(image, acquisition.field_of_view),
        source=acquisition.truth_kind if acquisition.truth else "full_kspace",
        shares_noise=acquisition.truth is None,
    )
