"""Networks in a sweep: trained once, shared, never scored on what they learned from; and the page of a sweep."""

from __future__ import annotations

import re
import shutil
import sqlite3
from pathlib import Path

import pytest

from .running import rows_of, run, table

pytestmark = pytest.mark.usefixtures("work")


TRAINING_SWEPT = [
    "train_seed=1",
    "trainer.steps=2",
    "trainer.batch_size=1",
    "trainer.learning_rate=0.01",
    "trainer.accelerations=[3]",
    "trainer.validate_every=1 trainer.steps=2",
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
    # What matters at work alone trains nothing anew, and changes the images.
    assert run(*brains, "model.keep_samples=true", "model.turns=1,2") == 0
    assert len(list(work.glob("outputs/weights/*"))) == 1
    assert len({cell["metrics"]["nmse@mvue"]["mean"] for cell in table(capsys)}) == 2


def test_finished_weights_are_used_and_named_by_content(
    brains: list[str], work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*brains) == 0
    weights = next(work.glob("outputs/weights/*/weights.safetensors"))
    assert run(*brains, f"model.weights={weights}") == 0
    before, after = rows_of(work)
    for rows in (before, after):
        # What the training took is known of the one alone; why is a reason of its own.
        assert "training_j" in rows.pop("reasons")[0]
        rows.pop("train_seed")
    assert before == after
    assert len(list(work.glob("outputs/weights/*"))) == 1
    shutil.copy(weights, work / "unknown.safetensors")
    assert run(*brains, "model.weights=unknown.safetensors") == 0
    (cell,) = table(capsys)
    assert "without a record of whom they learned from" in cell["caveat"]


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


@pytest.mark.parametrize("pattern", ["random", "equispaced_fraction", "variable_density", "equispaced", "poisson_disc"])
def test_a_network_trains_with_the_defaults_of_every_pattern(pattern: str) -> None:
    """Checked, not run: a sweep is refused at planning or not at all."""
    from hydra import compose, initialize_config_module

    from halfscan.bench.cell import build_cell
    from halfscan.configs import schema

    schema.register()
    with initialize_config_module("halfscan.configs", version_base="1.3"):
        config = compose("run", ["dataset=digital_brains", "model=unet_fresh", f"sampling={pattern}"])
    assert build_cell(config).recipe.training is not None


def test_data_without_patients_to_train_on_are_refused(small: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert run(*small, "model=unet_fresh") == 2
    assert "has no patients to train on: give model.weights" in capfd.readouterr().err


def test_the_page_of_a_sweep(brains: list[str], work: Path) -> None:
    small = [word for word in brains if word != "model.features=2"]
    assert run(*small, "model=zero_filled,unet_fresh") == 0
    page = next(work.glob("outputs/sweeps/*/report.html")).read_text("utf-8")
    # Two patients: the truth, the mask, and of both cells the image and its error.
    assert page.count("data:image/png;base64,") == 2 * (2 + 2 * 2)
    for words in ("Demonstration only", "one anatomy", "energy_j", "vs SENSE R=2", "nothing is proven here"):
        assert words in page
    assert not re.search(r"https?:", page)
    assert len(list((work / "mlartifacts").rglob("report.html"))) == 1


def test_names_stay_text_on_the_page(small: list[str], work: Path) -> None:
    assert run(*small, "model=zero_filled", "model.name='<script>alert(1)</script>'", "sampling.acceleration=2,3") == 0
    page = next(work.glob("outputs/sweeps/*/report.html")).read_text("utf-8")
    assert page.count("<script") == 1, "the page's own"
    assert "&lt;script&gt;alert(1)" in page
    assert "No pictures: the data are not marked" in page


@pytest.mark.parametrize("split", ["train", "validation"])
def test_patients_learned_from_are_never_scored(split: str, brains: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert run(*brains, f"dataset.split={split}") == 2
    assert "use dataset.split=test" in capfd.readouterr().err
