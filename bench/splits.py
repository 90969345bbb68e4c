"""Which patients a network learns from, is chosen on and is scored on: a manifest, so that nobody changes sides.

A patient's side follows from the seed and the patient's pseudonym alone: patients who are added later move nobody.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from .errors import HalfscanError, one_line
from .files import write_json

Split: TypeAlias = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Splits:
    """Patients (pseudonyms) of each split.

    Raises:
        HalfscanError: a patient in two of them.
    """

    patients: Mapping[Split, frozenset[str]]

    def __post_init__(self) -> None:
        for index, one in enumerate(SPLITS):
            for other in SPLITS[index + 1 :]:
                if both := self.patients[one] & self.patients[other]:
                    raise HalfscanError(f"patient {min(both)} stands in two splits, {one} and {other}: leave one of them out")

    @property
    def digest(self) -> str:
        """SHA-256 of who is where."""
        return hashlib.sha256(json.dumps({name: sorted(self.patients[name]) for name in SPLITS}).encode()).hexdigest()

    def write(self, path: Path) -> None:
        """Writes the manifest, with its digest."""
        write_json(path, {"version": VERSION, "digest": self.digest, **{name: sorted(self.patients[name]) for name in SPLITS}})


def split_patients(patients: Iterable[str], shares: tuple[float, float, float], seed: int) -> Splits:
    """Draws a split for each patient.

    Args:
        patients: pseudonyms.
        shares: of train, validation and test; they sum to 1.
        seed: of the draw.

    Raises:
        HalfscanError: shares that are none, or a split that nobody is drawn for.
    """
    if min(shares) < 0 or abs(sum(shares) - 1) > 1e-9:
        raise HalfscanError(f"shares of {', '.join(f'{share:g}' for share in shares)} must not be negative and sum to 1")
    found: dict[Split, set[str]] = {name: set() for name in SPLITS}
    for patient in patients:
        draw = int.from_bytes(hashlib.sha256(f"{seed} {patient}".encode()).digest()[:8], "big") / 2**64
        found["train" if draw < shares[0] else "validation" if draw < shares[0] + shares[1] else "test"].add(patient)
    for name, share in zip(SPLITS, shares, strict=True):
        if share > 0 and not found[name]:
            raise HalfscanError(
                f"nobody is drawn for {name} ({share:g} of so few patients): raise its share, or take another seed"
            )
    return Splits(patients={name: frozenset(found[name]) for name in SPLITS})


def read_splits(path: Path) -> Splits:
    """Reads a manifest.

    Raises:
        HalfscanError: no manifest, one that was changed since it was written, or a patient in two splits.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
        if content["version"] != VERSION:
            raise HalfscanError(
                f"{path}: splits of version {content['version']}, and this Halfscan reads {VERSION}: make them again"
            )
        found = Splits(patients={name: frozenset(str(one) for one in content[name]) for name in SPLITS})
        digest = content["digest"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise HalfscanError(
            f"dataset.splits={path}: no manifest of splits ({one_line(error)}); make one: halfscan data split"
        ) from error
    if digest != found.digest:
        raise HalfscanError(f"dataset.splits={path}: changed since it was made (its digest differs): make it again")
    return found
