"""The CSV files that a study of pairs is described by: which series belong together, where to measure, what readers scored."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from ..errors import HalfscanError, one_line
from ..identity import is_contrast

Arm: TypeAlias = Literal["reference", "candidate"]
ARMS: tuple[Arm, ...] = get_args(Arm)
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,23}")
"""Names that leave this machine: short, so that no sentence about a patient is one."""


@dataclass(frozen=True, kw_only=True)
class PairLine:
    """Two series of one patient."""

    name: str
    """As other tables call it; it may name a patient and never leaves this process."""
    paths: Mapping[Arm, Path]
    series: Mapping[Arm, int | None]
    """Series number, where a path holds several."""
    contrast: str | None
    patient: str | None
    """Whose series they are, where headers don't tell; never leaves this process but as a pseudonym."""


@dataclass(frozen=True, kw_only=True)
class Region:
    """A rectangle of the reference's pixels, counted from 0."""

    name: str
    slice: int
    """In order along the slices' normal."""
    row: int
    column: int
    height: int
    width: int
    against: str | None
    """The region that this one's contrast is measured against."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One reader's score of one arm of a pair."""

    arm: Arm
    reader: int
    """Readers are numbered from 1 by name: a name never leaves this process."""
    item: str
    """What was scored."""
    score: float


def read_pairs(path: Path) -> list[PairLine]:
    """Pairs, by a CSV of pair, reference, candidate[, reference_series, candidate_series, contrast, patient].

    Paths are taken from the file's own folder.

    Raises:
        HalfscanError: naming the line.
    """
    found = []
    for where, cells in _lines(
        path,
        ("pair", "reference", "candidate"),
        dict.fromkeys(("reference_series", "candidate_series", "contrast", "patient"), ""),
        unique=("pair",),
    ):
        contrast = cells["contrast"] or None
        if contrast and not is_contrast(contrast):
            raise HalfscanError(f"{where}: contrast must be one short word such as T2-FLAIR")
        found.append(
            PairLine(
                name=_needed(where, cells, "pair"),
                paths={arm: path.parent / _path(where, _needed(where, cells, arm)) for arm in ARMS},
                series={arm: _whole(where, cells, f"{arm}_series") if cells[f"{arm}_series"] else None for arm in ARMS},
                contrast=contrast,
                patient=cells["patient"] or None,
            )
        )
    return found


def read_regions(path: Path, pairs: Sequence[str]) -> dict[str, tuple[Region, ...]]:
    """Pair → its regions, by a CSV of pair, region, slice, row, column, height, width[, against].

    Raises:
        HalfscanError: naming the line, or the region that another one names and the pair lacks.
    """
    found: dict[str, list[Region]] = {}
    columns = ("pair", "region", "slice", "row", "column", "height", "width")
    for where, cells in _lines(path, columns, {"against": ""}, unique=("pair", "region")):
        sizes = {name: _whole(where, cells, name) for name in columns[2:]}
        if min(sizes["height"], sizes["width"]) < 1:
            raise HalfscanError(f"{where}: height and width must be at least 1")
        against = _word(where, "against", cells["against"]) if cells["against"] else None
        region = Region(name=_word(where, "region", cells["region"]), against=against, **sizes)
        found.setdefault(_known(where, cells, pairs), []).append(region)
    for pair, regions in found.items():
        names = {region.name for region in regions}
        if lost := next((one for one in regions if one.against and one.against not in names - {one.name}), None):
            raise HalfscanError(
                f"{path}: pair {pair}: region {lost.name} is against {lost.against}, which is no other region of it"
            )
    return {pair: tuple(regions) for pair, regions in found.items()}


