"""`halfscan run` from the command line to the store and back: resume, identity of results, kills, failures, bad input."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from halfscan.bench.cli import main
from halfscan.bench.rows import without_times

from ..conftest import phantom

pytestmark = pytest.mark.usefixtures("work")

SWEEP = ["model=zero_filled,sense", "sampling.acceleration=2,3"]


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with its tables and nothing in them: MLflow takes seconds to make one."""
    from mlflow.tracking import MlflowClient

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path) -> Path:
    """A working directory with an empty store."""
    folder = tmp_path / "work"
    folder.mkdir()
    shutil.copy(empty_store, folder / "mlflow.db")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def small(write_kspace: Callable[..., Path]) -> list[str]:
    """Overrides of a small data set of two volumes."""
    rng = np.random.default_rng(0)
    for name in ("one", "two"):
        clean = phantom(slices=2, coils=4, height=40, width=36)[2].numpy()
        noise = 0.02 * (rng.standard_normal(clean.shape) + 1j * rng.standard_normal(clean.shape))
        path = write_kspace(name, kspace=(clean + noise).astype(np.complex64))
    return [
        "dataset=array",
        f"dataset.path={path.parent}",
        "sampling.acs_lines=10",
        "maps.calibration=10",
        "maps.kernel=4",
        "protocol.echo_train_length=4",
    ]


def run(*words: str) -> int:
    return main(["run", *words])


