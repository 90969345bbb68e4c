"""What leaves this machine for the tracking store: settings without paths, since a path may name a patient."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from .identity import private_id
from .manifest import SweepManifest
from .training.weights import REGISTERED, SHIPPED


def redact(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with paths replaced by hashes: a path may name a patient, and it leaves this machine."""
    return {
        key: redact(value)
        if isinstance(value, Mapping)
        else hash_path(value)
        if isinstance(value, str) and may_name(key, value)
        else value
        for key, value in config.items()
    }


def redact_overrides(overrides: Sequence[str]) -> list[str]:
    """The same for `name=value` words."""
    pairs = (override.partition("=") for override in overrides)
    return [f"{key}={hash_path(value) if may_name(key, value) else value}" for key, _, value in pairs]


def may_name(name: str, value: str) -> bool:
    """Whether a setting may name a patient: a path by its name or its look, but for weights that everybody has."""
    public = name.rpartition(".")[2] == "weights" and (value == SHIPPED or value.startswith(REGISTERED))
    return not public and (_is_path(name) or _holds_path(value))


def _holds_path(value: str) -> bool:
    """Whether a value looks like a path, whatever its setting is called; 7/8 is a fraction."""
    return ("/" in value or "\\" in value) and not re.fullmatch(r"\d+/\d+", value)


def hash_path(path: str) -> str:
    """A stand-in for a path, stable at this site and untestable without its key."""
    return f"path-{private_id(path)[:8]}"


def _is_path(name: str) -> bool:
    """Whether a setting holds a path or another text that may name a patient."""
    return name.rpartition(".")[2] in ("path", "out", "uri", "cache", "weights", "splits", "patient_pattern")


def without_paths(manifest: SweepManifest) -> dict[str, Any]:
    """A sweep's manifest as others may see it."""
    content = asdict(manifest)
    content["out"] = hash_path(manifest.out)
    content["tracking_uri"] = hash_path(manifest.tracking_uri)
    for cell in content["cells"]:
        cell["overrides"] = redact_overrides(cell["overrides"])
    return content
