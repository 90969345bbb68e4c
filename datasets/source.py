"""What all data sets in files share: finding them, opening each, refusing the bad ones by name, and naming patients."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

from ..bench.acquisition import Acquisition, ComplexArray, KSpace, Provenance
from ..bench.errors import HalfscanError, one_line
from ..bench.identity import private_id, public_id
from ..bench.splits import SPLITS, read_splits
from .sidecar import contrast

log = logging.getLogger(__name__)

Unit = TypeVar("Unit")
BESIDE = (".json", ".md", ".txt", ".csv", ".yaml")
"""Files that may stand beside data without being taken for some."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """One file, or a folder of files. Opening a data set reads headers alone; k-space waits until it is asked for.

    Raises:
        HalfscanError: settings that can't be.
    """

    path: str
    patient_pattern: str | None = None
    """Regular expression whose first group finds the patient in a file name; None: what the file says, or the whole
    name, a patient a file."""
    max_slices: int | None = None
    """Only this many central slices of each volume."""
    splits: str | None = None
    """Manifest of who is to learn from and who is to be scored (`halfscan data split`); None: everyone is scored."""
    split: str = "test"
    """Whose volumes these are, with `splits`."""
    name: str = "files"

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise HalfscanError(f"dataset.split={self.split} is unknown: use {', '.join(SPLITS)}")
        if self.max_slices is not None and self.max_slices < 1:
            raise HalfscanError(f"dataset.max_slices={self.max_slices} must be at least 1")
        if self.patient_pattern is not None:
            try:
                groups = re.compile(self.patient_pattern).groups
            except re.error as error:
                raise HalfscanError(f"dataset.patient_pattern={self.patient_pattern!r}: {error}") from error
            if groups < 1:
                raise HalfscanError(f"dataset.patient_pattern={self.patient_pattern!r} needs a group: (...)")

    def volumes(self) -> Sequence[Acquisition]:
        """All volumes of the files, whatever their split, in a fixed order.

        Raises:
            HalfscanError: naming every file that can't be used.
        """
        raise NotImplementedError

    def recognises(self, path: Path) -> bool:
        """Whether a path is of this kind, by its name and first bytes: what `halfscan data check` asks."""
        return False

    def acquisitions(self) -> Sequence[Acquisition]:
        """The volumes of the split, or all of them where there are no splits.

        Raises:
            HalfscanError: naming every file that can't be used, or a patient who stands in no split.
        """
        found = self.volumes()
        if self.splits is None:
            return found
        splits = read_splits(Path(self.splits).expanduser())
        known = frozenset().union(*splits.patients.values())
        if missing := sorted({one.patient for one in found} - known):
            raise HalfscanError(
                f"dataset.splits={self.splits}: {len(missing)} patients stand in no split, {missing[0]} among them: make it again"
            )
        return [one for one in found if one.patient in splits.patients[self.split]]  # type: ignore[index]

    def of_split(self, split: Literal["train", "validation", "test"]) -> Source:
        """The same files' patients of one split.

        Raises:
            HalfscanError: there are no splits.
        """
        if self.splits is None:
            raise HalfscanError(
                f"dataset {self.name} has no patients to train on: give model.weights, or dataset.splits (halfscan data split)"
            )
        return replace(self, split=split)

    def files(self, suffixes: Sequence[str]) -> list[Path]:
        """The files to read, by name. What else lies in a folder is named in the log.

        Raises:
            HalfscanError: there is none.
        """
        path = Path(self.path).expanduser()
        if path.is_dir():
            found = sorted(file for file in path.iterdir() if not file.name.startswith(".") and not file.is_dir())
            files = [file for file in found if file.suffix.lower() in suffixes]
            if not files:
                raise HalfscanError(f"dataset.path={self.path}: no {', '.join(suffixes)} file in this folder")
            if foreign := [file.name for file in found if file not in files and file.suffix.lower() not in BESIDE]:
                log.warning("dataset.path: %d files of another kind are left aside: %s", len(foreign), ", ".join(foreign[:5]))
            return files
        if not path.exists():
            raise HalfscanError(f"dataset.path={self.path}: no such file or folder")
        if path.suffix.lower() not in suffixes:
            raise HalfscanError(f"dataset.path={self.path}: {path.suffix or 'no suffix'} is not one of {', '.join(suffixes)}")
        return [path]

    def patient_in(self, file: Path) -> str | None:
        """What `patient_pattern` finds in a file's name; None without a pattern.

        Raises:
            HalfscanError: it finds nothing.
        """
        if self.patient_pattern is None:
            return None
        found = re.search(self.patient_pattern, file.stem)
        if found is None or found.group(1) is None:
            raise HalfscanError(f"{file}: dataset.patient_pattern={self.patient_pattern!r} finds no patient in its name")
        return found.group(1)

    def central(self, kspace: KSpace) -> KSpace:
        """The central `max_slices` slices."""
        return central_slices(kspace, self.max_slices)

    def central_part(self, slices: Sequence[Unit]) -> Sequence[Unit]:
        """The same of what there is one a slice of."""
        first, stop = _central(len(slices), self.max_slices)
        return slices[first:stop]


def check_provenance(stated: str | None) -> None:
    """Refuses a `dataset.provenance` that is none.

    Raises:
        HalfscanError: naming those that are.
    """
    if stated is not None and stated not in set(Provenance):
        raise HalfscanError(f"dataset.provenance={stated} is unknown: use {', '.join(Provenance)}")


def check_contrast(stated: str | None) -> None:
    """Refuses a `dataset.contrast` that might name a patient.

    Raises:
        HalfscanError: it is no short word.
    """
    try:
        contrast(stated)
    except ValueError as error:
        raise HalfscanError(f"dataset.contrast={stated}: {error}") from error


def open_all(units: Iterable[Unit], opened: Callable[[Unit], Iterable[Acquisition]]) -> list[Acquisition]:
    """The volumes of all units (a file, a series), or one refusal that names every unit that can't be used."""
    volumes: list[Acquisition] = []
    refused: list[str] = []
    for unit in units:
        try:
            volumes += opened(unit)
        except HalfscanError as error:
            refused.append(one_line(error))
    if refused:
        raise HalfscanError("; ".join(refused))
    return volumes


