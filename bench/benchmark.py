"""The story of one cell: acquisition → mask → scan seconds, masked k-space → image → scores, one row a volume."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .acquisition import Acquisition
from .cell import Cell
from .claims.types import retrospective_evidence
from .images import MADE_ELSEWHERE, Reconstructed, make_share, recipe_images
from .qa.measure import measure_quality
from .qa.measure import measure_share as measure_quality_share
from .quantity import Quantity
from .reconstruction_energy import Cost, recipe_costs
from .rows import Row, split_scores
from .sampling.mask import Mask
from .scan_time.breakdown import break_down
from .shelf import Shelf
from .truth import Truth, reference_image


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """One volume's row and what a picture of it needs."""

    row: Row
    truth: npt.NDArray[np.floating]
    """(slice, ky, kx) magnitude, combined as the image is where a profile does so."""
    image: npt.NDArray[np.floating]
    mask: Mask
    redistributable: bool


def measure(
    cell: Cell, images: Path, advance: Callable[[], None] = lambda: None, shelf: Shelf | None = None
) -> Iterator[Measured]:
    """Runs a cell: reconstructs its volumes (or finds them in `images`), times their scans and scores them.

    Args:
        cell: built and checked.
        images: folder of all saved images.
        advance: called after each volume that was reconstructed.
        shelf: where reference images are shared between cells; None: each process makes its own.
    """
    recipe = cell.recipe
    quality: list[dict[str, Quantity]] = []
    costs: list[Cost] = []
    for index, (acquisition, volume) in enumerate(zip(recipe.acquisitions, recipe_images(recipe, images, advance), strict=True)):
        # Beside the images, which are all there when the first of them comes.
        quality = quality or measure_quality(recipe, images, cell.quality)
        costs = costs or recipe_costs(recipe, images)
        mask = recipe.mask(acquisition)
        truths = {profile.truth: reference_image(acquisition, profile.truth, recipe.maps, shelf) for profile in cell.profiles}
        scores: dict[str, Quantity] = {}
        for profile in cell.profiles:
            scores |= profile.score(truths[profile.truth].image.numpy(), volume.magnitude)
        scores |= quality[index]
        truth = truths.get(volume.combination, truths[cell.profiles[0].truth])
        yield Measured(
            row=_row(cell, acquisition, mask, volume, costs[index], truth, scores),
            truth=truth.image.numpy(),
            image=volume.magnitude,
            mask=mask,
            redistributable=acquisition.redistributable,
        )


def measure_share(cell: Cell, images: Path, share: int, shares: int, shelf: Shelf | None) -> None:
    """Does ahead what takes long of every `shares`-th volume from number `share` on: `measure` finds it, and gives the same rows.

    Args:
        cell: built and checked.
        images: folder of all saved images.
        share: of this process, from 0 on.
        shares: how many processes share the volumes.
        shelf: where reference images are shared.
    """
    make_share(cell.recipe, images, share, shares)
    measure_quality_share(cell.recipe, images, cell.quality, share, shares)
    if shelf is not None:
        for acquisition in cell.recipe.acquisitions[share::shares]:
            for profile in cell.profiles:
                reference_image(acquisition, profile.truth, cell.recipe.maps, shelf)


def _row(
    cell: Cell,
    acquisition: Acquisition,
    mask: Mask,
    volume: Reconstructed,
    cost: Cost,
    truth: Truth,
    scores: dict[str, Quantity],
) -> Row:
    timing = break_down(mask, cell.protocol, acquisition.timing)
    scan = timing.scans
    seconds, against_full, against_clinical = scan.candidate.seconds, scan.against_full, scan.against_clinical
    energy = cost.energy.total
    speed = (
        Quantity.unmeasured("s", MADE_ELSEWHERE)
        if volume.seconds_per_slice is None
        else Quantity(value=volume.seconds_per_slice, unit="s", method="measured")
    )
    absent = {
        "energy_j": energy,
        "energy_net_j": cost.energy.net,
        "flops": cost.flops,
        "training_j": cost.training,
        "full_recorded_s": timing.timed.recorded,
        "recon_s_per_slice": speed,
    }
    metrics, reasons = split_scores({**scores, **absent})
    for name in absent:
        metrics.pop(name)
    return Row(
        dataset=cell.dataset,
        patient=acquisition.patient,
        volume=acquisition.volume,
        contrast=acquisition.contrast,
        provenance=acquisition.provenance,
        evidence=retrospective_evidence(acquisition.provenance),
        caveat="; ".join(filter(None, (acquisition.caveat, cell.recipe.caveat))) or None,
        field_strength_t=acquisition.field_strength_t,
        slices=acquisition.slices,
        coils=acquisition.kspace.size("coil"),
        sampling=mask.pattern,
        nominal_acceleration=mask.nominal,
        acceleration=mask.acceleration,
        acs_lines=mask.acs_lines,
        lines_sampled=mask.lines_sampled,
        lines_acquired=mask.lines_acquired,
        mask_hash=mask.hash,
        mask_replicate=mask.replicate,
        protocol=cell.protocol.name,
        sequence=cell.protocol.sequence,
        scan_s=_number(seconds.value),
        scan_low_s=_number(seconds.low),
        scan_high_s=_number(seconds.high),
        full_s=_number(scan.full.seconds.value),
        full_recorded_s=timing.timed.recorded.value,
        clinical=scan.clinical_name,
        clinical_s=_number(scan.clinical.seconds.value),
        reduction_full=_number(against_full.value),
        reduction_full_low=_number(against_full.low),
        reduction_full_high=_number(against_full.high),
        reduction_clinical=_number(against_clinical.value),
        reduction_clinical_low=_number(against_clinical.low),
        reduction_clinical_high=_number(against_clinical.high),
        model=cell.recipe.model_name,
        train_seed=cell.recipe.training.train_seed if cell.recipe.training else None,
        combination=volume.combination,
        device=cell.recipe.device,
        threads=cell.recipe.threads,
        recon_s_per_slice=volume.seconds_per_slice,
        energy_j=energy.value,
        energy_low_j=energy.low,
        energy_high_j=energy.high,
        energy_net_j=cost.energy.net.value,
        flops=cost.flops.value,
        training_j=cost.training.value,
        energy={**cost.energy.as_dict(), "training": cost.training.as_dict()},
        truth_source=truth.source,
        truth_shares_noise=truth.shares_noise,
        timing={name: f"{value} ({origin})" for name, (value, origin) in timing.stated().items()},
        assumptions=timing.assumptions,
        warnings=timing.warnings,
        truth_combinations={profile.name: profile.truth for profile in cell.profiles},
        metrics=metrics,
        reasons=reasons,
    )


def _number(value: float | None) -> float:
    assert value is not None, "a modelled scan time is always a number"
    return value
