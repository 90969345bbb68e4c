"""Configuration → plain values → the objects that its `_target_` entries name, with every refusal in one line."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from .acquisition import Acquisition, Dataset
from .errors import HalfscanError, one_line


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
    """A dataset by its configuration (JSON): the cells of a sweep share it, so that it is read and hashed once."""
    dataset: Dataset = build(json.loads(node), "dataset")
    acquisitions = tuple(dataset.acquisitions())
    if not acquisitions:
        raise HalfscanError(f"dataset {dataset.name} holds no volume")
    names = [(acquisition.patient, acquisition.volume) for acquisition in acquisitions]
    if len(set(names)) < len(names):
        raise HalfscanError(f"dataset {dataset.name} holds two volumes of one name for one patient: rename one")
    return dataset, acquisitions


def forget_datasets() -> None:
    """Drops opened datasets, so that the next sweep sees files as they are then."""
    open_dataset.cache_clear()
