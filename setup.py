"""Only what pyproject.toml can't say: the packages, found rather than listed, so that a new subpackage is never forgotten."""

from setuptools import find_packages, setup

FOLDERS = ["bench*", "models*", "datasets*", "configs*"]

setup(packages=["halfscan", *("halfscan." + name for name in find_packages(include=FOLDERS)), "hydra_plugins"])
