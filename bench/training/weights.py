"""Trained weights on disk, and the record of how they came to be."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from torch import nn

from ..errors import HalfscanError

WEIGHTS, RECORD, CHECKPOINT = "weights.safetensors", "training.json", "checkpoint.pt"


def read_record(folder: Path) -> dict[str, Any] | None:
    """How the weights in a folder were trained; None where there are none, or not those that the record speaks of."""
    try:
        record: dict[str, Any] = json.loads((folder / RECORD).read_text("utf-8"))
        found = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
        return record if found == record["weights_sha256"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def load_weights(network: nn.Module, path: Path) -> None:
    """Loads safetensors into a network.

    Raises:
        HalfscanError: no such file, damaged, or weights of another network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise HalfscanError(f"weights {path}: can't be read ({error})") from error
    except RuntimeError as error:
        raise HalfscanError(f"weights {path}: are those of another network ({str(error).splitlines()[0]})") from error
