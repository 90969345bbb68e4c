"""The page as a reader sees it, and what it must say, worked out by NumPy and SciPy from the store's Parquet and JSON files."""

from __future__ import annotations

import base64
import io
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyarrow.parquet as pq
from PIL import Image
from scipy import stats

VOID = frozenset({"meta", "br", "img", "input", "hr", "link"})
DIGITS = {"ssim": 3, "psnr": 2, "nmse": 5, "snr": 1, "fwhm": 3}
"""Decimals that the page promises."""

# The page ---------------------------------------------------------------------------------------------------------------


@dataclass
class Element:
    """Of the page, with what stands inside it."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    inside: list[Element | str] = field(default_factory=list)

    def walk(self) -> Iterator[Element]:
        yield self
        for one in self.inside:
            if isinstance(one, Element):
                yield from one.walk()

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """Every one of a tag below, by its attributes; `kind` is one of its classes."""
        kind = attributes.pop("kind", None)
        return [
            one
            for one in self.walk()
            if one.tag == tag
            and one is not self
            and (kind is None or kind in one.attributes.get("class", "").split())
            and all(one.attributes.get(name.replace("_", "-")) == value for name, value in attributes.items())
        ]

    def one(self, tag: str, **attributes: str) -> Element:
        found = self.all(tag, **attributes)
        assert len(found) == 1, f"{len(found)} of {tag} {attributes}"
        return found[0]

    @property
    def text(self) -> str:
        """As a reader sees it, with single spaces."""
        return " ".join("".join(self._texts()).split())

    def _texts(self) -> Iterator[str]:
        if self.tag in ("style", "script"):
            return
        for one in self.inside:
            if isinstance(one, str):
                yield one
            else:
                yield from one._texts()
                yield "" if one.tag in ("code", "b", "span", "strong") else " "

    def table(self) -> list[list[str]]:
        """Rows of a table's body."""
        body = self.one("tbody")
        return [[cell.text for cell in row.inside if isinstance(cell, Element)] for row in body.all("tr")]

    def facts(self) -> list[tuple[str, str]]:
        """Of a list of terms: (term, what is said of it)."""
        return list(zip((one.text for one in self.all("dt")), (one.text for one in self.all("dd")), strict=True))


