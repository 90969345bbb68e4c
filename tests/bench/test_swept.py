"""Every swept parameter changes the rows: nothing is declared in the configuration and hard-coded in the code."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
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
    "sampling.acceleration=2",
    "sampling.acs_lines=12",
    "mask_replicate=3",
    "protocol=flash protocol.echo_train_length=1",
    "protocol.sequence=gre protocol.echo_train_length=1",
    "protocol.name=other",
    "protocol.tr_s=1.0",
    "protocol.echo_train_length=2",
    "protocol.echo_spacing_s=0.02",
    "protocol.averages=2",
    "protocol.volumes=2",
    "protocol.sms_factor=2",
    "protocol.concatenations=2",
    "protocol.concatenations=null protocol.slices=9 protocol.slices_per_tr=3",
    "protocol.dimension=3 protocol.partitions=2",
    "protocol.dummies=2",
    "protocol.reference=separate",
    "protocol.preparation_s=2.0",
    "protocol.assumed.dummies=[0,3]",
    "protocol.assumed.preparation_s=null",
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
# Settings that mean something beside others only: these first, then with the change.
PROTOCOL_SWEPT = [
    ("reference=separate reference_lines=24 slices=6", "slices=8"),
    ("reference=separate reference_lines=24 slices=6", "reference_lines=32"),
    ("reference=separate reference_lines=24 slices=6", "reference_line_s=0.003"),
    ("reference=separate reference_lines=24 slices=6", "assumed.reference_line_s=null"),
    ("sms_factor=2", "sms_reference_s=3.0"),
    ("sms_factor=2", "assumed.sms_reference_s=null"),
    ("concatenations=null slices=9 slices_per_tr=3", "slices_per_tr=9"),
    ("dimension=3 partitions=4", "partitions=6"),
    ("dimension=3 partitions=4", "elliptical=true"),
    ("sequence=epi echo_train_length=1", "segments=4"),
]
PATTERN_SWEPT = {
    "random": "sampling.seed=fastmri",
    "variable_density": "sampling.power=0",
    "poisson_disc": "sampling.slope=0",
    "partial_fourier": "sampling.fraction=0.9",
}
QA_SWEPT = ["replicas=4", "sites=2", "spacing=12", "point_amplitude=0.1", "lesion_contrast=0.4", "lesion_radius=1.5"]
SENSE_SWEPT = ["model.regularisation=0.1", "model.iterations=1", "model.tolerance=0.3"]
PARTIAL = "sampling=partial_fourier sampling.acceleration=1"
# Settings of models beside the sampling that they are for; of solvers those that come from the bench, or one that tells that
# they arrive: the rest is in the tests of each model.
MODEL_SWEPT = {
    "sense": ("sampling.acceleration=3", ["map_sets=2", "virtual_coils=2"]),
    "wavelet": ("sampling.acceleration=3", ["regularisation=2", "map_sets=2"]),
    "total_variation": ("sampling.acceleration=3", ["regularisation=2"]),
    "denoised": ("sampling.acceleration=1", ["strength=2"]),
    "grappa": ("sampling.acceleration=3", ["kernel_readout=3", "kernel_lines=2", "regularisation=0.1", "combination=rss"]),
    "homodyne": (PARTIAL, ["weighting=ramp", "combination=rss"]),
    "pocs": (PARTIAL, ["iterations=1", "tolerance=0.5", "combination=rss"]),
    "bart": ("sampling.acceleration=3", ["method=wavelet", "regularisation=0.1", "iterations=1"]),
    "sigpy": ("sampling.acceleration=3", ["method=wavelet", "regularisation=0.1", "iterations=1"]),
}
SAMPLE_SWEPT = ["coils=3", "snr=20", "noise_correlation=0.3", "slices=2", "data_seed=1"]


@pytest.mark.parametrize("override", [*SWEPT, *(f"model=sense {name}" for name in SENSE_SWEPT)])
def test_every_swept_parameter_changes_the_rows(override: str, small: list[str], work: Path) -> None:
    base = [*small, "sampling.acceleration=3", *(["model=sense"] if override.startswith("model=sense ") else [])]
    assert run(*base) == 0
    assert run(*base, *override.split()) == 0
    before, after = rows_of(work)
    assert before != after


@pytest.mark.parametrize(("beside", "change"), PROTOCOL_SWEPT)
def test_every_setting_of_a_protocol_changes_the_rows(beside: str, change: str, small: list[str], work: Path) -> None:
    base = [*small, "sampling.acceleration=3", *(f"protocol.{one}" for one in beside.split())]
    assert run(*base) == 0
    assert run(*(word for word in base if word.split("=")[0] != f"protocol.{change.split('=')[0]}"), f"protocol.{change}") == 0
    before, after = rows_of(work)
    assert before != after


def test_the_header_s_timing_goes_before_the_protocol_s(write_kspace: Callable[..., Path], work: Path) -> None:
    sidecar = {"axes": ["slice", "coil", "ky", "kx"], "TR_ms": 2500, "scan_time_s": 70.0}
    path = write_kspace(sidecar=sidecar, height=48)
    base = ["dataset=array", f"dataset.path={path}", "sampling.acs_lines=10", "maps.calibration=10"]
    base += ["protocol.echo_train_length=4", "metrics=fastmri"]
    assert run(*base) == 0
    assert run(*base, "protocol.timing=protocol") == 0
    header, protocol = sorted(rows_of(work), key=lambda rows: rows["full_s"])
    assert json.loads(header["timing"][0])["tr_s"] == "2.5 s (header instead of 4)"
    assert json.loads(protocol["timing"][0])["tr_s"] == "4 s (protocol tse_brain)"
    assert header["full_s"] == [2.5 * 13 + 1.5]
    assert header["full_recorded_s"] == [70.0]


@pytest.mark.parametrize("pattern", PATTERN_SWEPT)
def test_every_setting_of_a_pattern_changes_the_rows(pattern: str, small: list[str], work: Path) -> None:
    base = [*small, f"sampling={pattern}", "sampling.acceleration=2"]
    assert run(*base) == 0
    assert run(*base, PATTERN_SWEPT[pattern]) == 0
    before, after = rows_of(work)
    assert before != after


@pytest.mark.parametrize(("model", "change"), [(name, one) for name, (_, those) in MODEL_SWEPT.items() for one in those])
def test_every_setting_of_a_model_changes_the_scores(model: str, change: str, small: list[str], work: Path) -> None:
    if model == "bart" and shutil.which("bart") is None:
        pytest.skip("not applicable: no bart on PATH")
    if model == "sigpy":
        pytest.importorskip("sigpy")
    base = [*small, f"model={model}", *MODEL_SWEPT[model][0].split()]
    assert run(*base) == 0
    assert run(*base, f"model.{change}") == 0
    before, after = rows_of(work)
    assert before["nmse@mvue"] != after["nmse@mvue"]


@pytest.mark.parametrize("model", ["sense", "wavelet"])
def test_whitening_by_the_data_s_noise_covariance_changes_the_scores(model: str, work: Path) -> None:
    base = ["dataset=sample", "dataset.slices=1", "dataset.coils=3", "dataset.noise_correlation=0.4", f"model={model}"]
    assert run(*base) == 0
    assert run(*base, "model.prewhiten=false") == 0
    before, after = rows_of(work)
    assert before["nmse@mvue"] != after["nmse@mvue"]


@pytest.mark.parametrize("setting", QA_SWEPT)
def test_every_setting_of_qa_changes_the_rows(setting: str, work: Path) -> None:
    base = ["dataset=sample", "dataset.slices=1", "dataset.coils=2", "qa=standard", "qa.replicas=3", "metrics=fastmri"]
    assert run(*base, "sampling.acceleration=2") == 0
    assert run(*base, "sampling.acceleration=2", f"qa.{setting}") == 0
    before, after = rows_of(work)
    assert before != after


@pytest.mark.parametrize("setting", SAMPLE_SWEPT)
def test_every_setting_of_the_sample_changes_the_rows(setting: str, work: Path) -> None:
    small_sample = ["dataset=sample", "dataset.slices=1", "dataset.coils=2", "model=zero_filled_rss"]
    assert run(*small_sample) == 0
    assert run(*small_sample, f"dataset.{setting}") == 0
    before, after = rows_of(work)
    assert before != after