def read_readings(path: Path, pairs: Sequence[str]) -> dict[str, tuple[Reading, ...]]:
    """Pair → its scores, by a CSV of pair, arm, reader, score[, item].

    Raises:
        HalfscanError: naming the line, or a pair of which a reader scored one arm alone.
    """
    found: dict[str, list[tuple[str, Arm, str, float]]] = {}
    for where, cells in _lines(
        path, ("pair", "arm", "reader", "score"), {"item": "score"}, unique=("pair", "arm", "reader", "item")
    ):
        arm = next((arm for arm in ARMS if arm == cells["arm"]), None)
        if arm is None:
            raise HalfscanError(f"{where}: arm {cells['arm'][:40]!r} must be reference or candidate")
        item = _word(where, "item", cells["item"])
        found.setdefault(_known(where, cells, pairs), []).append(
            (_needed(where, cells, "reader"), arm, item, _number(where, cells, "score"))
        )
    spelt: dict[str, str] = {}
    for name in (reader for lines in found.values() for reader, *_ in lines):
        if spelt.setdefault(" ".join(name.casefold().split()), name) != name:
            raise HalfscanError(f"{path}: reader {name} is written {spelt[' '.join(name.casefold().split())]} elsewhere: one way")
    numbers = {name: 1 + at for at, name in enumerate(sorted({reader for lines in found.values() for reader, *_ in lines}))}
    for pair, lines in found.items():
        scored = {(reader, item, arm) for reader, arm, item, _ in lines}
        for reader, item, arm in sorted(scored):
            if any((reader, item, other) not in scored for other in ARMS):
                raise HalfscanError(f"{path}: pair {pair}: reader {reader} scored {item} of the {arm} alone: score both arms")
    return {
        pair: tuple(Reading(arm=arm, reader=numbers[reader], item=item, score=score) for reader, arm, item, score in lines)
        for pair, lines in found.items()
    }


def _lines(
    path: Path, needed: Sequence[str], defaults: Mapping[str, str], *, unique: Sequence[str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """(where, column → text) of each line, all columns there: those that may be absent or empty have a default.

    Raises:
        HalfscanError: no such file, no such columns, a line of another length, or one that says again what another said.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = list(csv.reader(file, strict=True))
    except (OSError, ValueError, csv.Error) as error:
        raise HalfscanError(f"{path}: can't be read as CSV in UTF-8 ({one_line(error)})") from error
    head = [name.strip().casefold() for name in lines[0]] if lines else []
    while head and not head[-1] and all(len(line) < len(head) or not line[len(head) - 1].strip() for line in lines):
        # Spreadsheets write empty columns behind the last.
        head.pop()
    if len(head) == 1 and (";" in head[0] or "\t" in head[0]):
        raise HalfscanError(f"{path}: its columns must be separated by commas: save it so")
    if absent := [name for name in needed if name not in head]:
        raise HalfscanError(f"{path}: lacks the column {absent[0]}: its first line names {', '.join((*needed, *defaults))}")
    if strange := [name for name in head if name not in (*needed, *defaults) or head.count(name) > 1]:
        raise HalfscanError(f"{path}: has a column {strange[0][:40]!r} too many: it may have {', '.join((*needed, *defaults))}")
    seen: dict[tuple[str, ...], int] = {}
    for number, line in enumerate(lines[1:], 2):
        if not any(cell.strip() for cell in line):
            continue
        where = f"{path}, line {number}"
        line = line[: len(head)] if not any(cell.strip() for cell in line[len(head) :]) else line
        if len(line) != len(head):
            raise HalfscanError(f"{where}: has {len(line)} cells, and the first line {len(head)}")
        stated = dict(zip(head, (cell.strip() for cell in line), strict=True))
        cells = {**stated, **{name: stated.get(name) or default for name, default in defaults.items()}}
        key = tuple(cells[name] for name in unique)
        if key in seen:
            raise HalfscanError(f"{where}: says the {', '.join(unique)} of line {seen[key]} again")
        seen[key] = number
        yield where, cells
    if not seen:
        raise HalfscanError(f"{path}: has no line below its first")


def _needed(where: str, cells: Mapping[str, str], name: str) -> str:
    if not cells[name]:
        raise HalfscanError(f"{where}: {name} is empty")
    return cells[name]


def _path(where: str, text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise HalfscanError(f"{where}: {text[:60]}: {one_line(error)}") from error


def _known(where: str, cells: Mapping[str, str], pairs: Sequence[str]) -> str:
    if cells["pair"] not in pairs:
        raise HalfscanError(f"{where}: there is no pair {cells['pair'][:40]!r}")
    return cells["pair"]


def _word(where: str, name: str, text: str) -> str:
    if not _WORD.fullmatch(text):
        raise HalfscanError(f"{where}: {name} {text[:40]!r} must be one short word of letters, digits and _")
    return text


def _number(where: str, cells: Mapping[str, str], name: str) -> float:
    try:
        number = float(cells[name])
    except ValueError:
        number = math.nan
    if not abs(number) < 2**31:
        raise HalfscanError(f"{where}: {name} {cells[name][:40]!r} is no number")
    return number


def _whole(where: str, cells: Mapping[str, str], name: str) -> int:
    number = _number(where, cells, name)
    if number != int(number) or number < 0:
        raise HalfscanError(f"{where}: {name} {cells[name][:40]!r} must be a whole number from 0")
    return int(number)
