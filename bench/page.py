"""A plain HTML page of a sweep, in one file: the table, what qualifies it, and a picture a cell."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from .files import whole_file
from .manifest import SweepManifest
from .table import CellSummary, cell_values, fitting_profile, footnotes, headings, label

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem }
body { color: #1a1a1a; background: #fff }
table { border-collapse: collapse; width: 100% } caption { text-align: left; padding: .5rem 0 }
th, td { padding: .3rem .6rem; border-bottom: 1px solid #ccc; text-align: right; font-variant-numeric: tabular-nums }
th:first-child, td:first-child { text-align: left } figure { margin: 1.5rem 0 } img { max-width: 100%; height: auto }
.scroll { overflow-x: auto } .note { background: #fff3cd; padding: .6rem 1rem; border-left: 4px solid #b8860b }
@media (prefers-color-scheme: dark) { body { color: #e8e8e8; background: #161616 } .note { background: #3a3010 } }
"""


def write_page(manifest: SweepManifest, cells: Sequence[CellSummary], pictures: Mapping[str, Path], path: Path) -> None:
    """Writes the page; every text in it is escaped, every picture embedded, nothing is loaded from elsewhere.

    Args:
        pictures: cell key → PNG, for the cells that have one.
        path: of the HTML file.
    """
    with whole_file(path) as draft:
        draft.write_text(_page(manifest, cells, pictures), encoding="utf-8")


def _page(manifest: SweepManifest, cells: Sequence[CellSummary], pictures: Mapping[str, Path]) -> str:
    title = f"Halfscan sweep {escape(manifest.sweep_id)}"
    body = _table(cells) + _figures(cells, pictures) if cells else "<p>No cell of this sweep has finished.</p>"
    missing = len(manifest.cells) - len(cells)
    warning = f'<p class="note">{missing} of {len(manifest.cells)} cells have no result.</p>' if missing and cells else ""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>\n'
        f"<body><main><h1>{title}</h1>\n{warning}{body}</main></body></html>\n"
    )


def _table(cells: Sequence[CellSummary]) -> str:
    profile = fitting_profile(cells)
    lines = footnotes(cells, profile)
    notes = "".join(f"<li>{escape(line)}</li>" for line in lines if not line.startswith("Data: "))
    data = "".join(f'<p class="note">{escape(line)}</p>' for line in lines if line.startswith("Data: "))
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in ("cell", *headings(cells, profile)))
    rows = "".join(
        f'<tr><th scope="row">{escape(label(cell))}</th>'
        + "".join(f"<td>{escape(value)}</td>" for value in cell_values(cell, profile))
        + "</tr>\n"
        for cell in cells
    )
    return (
        f'{data}<div class="scroll"><table><caption>Scores in the profile {escape(profile)}</caption>'
        f"<thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table></div>\n<ul>{notes}</ul>\n"
    )


def _figures(cells: Sequence[CellSummary], pictures: Mapping[str, Path]) -> str:
    figures = []
    for cell in cells:
        path = pictures.get(cell.entry.key)
        if path is None:
            continue
        name = escape(label(cell), quote=True)
        image = base64.b64encode(path.read_bytes()).decode("ascii")
        figures.append(
            f"<figure><figcaption>{name}: the volume in this cell's middle of the ranking by SSIM, so not the same one in every "
            "cell</figcaption>"
            f'<img src="data:image/png;base64,{image}" alt="{name}: truth, reconstruction, error times 5, mask"></figure>\n'
        )
    absent = "<p>No pictures: the data are not marked as redistributable, or they are not on this machine.</p>"
    return "<h2>Pictures</h2>\n" + ("".join(figures) or absent)
