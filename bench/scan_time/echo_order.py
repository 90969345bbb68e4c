"""Which line is read in which shot and echo, and whether a mask can be read so at all.

Linear order, as consoles use it for turbo spin echo: the sampled lines, sorted along ky, fall into as many contiguous bands as
the train has echoes, and echo e of every shot reads from band e. So T2 decay runs smoothly across k-space, and the echo that
reads its centre sets the contrast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..sampling.mask import Mask
from .protocol import Protocol

# From where on lines read in other echoes than in the full scan are called another contrast: this share of the train.
SHIFTED_SHARE = 0.25


@dataclass(frozen=True, kw_only=True, eq=False)
class EchoOrder:
    """Lines by shot and echo."""

    lines: npt.NDArray[np.int64]
    """(shot, echo) index along ky, −1 where an echo has no line left to read."""


def linear_order(lines: Sequence[int] | npt.NDArray[np.integer], echo_train_length: int) -> EchoOrder:
    """Orders lines linearly.

    Args:
        lines: indices along ky, at least one.
        echo_train_length: lines a shot.
    """
    ordered = np.sort(np.asarray(lines, dtype=np.int64))
    table = np.full((-(-ordered.size // echo_train_length), echo_train_length), -1, dtype=np.int64)
    # Echoes that have no line left are spread over the train, so that the centre stays where it is.
    echoes = np.floor(echo_train_length * _position(ordered, ordered)).astype(int)
    for echo in range(echo_train_length):
        band = ordered[echoes == echo]
        table[: band.size, echo] = band
    return EchoOrder(lines=table)


def warnings(mask: Mask, protocol: Protocol) -> tuple[str, ...]:
    """Why a scan with this protocol's echo train would not read this mask, or not with the same contrast; a line each.

    Args:
        mask: over ky, or over ky and kx.
    """
    found = []
    sampled, acquired = np.flatnonzero(mask.along_ky(mask.sampled)), np.flatnonzero(mask.along_ky(mask.acquired))
    if mask.sampled.ndim > 1:
        found.append("the mask leaves out samples along the readout, which a scan reads at no cost: only whole lines save time")
    steps = np.diff(sampled)
    if protocol.sequence == "epi" and steps.size and steps.min() != steps.max():
        found.append(
            f"EPI steps evenly through k-space, and this mask's steps vary from {steps.min()} to {steps.max()} lines: "
            "take calibration lines from a separate reference and an even mask"
        )
    if protocol.sequence == "tse" and protocol.dimension == 2 and 1 < protocol.echo_train_length <= sampled.size:
        found += _shifted_echoes(sampled, acquired, mask.acquired.shape[0] // 2, protocol)
    return tuple(found)


def _shifted_echoes(
    sampled: npt.NDArray[np.integer], acquired: npt.NDArray[np.integer], centre: int, protocol: Protocol
) -> list[str]:
    """What changes where the mask's lines are read earlier or later in the train than by the full scan."""
    train = protocol.echo_train_length
    spacing = f" ({protocol.echo_spacing_s * 1000:g} ms apart)" if protocol.echo_spacing_s else ""
    # Whole echoes would jump at the bands' borders, on which the centre often lies: positions are compared as fractions.
    shift = train * (_position(sampled, sampled) - _position(sampled, acquired))
    at_centre = train * float(_position(np.array([centre]), sampled)[0] - _position(np.array([centre]), acquired)[0])
    if abs(at_centre) >= 1:
        return [
            f"the centre of k-space is read {abs(at_centre):.1f} of {train} echoes{spacing} "
            f"{'later' if at_centre > 0 else 'earlier'} than by the full scan: another effective TE, so another contrast than "
            "the retrospective image has"
        ]
    farthest = float(np.abs(shift).max())
    if farthest > SHIFTED_SHARE * train:
        return [
            f"with linear ordering some lines are read {farthest:.1f} of {train} echoes{spacing} from where the full scan reads "
            "them: T2 decay, and so blur and contrast, differ from the retrospective image"
        ]
    return []


def _position(lines: npt.NDArray[np.integer], ordered: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """Where in the train, from 0 to 1, each line falls when `ordered` is read linearly."""
    return (np.searchsorted(ordered, lines) + 0.5) / ordered.size
