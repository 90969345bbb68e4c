"""Weights in the tracking store's registry of models: from safetensors and to safetensors, never a pickle."""

from __future__ import annotations

import hashlib
import re
import tempfile
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from .errors import HalfscanError
from .files import write_json
from .tracking import Store, tracking_uri
from .training.weights import RECORD, REGISTERED, WEIGHTS, WEIGHTS_FOLDER, read_record, read_tensors

_SHA256 = "halfscan.weights_sha256"


def with_local_weights(config: DictConfig) -> DictConfig:
    """A run's configuration whose `model.weights=models:/NAME/VERSION`, if that is what it says, is a file here.

    Raises:
        HalfscanError: no such version, or its file is not what was registered.
    """
    name = OmegaConf.select(config, "model.weights")
    if not isinstance(name, str) or not name.startswith(REGISTERED):
        return config
    store = Store(tracking_uri(config.tracking.uri), config.tracking.experiment)
    local: DictConfig = config.copy()
    local.model.weights = str(fetch(store, name, Path(config.out).expanduser() / WEIGHTS_FOLDER))
    return local


def fetch(store: Store, uri: str, root: Path) -> Path:
    """The file of a registered version, downloaded once.

    Args:
        store: whose registry.
        uri: models:/NAME/VERSION.
        root: folder of all weights.

    Raises:
        HalfscanError: no such version, or its file is not what was registered.
    """
    parts = re.fullmatch(r"models:/([^/@]+)/(\d+)", uri)
    if parts is None:
        raise HalfscanError(f"model.weights={uri}: write models:/NAME/VERSION; an alias or a stage may move, a number does not")
    name, number = parts.groups()
    with store.talking():
        version = next((one for one in _versions(store, name) if str(one.version) == number), None)
        if version is None or _SHA256 not in version.tags:
            raise HalfscanError(f"model.weights={uri}: not in {store.uri}; put it there with halfscan weights register")
        digest = version.tags[_SHA256]
        folder = root / digest
        file = folder / WEIGHTS
        if not file.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            held = {one.path for one in store.client.list_artifacts(version.run_id)}
            with tempfile.TemporaryDirectory(dir=folder) as draft:
                # The record first: weights without theirs would be taken for some that nobody knows.
                for part in (RECORD, WEIGHTS):
                    if part in held:
                        Path(store.client.download_artifacts(version.run_id, part, draft)).replace(folder / part)
    if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != digest:
        file.unlink(missing_ok=True)
        raise HalfscanError(
            f"model.weights={uri}: the file in the store is not the one that was registered "
            f"({digest[:12]}…): register it again under a new version"
        )
    return file


def register(store: Store, weights: Path, name: str) -> int:
    """Puts a file of weights, and the record beside it, into the registry.

    Returns:
        Its version; the same file is registered once.

    Raises:
        HalfscanError: a name that is none, or a file that holds no weights.
    """
    if not re.fullmatch(r"[\w. -]{1,100}", name):
        raise HalfscanError(f"--name {name[:100]!r}: use letters, digits, points, dashes")
    read_tensors(weights)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    with store.talking(), tempfile.TemporaryDirectory() as folder:
        for one in _versions(store, name):
            if one.tags.get(_SHA256) == digest:
                return int(one.version)
        tags = {"halfscan.kind": "weights", _SHA256: digest}
        run = store.client.create_run(store.experiment_id, run_name=f"weights {name}", tags=tags)
        (Path(folder) / WEIGHTS).write_bytes(weights.read_bytes())
        if (record := read_record(weights)) is not None:
            write_json(Path(folder) / RECORD, record)
        store.client.log_artifacts(run.info.run_id, folder)
        store.client.set_terminated(run.info.run_id, "FINISHED")
        if not store.client.search_registered_models(f"name = '{name}'"):
            store.client.create_registered_model(name)
        made = store.client.create_model_version(name, run.info.artifact_uri, run.info.run_id, tags={_SHA256: digest})
    return int(made.version)


def _versions(store: Store, name: str) -> list[Any]:
    return list(store.client.search_model_versions(f"name = '{name}'"))
