"""Weights in the registry: registered once, fetched by version, refused when they are not what was registered."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from halfscan.bench.cli import main

from .running import run, table

pytestmark = pytest.mark.usefixtures("work")


@pytest.fixture
def weights(brains: list[str], work: Path) -> Path:
    """Trained weights, and the record beside them."""
    words = [word for word in brains if not word.startswith("protocol.")]
    assert main(["train", *words, "trainer=default", "trainer.steps=1", "trainer.accelerations=[2,4]", "tracking.uri=none"]) == 0
    return next(work.glob("outputs/weights/*/weights.safetensors"))


def test_a_version_is_the_weights(weights: Path, brains: list[str], work: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "register", str(weights), "--name", "brains"]) == 0
    assert "model.weights=models:/brains/1" in capfd.readouterr().out
    assert main(["weights", "register", str(weights), "--name", "brains"]) == 0
    assert "brains version 1 " in capfd.readouterr().out, "the same file is registered once"
    kept = shutil.copytree(weights.parent, work / "kept") / "weights.safetensors"
    shutil.rmtree("outputs")

    scored = [*brains, "dataset.data_seed=5"]
    assert run(*scored, "model.weights=models:/brains/1") == 0
    (fetched,) = work.glob("outputs/weights/*/weights.safetensors")
    assert fetched.read_bytes() == kept.read_bytes()
    (cell,) = table(capfd)
    # The same weights from a file are the same cell.
    assert run(*scored, f"model.weights={kept}") == 0
    assert len(list(work.glob("outputs/images/*"))) == 1
    (again,) = table(capfd)
    assert again["metrics"] == cell["metrics"]
    # Whom they learned from came along.
    shutil.rmtree("outputs")
    assert run(*brains, "model.weights=models:/brains/1", "dataset.split=train") == 2
    assert "patients that would be scored are among those" in capfd.readouterr().err


def test_replaced_weights_are_refused(weights: Path, brains: list[str], work: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "register", str(weights), "--name", "brains"]) == 0
    shutil.rmtree("outputs")
    (stored,) = work.glob("mlartifacts/**/weights.safetensors")
    content = bytearray(stored.read_bytes())
    content[-1] ^= 1
    stored.write_bytes(content)
    assert run(*brains, "model.weights=models:/brains/1") == 2
    assert "is not the one that was registered" in capfd.readouterr().err
    assert not list(work.glob("outputs/weights/*/weights.safetensors"))


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("models:/nobody/1", "put it there with halfscan weights register"),
        ("models:/brains@champion", "write models:/NAME/VERSION"),
        ("models:/brains/latest", "write models:/NAME/VERSION"),
    ],
)
def test_versions_that_are_not_there(uri: str, message: str, brains: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert run(*brains, f"model.weights={uri}") == 2
    assert message in capfd.readouterr().err


def test_what_is_no_weights_is_not_registered(work: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Path("text.safetensors").write_text("no weights")
    assert main(["weights", "register", "text.safetensors", "--name", "brains"]) == 2
    assert main(["weights", "register", "missing.safetensors", "--name", "brains"]) == 2
    assert main(["weights", "register", "text.safetensors", "--name", "a/b"]) == 2
    assert len(capfd.readouterr().err.splitlines()) == 3


def test_weights_that_do_not_match_their_record_are_refused(
    weights: Path, brains: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    record = weights.with_name("training.json")
    record.write_text(json.dumps(json.loads(record.read_text()) | {"weights_sha256": "0" * 64}))
    assert run(*brains, f"model.weights={weights}", "dataset.data_seed=5") == 2
    assert "they were damaged or replaced" in capfd.readouterr().err
