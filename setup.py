"""Only what pyproject.toml can't say: the packages, found rather than listed, so that a new subpackage is never forgotten."""

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

FOLDERS = ["bench*", "models*", "datasets*", "configs*"]


class BuildWithoutSetup(build_py):
    """The root is a package, so this very file would be taken for one of its modules."""

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        return [found for found in super().find_package_modules(package, package_dir) if found[1] != "setup"]


setup(
    packages=["halfscan", *("halfscan." + name for name in find_packages(include=FOLDERS)), "hydra_plugins"],
    cmdclass={"build_py": BuildWithoutSetup},
)
