"""What `halfscan weights convert` and `halfscan weights register` do."""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import replace
from typing import Any

from .configuration import build, compose_run, to_plain, without_name
from .errors import HalfscanError
from .network import Convertible
from .registry import register
from .tracking import Store, tracking_uri
from .training.weights import read_checkpoint, write_weights


def run_register(options: argparse.Namespace) -> int:
    """Puts safetensors into the registry of models."""
    store = Store(tracking_uri(options.store), options.experiment)
    version = register(store, options.file, options.name)
    print(f"{options.name} version {version} in {store.uri}: use it with model.weights=models:/{options.name}/{version}")
    return 0


def run_convert(options: argparse.Namespace) -> int:
    """Writes published weights as safetensors."""
    file, name, out = options.file, options.model, options.out or options.file.with_suffix(".safetensors")
    if out.exists():
        raise HalfscanError(f"{out}: is there already; name another with --out")
    model: Any = build(without_name(to_plain(compose_run([f"model={name}"], ["model"]))["model"]), "model")
    if not isinstance(model, Convertible):
        raise HalfscanError(f"--model {name}: nobody publishes weights for it that could be converted; use varnet_fastmri")
    settings, weights = model.converted(read_checkpoint(file))
    network = replace(model, **settings).build(0)  # type: ignore[type-var]
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise HalfscanError(f"{file}: the weights do not fit the network ({str(error).splitlines()[-1].strip()})") from error
    record = {
        "converted_from_sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "settings": settings,
        "parameters": sum(one.numel() for one in network.parameters()),
        "learned_from": None,  # nobody said so
    }
    digest = write_weights(out, weights, record)
    words = " ".join(f"model.{key}={value}" for key, value in settings.items())
    print(f"{out}: {record['parameters']:,} parameters, SHA-256 {digest}")
    print(f"halfscan run model={name} model.weights={out} {words} dataset=...")
    return 0
