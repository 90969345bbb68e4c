"""`halfscan train`: weights and record on disk, a run in the store, refusals in one line."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from safetensors.torch import load_file

from halfscan.bench.cli import main

pytest.importorskip("nilearn")
pytestmark = pytest.mark.usefixtures("work")

TINY = [
    *("dataset=digital_brains", "dataset.train=2", "dataset.validation=1", "dataset.slices=1", "dataset.matrix=32"),
    *("dataset.coils=2", "maps.calibration=12", "maps.kernel=4", "sampling.acs_lines=12", "trainer=default"),
    *("trainer.accelerations=[2]", "trainer.steps=2", "trainer.validate_every=1", "trainer.batch_size=1"),
]


@pytest.mark.parametrize("model", [["model=unet", "model.features=2"], ["model=modl", "model.features=2", "model.iterations=1"]])
def test_trains_and_logs_once(model: list[str], work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *model, *TINY]) == 0
    (folder,) = work.glob("outputs/weights/*")
    record = json.loads((folder / "training.json").read_text())
    out = capsys.readouterr().out
    assert record["weights_sha256"] in out
    assert "best of 2 validations" in out
    assert load_file(folder / "weights.safetensors")
    assert main(["train", *model, *TINY]) == 0
    with sqlite3.connect("mlflow.db") as connection:
        kinds = connection.execute("select count(*) from tags where key = 'halfscan.kind' and value = 'training'").fetchone()
        curve = connection.execute("select count(*) from metrics where key = 'training/validation_loss'").fetchone()
    connection.close()
    assert kinds == (1,)
    assert curve == (2,)
    assert list(work.glob("mlartifacts/**/weights.safetensors"))


def test_without_a_store_nothing_is_logged(work: Path) -> None:
    before = (work / "mlflow.db").read_bytes()
    assert main(["train", "model=unet", "model.features=2", *TINY, "tracking.uri=none"]) == 0
    assert (work / "mlflow.db").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model=sense"], "model=sense has nothing to train"),
        (["model=unet", "dataset=sample"], "has no patients to train on"),
        (["model=unet", "trainer.steps=0"], "trainer.steps=0 must be at least 1"),
        (["model=unet", "model.features=x"], "features"),
        (["model=unet", "device=cuda:99"], "torch sees no such GPU"),
    ],
)
def test_refusals_are_one_line(words: list[str], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *words]) == 2
    error = capfd.readouterr().err.strip()
    assert message in error
    assert len(error.splitlines()) == 1


def test_weights_to_begin_from_count_by_their_content(work: Path) -> None:
    for seed in (0, 1):
        assert main(["train", "model=unet", "model.features=2", *TINY, f"train_seed={seed}", "tracking.uri=none"]) == 0
    first, second = (path.read_bytes() for path in work.glob("outputs/weights/*/weights.safetensors"))
    words = ["train", "model=unet", "model.features=2", *TINY, "tracking.uri=none", "trainer.start=start.safetensors"]
    for content, trained in ((first, 3), (first, 3), (second, 4)):
        (work / "start.safetensors").write_bytes(content)
        assert main(words) == 0
        assert len(list(work.glob("outputs/weights/*"))) == trained


def test_a_module_from_yaml_alone_is_trained_and_scored(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = work / "conf" / "model"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(
        "_target_: halfscan.models.own_network.OwnNetwork\nname: mine\nmultiple: 2\n"
        "module: {_target_: torch.nn.Conv2d, _partial_: true, in_channels: 2, out_channels: 2, kernel_size: 3, padding: 1}\n"
    )
    assert main(["train", "--config-dir", "conf", "model=mine", *TINY, "tracking.uri=none"]) == 0
    (made,) = work.glob("outputs/weights/*")
    assert load_file(made / "weights.safetensors")["module.weight"].shape == (2, 2, 3, 3)
    test = [word for word in TINY if word != "trainer=default"]
    assert main(["run", "--config-dir", "conf", "model=mine", *test, "dataset.test=1", "qa=none"]) == 0
    assert "mine" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("{_target_: torch.nn.Conv2d, in_channels: 2, out_channels: 2, kernel_size: 3}", "give it _partial_: true"),
        ("{_target_: torch.nn.Conv2d, _partial_: true, in_channels: 2}", "can't be made"),
        ("{_target_: collections.OrderedDict, _partial_: true}", "is a OrderedDict and no torch.nn.Module"),
        ("{_target_: torch.nn.Conv2d, _partial_: true, in_channels: 2, out_channels: 3, kernel_size: 3}", "must keep the shape"),
    ],
)
def test_modules_that_will_not_do(module: str, message: str, work: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = work / "conf" / "model"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(f"_target_: halfscan.models.own_network.OwnNetwork\nname: mine\nmodule: {module}\n")
    assert main(["train", "--config-dir", "conf", "model=mine", *TINY, "tracking.uri=none"]) == 2
    assert message in capfd.readouterr().err


def test_a_missing_folder_of_configurations(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--config-dir", "nowhere", "model=unet"]) == 2
    assert "no such folder" in capfd.readouterr().err
