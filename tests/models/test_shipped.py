"""The weights that come along: whole, small, described, and refused under settings that are not theirs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from halfscan.bench.configuration import build, compose_run, to_plain, without_name
from halfscan.bench.errors import HalfscanError
from halfscan.bench.training.weights import load_weights, read_record
from halfscan.models.learned import Learned
from halfscan.models.own_network import OwnNetwork

FOLDER = Path(__file__).parents[2] / "models" / "weights"
SHIPPED = ("modl", "varnet", "unet")
LARGEST = 5_000_000


def model(name: str, *overrides: str) -> Learned:
    built = build(without_name(to_plain(compose_run([f"model={name}", *overrides], ["model"]))["model"]), "model")
    assert isinstance(built, Learned)
    return built


def test_no_other_weights_lie_about() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {
        f"{name}.{kind}" for name in SHIPPED for kind in ("safetensors", "json", "md")
    }


@pytest.mark.parametrize("name", SHIPPED)
def test_they_load_and_are_described(name: str) -> None:
    chosen = model(name)
    assert chosen.weights is not None
    path = Path(chosen.weights)
    assert path == FOLDER / f"{name}.safetensors"
    load_weights(chosen.build(0), path)
    assert path.stat().st_size <= LARGEST
    record = read_record(path)
    assert record is not None, "the record is of other weights"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    card = path.with_suffix(".md").read_text("utf-8")
    for part in (digest, record["data_digest"], "halfscan train", "Training data", "Scores", "Intended use", "Limits", "Licence"):
        assert part in card, part
    assert record["learned_from"], "nobody could be kept from scoring whom they learned from"


@pytest.mark.parametrize("name", SHIPPED)
def test_other_settings_are_refused(name: str) -> None:
    chosen = model(name, "model.features=2")
    assert chosen.weights is not None
    with pytest.raises(HalfscanError, match=r"another network .*model.weights=null trains one"):
        load_weights(chosen.build(0), Path(chosen.weights))


def test_a_changed_byte_is_refused(tmp_path: Path) -> None:
    content = bytearray((FOLDER / "unet.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "unet.safetensors").write_bytes(content)
    (tmp_path / "unet.json").write_text(json.dumps(read_record(FOLDER / "unet.safetensors")))
    with pytest.raises(HalfscanError, match="they were damaged or replaced"):
        load_weights(model("unet").build(0), tmp_path / "unet.safetensors")


def test_a_network_of_ones_own_has_none() -> None:
    with pytest.raises(HalfscanError, match="none come with OwnNetwork"):
        OwnNetwork(module=lambda: None, weights="shipped")  # type: ignore[arg-type,return-value]
