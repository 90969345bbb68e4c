"""What a reconstruction is scored against, and whether that truth carries noise of its own."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from .acquisition import Acquisition, TruthKind
from .maps import Espirit
from .operators import centre_crop, combine, root_sum_of_squares, to_image
from .reconstruction import Combination
from .shelf import Shelf
from .sources import source_hash


@dataclass(frozen=True, kw_only=True, eq=False)
class Truth:
    """The reference image of one volume."""

    image: Tensor
    """(slice, ky, kx) float32 magnitude, cropped to the field of view."""
    source: TruthKind | Literal["full_kspace"]
    shares_noise: bool
    """True where the truth's noise is also in the sampled lines: scores then favour what keeps that noise."""


@lru_cache(maxsize=128)
def reference_image(acquisition: Acquisition, combination: Combination, maps: Espirit, shelf: Shelf | None = None) -> Truth:
    """Noise-free k-space or the mean of other repetitions where it exists, else the full k-space, combined as the metric
    profile names.

    Args:
        acquisition: the volume.
        combination: `rss`, or `mvue` with maps estimated from the truth's own central lines.
        maps: the estimator for `mvue`.
        shelf: where processes share what takes long, the combination by maps; None: each makes its own.
    """
    kspace = torch.from_numpy((acquisition.truth or acquisition.kspace).read_stack())
    lines = acquisition.acquired.nonzero()[0]
    region = (int(lines[0]), int(lines[-1]) + 1)
    if combination == "rss":
        image = root_sum_of_squares(to_image(kspace))
    elif shelf is None:
        image = _combined(kspace, region, maps)
    else:
        image = torch.from_numpy(shelf.get(_digest(kspace, region, maps), lambda: _combined(kspace, region, maps).numpy()))
    return Truth(
        image=centre_crop(image, acquisition.field_of_view),
        source=acquisition.truth_kind if acquisition.truth else "full_kspace",
        shares_noise=acquisition.truth is None,
    )


def _combined(kspace: Tensor, region: tuple[int, int], maps: Espirit) -> Tensor:
    return combine(to_image(kspace), maps(kspace, region)).abs()


def _digest(kspace: Tensor, region: tuple[int, int], maps: Espirit) -> str:
    """SHA-256 over all that decides a combination: samples, region, estimator, threads that add in their own order, and code."""
    made = [list(kspace.shape), str(kspace.dtype), region, asdict(maps), torch.get_num_threads(), source_hash(__name__)]
    content = hashlib.sha256(json.dumps(made).encode())
    content.update(kspace.contiguous().numpy().data)
    return content.hexdigest()
