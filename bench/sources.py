"""A hash of the source files that can change a result, so that edited code never passes for a finished cell."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Iterable
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from .errors import HalfscanError


@lru_cache
def source_hash(*modules: str) -> str:
    """SHA-256 over the sources of the modules and of everything of their own packages that they import.

    The imports are read from the source, not from what happens to be loaded, so the hash does not depend on the
    process. Other packages (torch, numpy) are versions, logged with the run, not sources.
    """
    digest = hashlib.sha256()
    for name, path in sorted(_closure(modules).items()):
        digest.update(f"{name}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def module_of(target: str) -> str:
    """The module that defines a `_target_`, such as `halfscan.models.sense` for `halfscan.models.sense.Sense`.

    Raises:
        HalfscanError: no such module.
    """
    name = target
    while "." in name:
        name = name.rpartition(".")[0]
        if _find(name) is not None:
            return name
    raise HalfscanError(f"_target_={target} is in no module that can be imported: check the name and the PYTHONPATH")


def _closure(modules: Iterable[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        path = None if name in found else _find(name)
        if path is None:
            continue
        found[name] = path
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        waiting += [other for other in _imports(path, package) if other.split(".")[0] == name.split(".")[0]]
    return found


def _imports(path: Path, package: str) -> Iterable[str]:
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
                base = f"{parent}.{base}".rstrip(".")
            yield base
            # `from . import maps` names a module, `from .maps import Espirit` does not: _find tells them apart.
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _find(name: str) -> Path | None:
    try:
        spec = _spec(name)
    except (ImportError, ValueError, AttributeError):
        return None
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin)


def _spec(name: str) -> ModuleSpec | None:
    """Where a module lies. Nothing is imported: `importlib.util.find_spec` would run all that stands above the module, and one
    of our own is enough to wait for MONAI."""
    above = name.rpartition(".")[0]
    if not above:
        return importlib.util.find_spec(name)
    package = _spec(above)
    if package is None or not package.submodule_search_locations:
        return None
    return PathFinder.find_spec(name, package.submodule_search_locations)