class _Reader(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("page")
        self._open = [self.root]
        self.feed(page)
        self.close()
        assert self._open == [self.root], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self._open.append(self._open[-1].inside[-1])  # type: ignore[arg-type]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), "no attribute stands twice"
        self._open[-1].inside.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self._open[-1].inside.append(data)


@dataclass(frozen=True)
class Page:
    """A sweep's page."""

    html: str

    @cached_property
    def root(self) -> Element:
        return _Reader(self.html).root

    def section(self, name: str) -> Element:
        return self.root.one("section", id=name)

    def claim(self, name: str) -> Element:
        """The card of a claim."""
        return next(one for one in self.section("verdict").all("article") if f"Claim {name}:" in one.one("footer").text)

    def charts(self) -> list[ElementTree.Element]:
        """All charts as SVG, which must be well-formed XML."""
        plain = self.html.replace(' xmlns="http://www.w3.org/2000/svg"', "")
        return [ElementTree.fromstring(text) for text in re.findall(r'<svg class="chart".*?</svg>', plain)]

    def chart(self, words: str) -> ElementTree.Element:
        """The one whose name begins so."""
        return next(chart for chart in self.charts() if chart.attrib["aria-label"].startswith(words))

    def said(self, section: str, what: str) -> list[str]:
        """What a section's list says of something."""
        return [said for term, said in self.section(section).facts() if term == what]

    def pictures(self) -> list[list[Picture]]:
        """Of each patient that is shown, in the order of the page."""
        cases = self.section("pictures").all("details", kind="case")
        return [[_picture(figure) for figure in case.all("figure")] for case in cases]


@dataclass(frozen=True)
class Picture:
    """A picture on the page."""

    kind: str
    cell: str
    caption: str
    alt: str
    png: bytes

    @cached_property
    def pixels(self) -> np.ndarray:
        image = Image.open(io.BytesIO(self.png))
        assert (image.format, image.mode) == ("PNG", "L")
        return np.asarray(image)


def _picture(figure: Element) -> Picture:
    image = figure.one("img")
    start = "data:image/png;base64,"
    assert image.attributes["src"].startswith(start)
    png = base64.b64decode(image.attributes["src"].removeprefix(start), validate=True)
    kind, cell = figure.attributes["data-kind"], figure.attributes["data-cell"]
    return Picture(kind, cell, figure.one("figcaption").text, image.attributes["alt"], png)


# The store ---------------------------------------------------------------------------------------------------------------

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Kept:
    """What the store keeps of a sweep: its files, read without the code that is tested."""

    folder: Path
    """Of the parent run's artifacts."""

    @cached_property
    def cells(self) -> dict[str, Rows]:
        """Key → rows, in the order of the file."""
        cells: dict[str, Rows] = {}
        for row in pq.read_table(self.folder / "rows.parquet").to_pylist():
            cells.setdefault(row["cell"], []).append(row)
        return cells

    def verdict(self, claim: str) -> dict[str, Any]:
        return json.loads((self.folder / "verdicts" / claim / "verdict.json").read_text("utf-8"))

    @property
    def page(self) -> Page:
        return Page((self.folder / "report.html").read_text("utf-8"))

    @property
    def index(self) -> dict[str, Any]:
        """Of the pictures."""
        return json.loads((self.folder / "pictures" / "pictures.json").read_text("utf-8"))


def kept(work: Path, run_id: str) -> Kept:
    """Of a store beside its artifacts."""
    return Kept(work / "mlartifacts" / run_id / "artifacts")


# What must be said -------------------------------------------------------------------------------------------------------


def by_patient(rows: Iterable[Mapping[str, Any]], column: str) -> dict[str, float]:
    """Patient → mean over the patient's volumes."""
    grouped: dict[str, list[float]] = {}
    for row in rows:
        grouped.setdefault(row["patient"], []).append(row[column])
    return {patient: float(np.mean(values)) for patient, values in grouped.items()}


def mean_and_half(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and half of Student's 95 % interval; None of one value."""
    if len(values) < 2:
        return float(values[0]), None
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values))
    return float(np.mean(values)), float(half)


def places(metric: str) -> int:
    return DIGITS[metric.partition("@")[0]]


def score_text(rows: Rows, metric: str) -> str:
    """A cell's score as the table shows it."""
    if metric not in rows[0] or any(row[metric] is None for row in rows):
        return "–"
    mean, half = mean_and_half(list(by_patient(rows, metric).values()))
    digits = places(metric)
    return f"{mean:.{digits}f}" + ("" if half is None else f" ±{half:.{digits}f}")


def change(rows: Rows, baseline: str) -> str:
    """Of scan time, in per cent."""
    saved = round(-100 * float(np.mean([row[f"reduction_{baseline}"] for row in rows])))
    return f"{saved:+d} %" if saved else "0 %"


def differences(
    reference: Rows, candidate: Rows, metric: str, scale: str = "difference", lower: bool = False
) -> dict[str, float]:
    """Patient → paired difference, higher is better."""
    ours, theirs = by_patient(reference, metric), by_patient(candidate, metric)
    assert ours.keys() == theirs.keys()
    change: Callable[[float, float], float] = (lambda a, b: math.log(b / a)) if scale == "log_ratio" else (lambda a, b: b - a)
    return {patient: (-1 if lower else 1) * change(ours[patient], theirs[patient]) for patient in ours}


def natural(value: float, scale: str = "difference") -> str:
    return f"×{math.exp(value):.3f}" if scale == "log_ratio" else f"{value:+.4g}"


# Charts ------------------------------------------------------------------------------------------------------------------


def fitted(values: Sequence[float], pixels: Sequence[float], off: float = 0.06) -> Callable[[float], float]:
    """The line that maps values to pixels; a chart whose points do not lie on one is not true."""
    slope, start = np.polyfit(values, pixels, 1)
    assert np.abs(slope * np.asarray(values) + start - pixels).max() < off
    return lambda value: float(slope * value + start)


def numbers(path: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", path)]


def titled(element: ElementTree.Element) -> str:
    return element.findtext("title") or ""


def lines(chart: ElementTree.Element, kind: str) -> list[ElementTree.Element]:
    return [one for one in chart.iter() if one.attrib.get("class") == kind and one.tag in ("line", "rect")]
