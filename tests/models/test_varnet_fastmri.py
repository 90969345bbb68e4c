"""Published weights: fastMRI's names and images, whatever they come wrapped in, and nothing unpickled but tensors."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from halfscan.bench.cli import main
from halfscan.models.varnet import CombinedVarNet
from halfscan.models.varnet_fastmri import FastMriVarNet

SETTINGS = {"cascades": 2, "features": 3, "pools": 3, "map_features": 2, "map_pools": 2}

GOLDEN_FIRST, GOLDEN_LAST, GOLDEN_NORM = [1.392785, 1.735325, 1.932606, 2.241413], [1.713567, 2.641654, 2.614836], 45.14893


def seeded(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape, dtype=np.float32))


def published() -> dict[str, Tensor]:
    """A state dict under fastMRI's names, every weight drawn by its name."""
    network = FastMriVarNet(**SETTINGS).build(0)
    names = {
        name: name.removeprefix("varnet.").replace("coil_sensitivity_model.conv_net.", "sens_net.norm_unet.")
        for name, _ in network.named_parameters()
    }
    shapes = {names[name]: tuple(value.shape) for name, value in network.named_parameters()}
    return {name: 0.3 * seeded(shape, zlib.crc32(name.encode())) for name, shape in shapes.items()}


def test_images_are_those_of_fastmri() -> None:
    """fastmri 0.3.0, VarNet(num_cascades=2, sens_chans=2, sens_pools=2, chans=3, pools=3), the same draws."""
    settings, weights = FastMriVarNet().converted(published())
    assert settings == SETTINGS
    network = FastMriVarNet(**settings).build(0)
    network.load_state_dict(weights)
    assert isinstance(network, CombinedVarNet)
    mask, acs = torch.zeros(1, 20, 1, dtype=torch.bool), torch.zeros(1, 20, 1, dtype=torch.bool)
    acs[:, 7:13] = mask[:, 7:13] = mask[:, ::3] = True
    kspace = torch.view_as_complex(seeded((1, 3, 24, 20, 2), 1000)).transpose(-1, -2)
    with torch.no_grad():
        image = network.varnet(kspace, mask, acs).transpose(-1, -2)
    assert image[0, 3, :4].tolist() == pytest.approx(GOLDEN_FIRST, rel=1e-5)
    assert image[0, 20, -3:].tolist() == pytest.approx(GOLDEN_LAST, rel=1e-5)
    assert float(image.norm()) == pytest.approx(GOLDEN_NORM, rel=1e-5)


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda state: state,
        lambda state: {"state_dict": {f"varnet.{name}": value for name, value in state.items()} | {"loss.w": torch.ones(1)}},
        lambda state: {"model": {f"module.{name}": value for name, value in state.items()}, "epoch": 3},
    ],
    ids=["plain", "lightning", "parallel"],
)
def test_converting_as_a_person_would(
    wrapped: Callable[[dict[str, Tensor]], Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(wrapped(published()), tmp_path / "varnet.pt")
    assert main(["weights", "convert", str(tmp_path / "varnet.pt")]) == 0
    out = capsys.readouterr().out
    assert "model.cascades=2 model.features=3 model.pools=3 model.map_features=2 model.map_pools=2" in out
    made = tmp_path / "varnet.safetensors"
    record = json.loads((tmp_path / "varnet.json").read_text())
    assert record["weights_sha256"] in out
    assert record["learned_from"] is None
    kept = load_file(made)
    assert torch.equal(kept["varnet.cascades.1.dc_weight"], published()["cascades.1.dc_weight"])
    assert main(["weights", "convert", str(tmp_path / "varnet.pt")]) == 2, "nothing is written over"


class Harmful:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch harmed",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"state_dict": published(), "hyper_parameters": Harmful()}, "more than weights"),
        ([torch.ones(1)], "holds a list and no weights by name"),
        ({"conv.weight": torch.ones(1)}, "are not those of fastMRI's VarNet: 0 of 1 have its names"),
        ({name: value[..., :1] for name, value in published().items()}, "do not fit the network"),
        ({name: value for name, value in published().items() if "cascades.0" not in name}, "are not those of fastMRI's VarNet"),
        (b"no torch file", "a damaged one"),
        (None, "can't be read"),
    ],
    ids=["pickle", "list", "others", "shapes", "gap", "damaged", "missing"],
)
def test_refusals(content: Any, message: str, work: Path, capfd: pytest.CaptureFixture[str]) -> None:
    if isinstance(content, bytes):
        Path("varnet.pt").write_bytes(content)
    elif content is not None:
        torch.save(content, "varnet.pt")
    assert main(["weights", "convert", "varnet.pt"]) == 2
    error = capfd.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not Path("varnet.safetensors").exists()
    assert not Path("harmed").exists()


def test_only_models_with_published_weights(work: Path, capfd: pytest.CaptureFixture[str]) -> None:
    torch.save(published(), "varnet.pt")
    assert main(["weights", "convert", "varnet.pt", "--model", "unet"]) == 2
    assert "nobody publishes weights for it" in capfd.readouterr().err
