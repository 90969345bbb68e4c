"""A step of training and a reconstruction by the variational network, beside MONAI's and fastMRI's of the same architecture.

    python scripts/bench_training.py [--fastmri FOLDER] [--rounds 7] [--json OUT]

FOLDER holds fastMRI's package, unpacked from its wheel (`pip download --no-deps fastmri`): its models are imported without what
they need for data. Each network takes its turn in every round, so that a noisy machine is noisy for all; medians and ratios are
printed. A step is forward, backward and Adam; a reconstruction runs without gradients. One slice, R = 4, 24 ACS lines.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from halfscan.models.varnet_network import Sensitivities, VariationalNetwork, monai_unet

TRAINING, INFERENCE = 0.85, 0.80
"""Asked: our seconds over the others', at most."""


def main() -> int:
    options = _options()
    torch.set_num_threads(options.threads)
    kspace, mask, acs = scan(options.coils, options.matrix)
    turned = torch.view_as_real(kspace.transpose(-1, -2).contiguous())
    lines = mask[:, :, 0].view(1, 1, 1, -1, 1)
    theirs: dict[str, nn.Module] = {"monai": monai(options)}
    if options.fastmri:
        theirs["fastmri"] = fastmri(options)
    ours = VariationalNetwork(
        [monai_unet(options.features) for _ in range(options.cascades)], Sensitivities(monai_unet(options.map_features))
    )
    ours.load_state_dict(theirs["monai"].state_dict())
    forward: dict[str, Callable[[], Tensor]] = {name: _call(network, turned, lines) for name, network in theirs.items()}
    forward["halfscan"] = _call(ours, kspace, mask, acs)
    networks = {**theirs, "halfscan": ours}
    error = float((forward["halfscan"]().transpose(-1, -2) - forward["monai"]()).abs().max() / forward["monai"]().abs().max())
    print(f"{sum(one.numel() for one in ours.parameters()):,} parameters; ours differs from MONAI's by {error:.1e} of the peak")
    found: dict[str, dict[str, float]] = {
        "training": race({name: _step(networks[name], run) for name, run in forward.items()}, options.rounds),
        "inference": race({name: _inferring(run) for name, run in forward.items()}, options.rounds),
    }
    for what, bar in (("training", TRAINING), ("inference", INFERENCE)):
        for name in theirs:
            ratio = found[what]["halfscan"] / found[what][name]
            words = f"{found[what]['halfscan']:.3f} s against {found[what][name]:.3f} s of {name}"
            print(f"{what}: {words}, ratio {ratio:.2f} (asked: {bar} at most)")
    if options.json:
        options.json.write_text(json.dumps({"error": error, **found}, indent=1), "utf-8")
    return 0


def scan(coils: int, matrix: int) -> tuple[Tensor, Tensor, Tensor]:
    """K-space, mask and ACS lines of one slice; the lines beside the ACS are left out, so that all find the same ones."""
    draws = torch.randn(1, coils, matrix, matrix, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    mask, acs = (torch.zeros(1, matrix, 1, dtype=torch.bool) for _ in range(2))
    mask[:, ::4] = True
    start = (matrix - 24 + 1) // 2
    acs[:, start : start + 24] = True
    mask |= acs
    mask[:, start - 1], mask[:, start + 24] = False, False
    return torch.where(mask.unsqueeze(1), draws, 0), mask, acs


def monai(options: argparse.Namespace) -> nn.Module:
    """MONAI's network."""
    from monai.apps.reconstruction.networks.nets.coil_sensitivity_model import CoilSensitivityModel
    from monai.apps.reconstruction.networks.nets.complex_unet import ComplexUnet
    from monai.apps.reconstruction.networks.nets.varnet import VariationalNetworkModel

    def widths(features: int) -> tuple[int, ...]:
        return tuple(features * factor for factor in (1, 1, 2, 4, 8, 1))

    torch.manual_seed(0)
    maps = CoilSensitivityModel(spatial_dims=2, features=widths(options.map_features))
    return VariationalNetworkModel(maps, ComplexUnet(spatial_dims=2, features=widths(options.features)), options.cascades)


def fastmri(options: argparse.Namespace) -> nn.Module:
    """fastMRI's network, with a U-Net of as many levels."""
    folder = options.fastmri.resolve()
    sys.path.insert(0, str(folder))
    # Its data modules ask for packages that no model needs.
    data = types.ModuleType("fastmri.data")
    data.__path__ = [str(folder / "fastmri" / "data")]
    sys.modules["fastmri.data"] = data
    from fastmri.models.varnet import VarNet  # type: ignore[import-not-found]

    torch.manual_seed(0)
    network: nn.Module = VarNet(options.cascades, options.map_features, 4, options.features, 4)
    return network


def race(contestants: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Median seconds of each, after one turn that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds + 1):
        for name, run in contestants.items():
            begin = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - begin)
    return {name: statistics.median(values) for name, values in seconds.items()}


def _call(network: nn.Module, *inputs: Tensor) -> Callable[[], Tensor]:
    return lambda: network(*inputs)


def _step(network: nn.Module, run: Callable[[], Tensor]) -> Callable[[], None]:
    optimizer = torch.optim.Adam(network.parameters())

    def step() -> None:
        optimizer.zero_grad()
        run().square().mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def _inferring(run: Callable[[], Tensor]) -> Callable[[], None]:
    def infer() -> None:
        with torch.inference_mode():
            run()

    return infer


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fastmri", type=Path, help="folder with fastMRI's package")
    for name, default in (("coils", 8), ("matrix", 192), ("cascades", 6), ("features", 8), ("map-features", 8)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
