"""Every swept parameter changes the rows: nothing is declared in the configuration and hard-coded in the code."""

from __future__ import annotations

from pathlib import Path

import pytest

from .running import rows_of, run

pytestmark = pytest.mark.usefixtures("work")


SWEPT = [
    "model=sense",
    "model=zero_filled_rss",
    "model.combination=rss",
    "sampling=random",
    "sampling=equispaced_fraction",
    "sampling=variable_density",
    "sampling=poisson_disc sampling.acceleration=2",
    "sampling=partial_fourier sampling.acceleration=1",
    "sampling.seed=fastmri",
    "sampling.acceleration=2",
    "sampling.acs_lines=12",
    "mask_replicate=3",
    "protocol=flash",
    "protocol.sequence=gre",
    "protocol.name=other",
    "protocol.tr_s=1.0",
    "protocol.echo_train_length=2",
    "protocol.averages=2",
    "protocol.concatenations=2",
    "protocol.dummies=3",
    "protocol.reference_s=6.0",
    "protocol.preparation_s=2.0",
    "protocol.preparation_low_s=1.0",
    "protocol.preparation_high_s=9.0",
    "protocol.clinical.acceleration=5",
    "protocol.clinical.acs_lines=0",
    "protocol.clinical.name=other",
    "maps.calibration=8",
    "maps.kernel=3",
    "maps.threshold=0.2",
    "maps.crop=0.95",
    "maps.iterations=1",
    "metrics=fastmri",
    "metrics.mvue.truth=rss",
    "dataset.provenance=measured",
    "dataset.max_slices=1",
    "dataset.patient_pattern='(o)'",
    "threads=1",
    "sampling.acs_lines=null sampling.center_fraction=0.3",
]
PATTERN_SWEPT = {
    "variable_density": "sampling.power=0",
    "poisson_disc": "sampling.slope=0",
    "partial_fourier": "sampling.fraction=0.9",
}
SENSE_SWEPT = ["model.regularisation=0.1", "model.iterations=1", "model.tolerance=0.3"]
SAMPLE_SWEPT = ["coils=3", "snr=20", "noise_correlation=0.3", "slices=2", "data_seed=1"]


@pytest.mark.parametrize("override", [*SWEPT, *(f"model=sense {name}" for name in SENSE_SWEPT)])
def test_every_swept_parameter_changes_the_rows(override: str, small: list[str], work: Path) -> None:
    base = [*small, "sampling.acceleration=3", *(["model=sense"] if override.startswith("model=sense ") else [])]
    assert run(*base) == 0
    assert run(*base, *override.split()) == 0
    before, after = rows_of(work)
    assert before != after


@pytest.mark.parametrize("pattern", PATTERN_SWEPT)
def test_every_setting_of_a_pattern_changes_the_rows(pattern: str, small: list[str], work: Path) -> None:
    base = [*small, f"sampling={pattern}", "sampling.acceleration=2"]
    assert run(*base) == 0
    assert run(*base, PATTERN_SWEPT[pattern]) == 0
    before, after = rows_of(work)
    assert before != after


@pytest.mark.parametrize("setting", SAMPLE_SWEPT)
def test_every_setting_of_the_sample_changes_the_rows(setting: str, work: Path) -> None:
    small_sample = ["dataset=sample", "dataset.slices=1", "dataset.coils=2", "model=zero_filled_rss"]
    assert run(*small_sample) == 0
    assert run(*small_sample, f"dataset.{setting}") == 0
    before, after = rows_of(work)
    assert before != after
