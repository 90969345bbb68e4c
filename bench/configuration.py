"""Configuration → plain values → the objects that its `_target_` entries name, with every refusal in one line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from .acquisition import Acquisition, Dataset
from .audit.label import as_found
from .claims.types import ClaimSpec
from .errors import HalfscanError, one_line
from .sources import module_of


def to_plain(config: DictConfig) -> dict[str, Any]:
    """Everything but Hydra's own part, as dictionaries and lists.

    Raises:
        HalfscanError: a value that is missing or can't be resolved.
    """
    from omegaconf.errors import OmegaConfBaseException

    task_config = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    try:
        plain = OmegaConf.to_container(task_config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise HalfscanError(f"configuration: {str(error).splitlines()[0]}") from error
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def compose_run(overrides: Sequence[str], names: Sequence[str], primary: str = "run") -> DictConfig:
    """Parts of the run configuration (or another primary one) as its command would compose it; the others may lack values.

    Raises:
        HalfscanError: an override that Hydra refuses, or one with several values.
    """
    from hydra import compose, initialize_config_module
    from hydra.errors import HydraException

    from ..configs.schema import register

    register()
    try:
        with initialize_config_module("halfscan.configs", version_base="1.3"):
            config = compose(primary, _with_folders(overrides))
    except (HydraException, ValueError) as error:  # a group set to null is Hydra's ValueError
        if "multirun" in str(error):
            raise HalfscanError("an override has several values: only `halfscan run` sweeps over them") from error
        cause = one_line(error.__cause__) if error.__cause__ else ""
        raise HalfscanError(one_line(error) + (f" {cause}" if cause and cause not in one_line(error) else "")) from error
    return OmegaConf.masked_copy(config, list(names))


def _with_folders(words: Sequence[str]) -> list[str]:
    """Overrides, with `--config-dir FOLDER` as Hydra's own command line takes it turned into one of them."""
    rest, folders = [], []
    waiting = iter(words)
    for word in waiting:
        name, equals, value = word.partition("=")
        if name not in ("--config-dir", "-cd"):
            rest.append(word)
            continue
        folder = Path(value if equals else next(waiting, "")).absolute()
        if not folder.is_dir():
            raise HalfscanError(f"--config-dir {folder}: no such folder")
        folders.append(f"file://{folder}")
    return [*rest, f"hydra.searchpath={json.dumps(folders)}"] if folders else rest


def build(node: dict[str, Any], where: str) -> Any:
    """Instantiates a `_target_`, turning a refusal inside it into one clear line."""
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    try:
        return instantiate(node, _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, HalfscanError):
            raise error.__cause__ from None
        raise HalfscanError(f"{where}: {one_line(error)}") from error


@lru_cache(maxsize=4)
def open_dataset(node: str) -> tuple[Dataset, tuple[Acquisition, ...]]:
    """A dataset by its configuration (JSON), labelled as its samples bear out: the cells of a sweep share it, so that it is
    read and hashed once."""
    dataset: Dataset = build(json.loads(node), "dataset")
    acquisitions = tuple(as_found(one) for one in dataset.acquisitions())
    if not acquisitions:
        raise HalfscanError(f"dataset {dataset.name} holds no volume")
    names = [(acquisition.patient, acquisition.volume) for acquisition in acquisitions]
    if len(set(names)) < len(names):
        raise HalfscanError(f"dataset {dataset.name} holds two volumes of one name for one patient: rename one")
    return dataset, acquisitions


def build_claims(nodes: dict[str, Any]) -> tuple[ClaimSpec, ...]:
    """The claims of a configuration, by their names.

    Raises:
        HalfscanError: a claim that states nothing sensible, or under another name than its own.
    """
    claims: tuple[ClaimSpec, ...] = tuple(build(node, f"claims.{name}") for name, node in nodes.items())
    for name, claim in zip(nodes, claims, strict=True):
        if claim.claim_id != name:
            raise HalfscanError(f"claims.{name}: its claim_id is {claim.claim_id}; let both be the same")
    return claims


def forget_datasets() -> None:
    """Drops opened datasets, so that the next sweep sees files as they are then."""
    open_dataset.cache_clear()


def without_name(node: dict[str, Any]) -> dict[str, Any]:
    """A node's own settings: a model's name is for tables."""
    return {key: value for key, value in node.items() if key != "name"}


def targets(*nodes: Any) -> list[str]:
    """Modules of all `_target_` entries, nested ones too."""
    found = []
    for node in nodes:
        if isinstance(node, dict):
            if isinstance(node.get("_target_"), str):
                found.append(module_of(node["_target_"]))
            found += targets(*node.values())
        elif isinstance(node, list):
            found += targets(*node)
    return found


def sha256(content: dict[str, Any]) -> str:
    """Of what a digest names."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def check_device(device: str) -> None:
    """Refuses a device that is not there.

    Raises:
        HalfscanError: an unknown name, or no such GPU.
    """
    import torch

    try:
        kind = torch.device(device)
    except RuntimeError as error:
        raise HalfscanError(f"device={device} is unknown: use cpu, cuda or cuda:0") from error
    if kind.type not in ("cpu", "cuda"):
        raise HalfscanError(f"device={device} is not supported: use cpu or cuda")
    if kind.type == "cuda" and (not torch.cuda.is_available() or (kind.index or 0) >= torch.cuda.device_count()):
        raise HalfscanError(f"device={device}: torch sees no such GPU; use device=cpu, or see `halfscan doctor`")