@contextmanager
def readable(file: Path, kind: str) -> Iterator[None]:
    """Turns whatever a damaged, locked or foreign file makes a library raise into one line that names it."""
    try:
        yield
    except (HalfscanError, MemoryError):
        raise
    except PermissionError as error:
        raise HalfscanError(f"{file}: can't be read (permission denied)") from error
    except Exception as error:
        # Decoders raise whatever they raise: zipfile, zlib, struct, h5py and XML errors alike.
        if "unable to lock file" in str(error):
            raise HalfscanError(f"{file}: another process is writing it; wait for it") from error
        raise HalfscanError(f"{file}: can't be read as {kind} ({one_line(error)[:200]}); is it whole?") from error


def unchanged(file: Path, mtime_ns: int) -> None:
    """Refuses a file that is not the one that was checked.

    Raises:
        HalfscanError: it changed or vanished since.
    """
    if not file.exists() or file.stat().st_mtime_ns != mtime_ns:
        raise HalfscanError(f"{file}: changed or vanished since it was checked; start the sweep again")


def central_slices(kspace: KSpace, count: int | None) -> KSpace:
    """The volume's central slices, `count` at most (default: all); those of two choices lie inside one another."""
    if count is None or "slice" not in kspace.axes or count >= kspace.size("slice"):
        return kspace
    return part_of(kspace, "slice", *_central(kspace.size("slice"), count))


def _central(slices: int, count: int | None) -> tuple[int, int]:
    if count is None or count >= slices:
        return 0, slices
    first = (slices - count) // 2
    return first, first + count


def part_of(kspace: KSpace, axis: str, start: int, stop: int) -> KSpace:
    """A lazy range of an axis."""
    place = [*kspace.axes].index(axis)  # type: ignore[arg-type]
    inside = range(start, stop)

    def load(index: tuple[int | slice, ...]) -> ComplexArray:
        chosen = index[place]
        picked = inside[chosen] if isinstance(chosen, int) else _as_slice(inside[chosen])
        return kspace.load((*index[:place], picked, *index[place + 1 :]))

    shape = (*kspace.shape[:place], len(inside), *kspace.shape[place + 1 :])
    return replace(kspace, shape=shape, load=load)


def _as_slice(chosen: range) -> slice:
    if chosen.step < 0:
        raise HalfscanError("k-space is read forwards: a selection's step must be positive")
    return slice(chosen.start, chosen.stop, chosen.step)


def pseudonyms(patient: str, volume: str, published: str | None) -> tuple[str, str]:
    """Patient and volume, free of anything that identifies a person.

    Args:
        patient: as the source names the patient; never leaves this process.
        volume: as the source names the volume.
        published: name of a public data set, whose ids others may pair; None for private data.
    """
    if published:
        return public_id(published, patient), volume
    return private_id(patient), private_id(volume)
