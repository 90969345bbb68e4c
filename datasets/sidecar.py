"""A JSON sidecar beside a file: what the file itself does not say. Its keys are listed in `array.md`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..bench.acquisition import KSpace, Provenance
from ..bench.errors import HalfscanError, one_line
from ..bench.identity import is_contrast

OUR_FFT = "image = fftshift(ifft2(ifftshift(k), norm=ortho))"
RAW_SUFFIXES = (".dat", ".7", ".lab", ".raw")
"""What scanners themselves write: Siemens twix, GE P-file, Philips lab/raw."""
OPEN_LICENCE = re.compile(r"(cc0(-1\.0)?|cc-by(-sa)?(-\d\.\d)?|mit|bsd-[23]-clause|apache-2\.0)(?![\w-])", re.IGNORECASE)
"""Licences that let pictures be shown; CC-BY-NC and -ND do not pass."""

Sidecar = Mapping[str, Any]


def read_sidecar(file: Path) -> Sidecar:
    """The sidecar of a data file, empty where there is none.

    Raises:
        HalfscanError: no JSON object, or another FFT convention than ours.
    """
    path = file.with_suffix(".json")
    if not path.exists():
        return {}
    try:
        sidecar = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise HalfscanError(f"{path}: the sidecar is no readable JSON ({one_line(error)})") from error
    if not isinstance(sidecar, dict):
        raise HalfscanError(f"{path}: the sidecar must be a JSON object")
    convention = sidecar.get("fft_convention")
    if convention is not None and convention != OUR_FFT:
        raise HalfscanError(f'{path}: fft_convention must be "{OUR_FFT}"; convert the k-space first')
    return sidecar


@contextmanager
def stated_values(file: Path) -> Iterator[None]:
    """Refuses, in one line, a value of a wrong kind in a file's sidecar."""
    try:
        yield
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        # Any value of a wrong type in a sidecar ends here: the array itself is looked at elsewhere.
        raise HalfscanError(
            f"{file.with_suffix('.json')}: a value is of the wrong kind ({one_line(error)}), see array.md"
        ) from error


def refuse_undersampled(file: Path, sidecar: Sidecar) -> None:
    """Refuses what its sidecar calls undersampled.

    Raises:
        HalfscanError: it does.
    """
    if sidecar.get("fully_sampled") is False:
        raise HalfscanError(f"{file}: its sidecar says it is undersampled: there is no truth to score against")


def stated_provenance(file: Path, stated: str | None, sidecar: Sidecar) -> Provenance:
    """Stated, else measured where the sidecar names the scanner's own raw file, else processed: the cautious label."""
    found = stated or sidecar.get("provenance")
    if found is not None:
        if found not in set(Provenance):
            raise HalfscanError(f"{file}: the sidecar's provenance {found!r} is not one of {', '.join(Provenance)}")
        return Provenance(found)
    sources = sidecar.get("source_paths") or []
    raw = bool(sources) and all(str(source).endswith(RAW_SUFFIXES) for source in sources)
    return Provenance.MEASURED if raw else Provenance.PROCESSED


def published_as(sidecar: Sidecar) -> str | None:
    """The public data set that the file is of; None for private data."""
    published = sidecar.get("source_repo") or sidecar.get("public_dataset")
    return str(published) if published else None


def number(sidecar: Sidecar, key: str) -> float | None:
    """A number above 0, or None: a string in a sidecar is a note, not a value.

    Raises:
        ValueError: a number that no length, field or time can have.
    """
    return _above_zero(key, sidecar.get(key))


def _above_zero(key: str, value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    if not 0 < value < math.inf:
        raise ValueError(f"{key} must be a number above 0, and is {value}")
    return float(value)


def voxel_mm(sidecar: Sidecar, kspace: KSpace) -> tuple[float, float, float] | None:
    """Voxel size along (slice, ky, kx) [mm]: stated, or of slice thickness and field of view."""
    if "voxel_mm" in sidecar:
        slice_mm, y_mm, x_mm = sidecar["voxel_mm"]
        return _length("voxel_mm", slice_mm), _length("voxel_mm", y_mm), _length("voxel_mm", x_mm)
    thickness, extent = number(sidecar, "slice_mm"), sidecar.get("fov_mm")
    if thickness is None or not isinstance(extent, list) or len(extent) != 2:
        return None
    y_mm, x_mm = (_length("fov_mm", value) for value in extent)
    return thickness, y_mm / kspace.size("ky"), x_mm / kspace.size("kx")


def _length(key: str, value: object) -> float:
    if (found := _above_zero(key, value)) is None:
        raise ValueError(f"{key} must be of numbers, and one is {type(value).__name__}")
    return found


def redistributable(sidecar: Sidecar) -> bool:
    """Whether pictures of the data may be shown: stated, or an open licence."""
    stated = sidecar.get("redistributable")
    if isinstance(stated, bool):
        return stated
    return OPEN_LICENCE.match(str(sidecar.get("license", ""))) is not None


def contrast(value: object) -> str | None:
    """A short name such as T2-FLAIR; free text might name a patient, and it would leave this machine.

    Raises:
        ValueError: anything else.
    """
    if value is None:
        return None
    if not isinstance(value, str) or not is_contrast(value):
        raise ValueError("contrast must be one short word such as T2-FLAIR")
    return value