def table(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert main(["table", "--json", *words]) == 0
    return json.loads(capsys.readouterr().out)


def runs(store: Path = Path("mlflow.db")) -> list[tuple[str, str]]:
    """(kind, status) of all runs in the store."""
    with sqlite3.connect(store) as connection:
        query = "select t.value, r.status from runs r join tags t on t.run_uuid = r.run_uuid where t.key = 'halfscan.kind'"
        found = sorted(connection.execute(query).fetchall())
    connection.close()
    return found


def rows_of(folder: Path) -> list[dict[str, list[Any]]]:
    return [without_times(pq.read_table(path)) for path in sorted(folder.glob("outputs/sweeps/*/cells/*/rows.parquet"))]


# What a sweep leaves behind --------------------------------------------------------------------------------------------


def test_a_sweep_from_command_to_table(small: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*small, *SWEEP) == 0
    printed = capsys.readouterr().out
    for word in ("scan s", "vs full", "vs SENSE R=2", "SSIM", "PSNR", "NMSE", "ms/slice", "Energy: not measured ("):
        assert word in printed
    assert runs() == [("cell", "FINISHED")] * 4 + [("sweep", "FINISHED")]
    cells = table(capsys)
    assert [cell["swept"] for cell in cells] == [
        {"model": model, "sampling.acceleration": acceleration} for model in ("zero_filled", "sense") for acceleration in "23"
    ]
    for cell in cells:
        assert cell["provenance"] == "processed"
        assert cell["evidence"] == "simulated"
        assert cell["patients"] == cell["volumes"] == 2
        assert cell["energy"]["value"] is None
        assert cell["energy"]["reason"]
        assert cell["acceleration"]["achieved"] < cell["acceleration"]["nominal"]
        assert cell["scan_seconds"]["low"] <= cell["scan_seconds"]["value"] <= cell["scan_seconds"]["high"]
        ssim = cell["metrics"]["ssim@mvue"]
        assert ssim["ci95"][0] < ssim["mean"] < ssim["ci95"][1]
    assert cells[2]["metrics"]["nmse@mvue"]["mean"] < cells[0]["metrics"]["nmse@mvue"]["mean"]


def test_models_at_one_spec_share_the_mask(small: list[str], work: Path) -> None:
    assert run(*small, *SWEEP) == 0
    hashes: dict[float, set[tuple[str, ...]]] = {}
    for rows in rows_of(work):
        hashes.setdefault(rows["nominal_acceleration"][0], set()).add(tuple(rows["mask_hash"]))
    assert {acceleration: len(found) for acceleration, found in hashes.items()} == {2.0: 1, 3.0: 1}


def test_the_parent_holds_what_a_reviewer_needs(small: list[str], work: Path) -> None:
    assert run(*small) == 0
    artifacts = {path.relative_to(work / "mlartifacts").parts[2] for path in (work / "mlartifacts").rglob("*.*")}
    assert artifacts == {"rows.parquet", "sweep.json", "config.json", "report.html"}, (
        "no picture: nobody said the data may be shown"
    )
    with sqlite3.connect("mlflow.db") as connection:
        tags = dict(connection.execute("select key, value from tags").fetchall())
        inputs = connection.execute("select name, digest from datasets").fetchall()
    connection.close()
    assert "supports no claim on scan time" in tags["mlflow.note.content"]
    assert tags["halfscan.energy"].startswith("not measured: ")
    assert inputs == [("array", tags["halfscan.dataset_digest"][:36])]


def test_pictures_where_the_data_may_be_shown(work: Path) -> None:
    assert run("dataset=sample", "dataset.slices=1", "dataset.coils=2", "sampling.acs_lines=12") == 0
    assert len(list((work / "mlartifacts").rglob("picture.png"))) == 1


# Resume ----------------------------------------------------------------------------------------------------------------


def test_the_same_command_runs_no_cell_again(small: list[str], work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*small, *SWEEP) == 0
    first = table(capsys)
    stamps = {path: path.stat().st_mtime_ns for path in work.rglob("rows.parquet") if "cells" in path.parts}
    images = {path: path.stat().st_mtime_ns for path in work.glob("outputs/images/*/record.json")}
    assert run(*small, *SWEEP) == 0
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert {path: path.stat().st_mtime_ns for path in work.glob("outputs/images/*/record.json")} == images
    assert table(capsys) == first
    assert runs() == [("cell", "FINISHED")] * 4 + [("sweep", "FINISHED")]


def test_another_protocol_rescores_the_saved_images(small: list[str], work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*small) == 0
    before = {path: path.stat().st_mtime_ns for path in work.glob("outputs/images/*/record.json")}
    assert run(*small, "protocol.tr_s=1.5") == 0
    assert {path: path.stat().st_mtime_ns for path in work.glob("outputs/images/*/record.json")} == before
    assert len(list(work.glob("outputs/sweeps/*"))) == 2


def test_a_grown_sweep_reuses_images_and_a_lost_store_gets_its_runs_again(small: list[str], work: Path) -> None:
    # In a process of its own: this one would keep its connection to the deleted file.
    process = halfscan("run", *small, "model=sense", "sampling.acceleration=2")
    process.communicate(timeout=120)
    assert process.returncode == 0
    (work / "mlflow.db").unlink()
    assert run(*small, "model=sense", "sampling.acceleration=2") == 0
    assert runs() == [("cell", "FINISHED"), ("sweep", "FINISHED")]
    assert len(list(work.glob("outputs/images/*"))) == 1


def test_fresh_folders_give_identical_rows(small: list[str], work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for name in ("a", "b"):
        (work / name).mkdir()
        monkeypatch.chdir(work / name)
        assert run(*small, *SWEEP) == 0
        found.append(rows_of(work / name))
    assert len(found[0]) == 4
    assert found[0] == found[1]


# Every swept parameter does something ----------------------------------------------------------------------------------

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
    "protocol=flash protocol.echo_train_length=1",
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


# Trained models --------------------------------------------------------------------------------------------------------

BRAINS = [
    "dataset=digital_brains",
    *(f"dataset.{name}" for name in ("train=2", "validation=1", "test=2", "slices=1", "matrix=32", "coils=2")),
    *("sampling.acs_lines=12", "maps.calibration=12", "maps.kernel=4", "model=unet", "model.features=2"),
    *("trainer.epochs=1", "trainer.accelerations=[2,4]", "protocol.echo_train_length=4"),
]
TRAINING_SWEPT = [
    "train_seed=1",
    "trainer.epochs=2",
    "trainer.batch_size=1",
    "trainer.learning_rate=0.01",
    "trainer.accelerations=[3]",
    "trainer.validate_every=1 trainer.epochs=2",
    "model.features=3",
    "dataset.train=3",
    "dataset.test=3",
    "dataset.contrasts=[flair]",
    "dataset.contrasts=[t1,t2]",
    "dataset.field_strength_t=1.5",
    "dataset.deformation_mm=2",
    "dataset.tissue_spread=0.1",
    "dataset.lesion_share=1",
    "dataset.data_seed=1",
    "dataset.snr=20",
    "dataset.noise_correlation=0.3",
    "dataset.slices=2",
    "dataset.matrix=40",
    "dataset.coils=3",
]


@pytest.fixture
def brains(tmp_path: Path) -> list[str]:
    pytest.importorskip("nilearn")
    return [*BRAINS, f"dataset.cache={tmp_path}/cache"]


@pytest.mark.parametrize("override", TRAINING_SWEPT)
def test_every_setting_of_training_and_brains_changes_the_rows(override: str, brains: list[str], work: Path) -> None:
    assert run(*brains) == 0
    assert run(*brains, *override.split()) == 0
    before, after = rows_of(work)
    for rows in (before, after):  # the seed's own column must not be all that differs
        rows.pop("train_seed")
    assert before != after


def test_cells_share_a_training_and_the_store_has_its_curve(
    brains: list[str], work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*brains, "sampling.acceleration=2,4") == 0
    assert len(list(work.glob("outputs/weights/*"))) == 1
    with sqlite3.connect("mlflow.db") as connection:
        curve = connection.execute("select count(*) from metrics where key = 'training/train_loss'").fetchone()
    connection.close()
    assert curve == (2,)
    for cell in table(capsys):
        assert cell["train_seed"] == 0
        assert "one anatomy" in cell["caveat"]
    assert len(list((work / "mlartifacts").rglob("training.json"))) == 2


def test_finished_weights_are_used_and_named_by_content(brains: list[str], work: Path) -> None:
    assert run(*brains) == 0
    weights = next(work.glob("outputs/weights/*/weights.safetensors"))
    assert run(*brains, f"model.weights={weights}") == 0
    before, after = rows_of(work)
    for rows in (before, after):
        rows.pop("train_seed")
    assert before == after
    assert len(list(work.glob("outputs/weights/*"))) == 1


def test_weights_are_never_scored_on_what_they_learned_from(
    brains: list[str], work: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(*brains) == 0
    weights = next(work.glob("outputs/weights/*/weights.safetensors"))
    assert run(*brains, f"model.weights={weights}", "dataset.test=4") == 2
    assert "2 patients that would be scored" in capfd.readouterr().err
    assert run(*brains, f"model.weights={weights}", "model.features=3") == 2
    assert "are those of another network" in capfd.readouterr().err


def test_rescoring_needs_no_weights(brains: list[str], work: Path) -> None:
    assert run(*brains) == 0
    shutil.rmtree(work / "outputs" / "weights")
    assert run(*brains, "protocol.tr_s=1.0") == 0
    assert not (work / "outputs" / "weights").exists()


def test_data_without_patients_to_train_on_are_refused(small: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert run(*small, "model=unet") == 2
    assert "has no patients to train on: give model.weights" in capfd.readouterr().err


def test_the_page_of_a_sweep(brains: list[str], work: Path) -> None:
    small = [word for word in brains if word != "model.features=2"]
    assert run(*small, "model=zero_filled,unet") == 0
    page = next(work.glob("outputs/sweeps/*/report.html")).read_text("utf-8")
    assert page.count("data:image/png;base64,") == 2
    for words in ("Demonstration only", "one anatomy", "Energy: not measured", "vs SENSE R=2"):
        assert words in page
    assert "http" not in page
    assert len(list((work / "mlartifacts").rglob("report.html"))) == 1


def test_names_stay_text_on_the_page(small: list[str], work: Path) -> None:
    assert run(*small, "model=zero_filled", "model.name='<script>alert(1)</script>'", "sampling.acceleration=2,3") == 0
    page = next(work.glob("outputs/sweeps/*/report.html")).read_text("utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "No pictures: the data are not marked" in page


# Bad input -------------------------------------------------------------------------------------------------------------

BAD = {
    "dataset.path=/no/such/file.npz": "no such file or folder",
    "sampling.acceleration=0.5": "sampling.acceleration=0.5 must be at least 1",
    "sampling.acs_lines=41": "larger than the 40 lines",
    "sampling.acs_lines=2": "sensitivity maps need at least 4 ACS lines",
    "sampling=random sampling.acceleration=8": "ACS lines alone are more than",
    "protocol.tr_s=0": "protocol.tr_s=0",
    "protocol.preparation_high_s=inf": "protocol.preparation_high_s=inf",
    "dataset.patient_pattern='(X)?n'": "finds no patient",
    "protocol.echo_train_length=100": "longer than the",
    "dataset.axes=[coil,slice,ky]": "does not fit the axes",
    "threads=0": "threads=0 must be at least 1",
    "mask_replicate=-1": "mask_replicate=-1",
    "device=tpu": "device=tpu",
    "nonsense=1": "nonsense",
    "sampling.accelaration=4": "accelaration",
    "sampling.acceleration=fast": "fast",
    "model=nonsense": "nonsense",
    "model._target_=nowhere.Model": "nowhere.Model",
    "model.iterations=3": "iterations",
    "metrics.mvue.truth=median": "median",
    "out=/proc/halfscan": "can't be written",
    "tracking.uri=sqlite:////proc/halfscan.db": "tracking store",
    "tracking.uri=nonsense://x": "tracking store",
    "model=": "model",
    "sampling.acceleration=2,": "halfscan:",
}


@pytest.mark.parametrize("override", BAD)
def test_bad_input_is_one_clear_line(override: str, small: list[str], work: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(*small, *override.split(" ")) == 2
    lines = capfd.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("halfscan: ")
    assert BAD[override] in lines[0]
    assert runs() == []
    assert not list(work.glob("outputs/images/*"))


def test_one_bad_cell_stops_the_sweep_before_its_first(small: list[str], work: Path) -> None:
    assert run(*small, "sampling.acceleration=2,0.5") == 2
    assert runs() == []
    assert not (work / "outputs").exists()


def test_a_file_that_turns_bad_is_seen(small: list[str], work: Path) -> None:
    assert run(*small) == 0
    path = Path(small[1].removeprefix("dataset.path=")) / "one.npz"
    kspace = np.load(path)["kspace"]
    kspace[0, 0, 0, 0] = np.nan
    np.savez(path, kspace=kspace)
    assert run(*small) == 2


# Failures and kills ----------------------------------------------------------------------------------------------------

OUTSIDE = '''
import os, signal
from pathlib import Path
from halfscan.models.zero_filled import ZeroFilled

class Fragile(ZeroFilled):
    """Fails or dies once, in the cell that is undersampled most."""
    def __call__(self, data):
        mark = Path("mark")
        if data.mask.float().mean() < 0.55 and not mark.exists():
            mark.touch()
            if os.environ.get("FRAGILE") == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise RuntimeError("lost its\\nnerve")
        return super().__call__(data)
'''


@pytest.fixture
def fragile(work: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An outside model that comes from YAML and PYTHONPATH alone."""
    (work / "outside.py").write_text(OUTSIDE)
    (work / "conf" / "model").mkdir(parents=True)
    (work / "conf" / "model" / "fragile.yaml").write_text("_target_: outside.Fragile\ncombination: mvue\n")
    monkeypatch.syspath_prepend(str(work))
    monkeypatch.setenv("PYTHONPATH", str(work))
    monkeypatch.delitem(sys.modules, "outside", raising=False)
    return ["--config-dir", "conf", "model=fragile", "sampling.acceleration=2,3"]


def halfscan(*words: str, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "import sys; from halfscan.bench.cli import main; sys.exit(main())", *words]
    return subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_failing_cell_stops_no_other_and_is_named(
    small: list[str], fragile: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(*fragile, *small) == 1
    errors = capfd.readouterr().err
    assert "sampling.acceleration=3" in errors
    assert "RuntimeError: lost its nerve" in errors
    assert runs() == [("cell", "FAILED"), ("cell", "FINISHED"), ("sweep", "FAILED")]
    assert run(*fragile, *small) == 0
    assert runs() == [("cell", "FINISHED"), ("cell", "FINISHED"), ("sweep", "FINISHED")]


def test_a_killed_cell_is_done_again_by_the_same_command(
    small: list[str], fragile: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    process = halfscan("run", *fragile, *small, FRAGILE="kill")
    process.communicate(timeout=120)
    assert process.returncode < 0
    assert ("cell", "RUNNING") in runs()
    assert main(["finish"]) == 1
    assert "its process was killed" in capsys.readouterr().err
    assert runs() == [("cell", "FINISHED"), ("cell", "KILLED"), ("sweep", "FAILED")]
    assert run(*fragile, *small) == 0
    assert runs() == [("cell", "FINISHED"), ("cell", "FINISHED"), ("sweep", "FINISHED")]
    assert len(table(capsys)) == 2


def test_two_processes_at_once_on_a_fresh_store(small: list[str], work: Path) -> None:
    (work / "mlflow.db").unlink()
    started = [halfscan("run", *small, f"sampling.acceleration={acceleration}") for acceleration in (2, 3)]
    for process in started:
        _, errors = process.communicate(timeout=180)
        assert process.returncode == 0, errors
    assert runs() == [("cell", "FINISHED")] * 2 + [("sweep", "FINISHED")] * 2


def test_a_damaged_cache_is_made_again(small: list[str], work: Path) -> None:
    assert run(*small) == 0
    first = rows_of(work)
    for name in ("status.json", "rows.parquet"):
        next(work.glob(f"outputs/sweeps/*/cells/*/{name}")).write_bytes(b"")
        assert run(*small) == 0
        assert rows_of(work) == first
    image = next(work.glob("outputs/images/*/00000.npy"))
    for damage in (lambda: image.write_bytes(image.read_bytes()[:-9]), image.unlink):
        damage()
        assert run(*small, "metrics=fastmri") == 0
        shutil.rmtree(next(work.glob("outputs/sweeps")))
    assert runs().count(("sweep", "FINISHED")) == 2


def test_what_a_sidecar_says_now_is_what_the_rows_say(small: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*small) == 0
    folder = Path(small[1].removeprefix("dataset.path="))
    for name in ("one", "two"):
        stated = {"axes": ["slice", "coil", "ky", "kx"], "provenance": "measured", "patient": "the same"}
        (folder / f"{name}.json").write_text(json.dumps(stated))
    assert run(*small) == 0
    (cell,) = table(capsys)
    assert (cell["provenance"], cell["patients"], cell["volumes"]) == ("measured", 1, 2)


def test_an_output_folder_may_be_moved(small: list[str], work: Path) -> None:
    assert run(*small) == 0
    (work / "outputs").rename(work / "moved")
    assert main(["finish", "--out", "moved"]) == 0
    assert runs() == [("cell", "FINISHED"), ("sweep", "FINISHED")]


@pytest.mark.parametrize("name", ["it's", "a, b", "x=y", "[b] (c) {d}", "50% $HOME"])
def test_odd_folder_names_do(name: str, small: list[str], work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (work / name).mkdir()
    monkeypatch.chdir(work / name)
    assert run(*small, f"tracking.uri=sqlite:///{work}/mlflow.db") == 0
    assert runs(work / "mlflow.db") == [("cell", "FINISHED"), ("sweep", "FINISHED")]


def test_a_file_in_the_place_of_the_sweeps(small: list[str], work: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (work / "outputs").mkdir()
    (work / "outputs" / "sweeps").touch()
    assert run(*small) == 2
    assert "can't be written" in capfd.readouterr().err
    assert runs() == []


@pytest.mark.parametrize("model", ["zero_filled", "sense"])
def test_full_sampling_without_a_centre(model: str, small: list[str]) -> None:
    assert run(*small, f"model={model}", "sampling.acceleration=1", "sampling.acs_lines=0") == 0


@pytest.mark.parametrize("axes", [["ky", "kx"], ["slice", "ky", "kx"], ["coil", "ky", "kx"]])
def test_data_without_a_coil_or_slice_axis(axes: list[str], write_kspace: Callable[..., Path]) -> None:
    kspace = phantom(slices=2, coils=2)[2].numpy()
    part = kspace[tuple(slice(None) if axis in axes else 0 for axis in ("slice", "coil", "ky", "kx"))]
    path = write_kspace("part", {"axes": axes}, part)
    assert run("dataset=array", f"dataset.path={path}", "model=sense", "sampling.acs_lines=16") == 0


# Privacy ---------------------------------------------------------------------------------------------------------------


def _fails_naming(path: Path) -> Callable[..., Any]:
    def fail(*_: Any) -> Any:
        raise OSError(f"{path} is gone")

    return fail


def test_nothing_in_the_store_names_a_patient(
    write_kspace: Callable[..., Path], work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stated = {"axes": ["slice", "coil", "ky", "kx"], "patient": "Doe^John", "provenance": "measured"}
    path = write_kspace("DOE_JOHN", stated, phantom(slices=1, coils=2)[2].numpy())
    overrides = [f"dataset.path={path}", "sampling.acs_lines=10", "maps.calibration=10", "sampling.acceleration=2,3"]
    assert run("dataset=array", *overrides) == 0
    assert main(["table"]) == 0
    narrow = write_kspace("DOE_JANE", {"axes": ["slice", "coil", "ky", "kx"]}, phantom(slices=1, coils=2)[2].numpy())
    path = narrow.with_name("DOE_CHANGING.npz")
    shutil.copy(narrow, path)
    shutil.copy(narrow.with_suffix(".json"), path.with_suffix(".json"))
    monkeypatch.setattr("halfscan.bench.job.measure", _fails_naming(path))
    assert run("dataset=array", f"dataset.path={path}", "sampling.acs_lines=10", "maps.calibration=10") == 1
    for file in (work / "mlflow.db", *(work / "mlartifacts").rglob("*")):
        if file.is_file():
            assert b"DOE" not in file.read_bytes().upper(), file
    for file in work.rglob("rows.parquet"):
        assert b"DOE" not in file.read_bytes().upper()


# Reading back ----------------------------------------------------------------------------------------------------------


def test_sweeps_by_the_beginning_of_their_id(small: list[str], work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*small) == 0
    assert run(*small, "mask_replicate=1") == 0
    for folder in work.glob("outputs/sweeps/*"):
        assert len(table(capsys, folder.name[:6])) == 1
    assert main(["table", "zzz"]) == 2
    assert "no sweep zzz" in capsys.readouterr().err
    assert main(["table", "--profile", "calgary"]) == 2
    assert "was scored in fastmri, mvue" in capsys.readouterr().err


def test_an_empty_store_is_named(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", "--store", f"sqlite:///{work}/none.db"]) == 2
    assert "no store at" in capsys.readouterr().err
    assert not (work / "none.db").exists()
    assert main(["finish", "/nope"]) == 2
    assert "no sweep at /nope" in capsys.readouterr().err
    assert main(["table"]) == 2
    assert "start one with `halfscan run`" in capsys.readouterr().err
    assert main(["finish"]) == 2
    assert "no sweep" in capsys.readouterr().err


def test_the_environment_names_the_store(small: list[str], work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{work}/team.db")
    assert run(*small) == 0
    assert runs(work / "team.db") == [("cell", "FINISHED"), ("sweep", "FINISHED")]
    assert runs() == []


def test_doctor_names_what_is_broken(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    assert "torch" in capsys.readouterr().out
    (work / "garbage.db").write_text("this is no database")
    for store in ("sqlite:////proc/x.db", f"sqlite:///{work}/garbage.db"):
        assert main(["doctor", "--store", store]) == 1
    assert "MLFLOW_TRACKING_URI" in " ".join(capsys.readouterr().out.split())


def test_the_page_names_no_path(write_kspace: Callable[..., Path], work: Path) -> None:
    paths = [write_kspace(name, kspace=phantom(slices=1, coils=2)[2].numpy()) for name in ("DOE_JOHN", "DOE_JANE")]
    swept = "dataset.path=" + ",".join(map(str, paths))
    assert run("dataset=array", swept, "sampling.acs_lines=10", "maps.calibration=10") == 0
    for file in (work / "mlflow.db", *(work / "mlartifacts").rglob("*")):
        assert file.is_dir() or b"DOE" not in file.read_bytes().upper(), file


@pytest.mark.parametrize("split", ["train", "validation"])
def test_patients_learned_from_are_never_scored(split: str, brains: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert run(*brains, f"dataset.split={split}") == 2
    assert "use dataset.split=test" in capfd.readouterr().err
