"""Trained weights on disk, and the record of how they came to be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import HalfscanError
from ..files import whole_file, write_json

WEIGHTS, RECORD, CHECKPOINT = "weights.safetensors", "training.json", "checkpoint.pt"
WEIGHTS_FOLDER = "weights"
"""Of all weights, in the output folder."""
SHIPPED = "shipped"
"""What stands in a configuration for the weights that come with a model."""
REGISTERED = "models:/"
"""How weights in the store's registry begin: models:/NAME/VERSION."""


def read_record(weights: Path) -> dict[str, Any] | None:
    """How a file of weights came to be, from the record beside it; None where there is no such file, or no record."""
    record = _record(weights)
    return record if record is not None and weights.is_file() and record["weights_sha256"] == _sha256(weights) else None


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Weights by name, from safetensors alone: a pickle runs whatever code it names.

    Raises:
        HalfscanError: no such file, damaged, or other weights than the record beside it speaks of.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found, record = _sha256(path), _record(path)
        if record is not None and record["weights_sha256"] != found:
            raise HalfscanError(
                f"weights {path}: their SHA-256 is {found[:12]}…, that of {_record_file(path).name} beside them "
                f"{str(record['weights_sha256'])[:12]}…: they were damaged or replaced; bring both back, or take the record away"
            )
        tensors: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise HalfscanError(f"weights {path}: can't be read ({error})") from error
    return tensors


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Weights by name from a torch file, of which nothing but tensors and plain values is unpickled.

    Raises:
        HalfscanError: no such file, damaged, or it holds more than that.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise HalfscanError(f"{path}: can't be read ({error.strerror})") from error
    except Exception as error:  # torch raises whatever its reader stumbles over
        raise HalfscanError(
            f"{path}: no torch file, a damaged one, or one of more than weights, whose unpickling would run its maker's code: "
            "ask for the state_dict alone"
        ) from error
    for name in ("state_dict", "model"):  # what training frameworks put weights under
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    if not isinstance(content, dict):
        raise HalfscanError(f"{path}: holds a {type(content).__name__} and no weights by name")
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}


def write_weights(path: Path, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> str:
    """Writes safetensors, and the record beside them.

    Returns:
        The weights' SHA-256, which the record holds, too.
    """
    from safetensors.torch import save_file

    with whole_file(path) as draft:
        save_file(dict(tensors), draft)
    found = _sha256(path)
    write_json(_record_file(path), {**record, "weights_sha256": found})
    return found


def load_weights(network: nn.Module, path: Path) -> None:
    """Loads safetensors into a network.

    Raises:
        HalfscanError: as `read_tensors`, or weights of another network.
    """
    tensors = read_tensors(path)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise HalfscanError(f"weights {path}: are those of another network ({reason}); model.weights=null trains one") from error


def _record_file(weights: Path) -> Path:
    return weights.with_name(RECORD) if weights.name == WEIGHTS else weights.with_suffix(".json")


def _record(weights: Path) -> dict[str, Any] | None:
    try:
        record = json.loads(_record_file(weights).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    # Any JSON may lie beside a file of weights.
    return record if isinstance(record, dict) and "weights_sha256" in record else None


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
