"""The sweep's page in headless Chromium, by itself and in MLflow's artifact view: every control, nothing from elsewhere."""

from __future__ import annotations

import base64
import http.client
import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from halfscan.bench.books import Books
from halfscan.bench.closing import Closed, close_sweep
from halfscan.bench.identity import KEY_VARIABLE
from halfscan.bench.report.page import report_page
from halfscan.bench.rows import Row

from ..claims.test_judge import CANDIDATE, ENDPOINT, QUALITY, REFERENCE, SSIM, arm, baseline, spread
from ..planted import plant

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Frame, Page, Request

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser: pip install playwright")
expect: Any = sync_api.expect

AXE = Path(__file__).parents[3] / ".axe" / "node_modules" / "axe-core" / "axe.min.js"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDTHS = (375, 1024, 1920)
SCHEMES = ("light", "dark")
PATIENCE = 10_000
"""[ms] with the browser."""
EVIL = ("<script>alert(1)</script>", "../../x", '"><img src=x onerror=alert(1)>')
SHAPE = (48, 40)
"""(ky, kx) of the planted pictures."""
CELLS = ("sense", "equal", "worse", "noisy")
"""In the order of the sweep; in none of the table's columns is it an order."""
CASES = ("worst", "median", "best")


# The pages -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Swept:
    """A store with sweeps of which the truth is known, and their pages."""

    folder: Path
    experiment: str
    parent: str
    """Run of the sweep with three claims; it holds its page as an artifact."""
    page: Path
    empty: Path
    """Of a sweep of which nothing has finished."""
    evil: Path
    """Of a sweep whose every name is an attack."""


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Swept:
    """Planted once: the tests only look."""
    folder = tmp_path_factory.mktemp("pages")
    shutil.copy(empty_store, folder / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv(KEY_VARIABLE, "a test site's secret")
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        store, manifest = plant(_vendors(), _claims(), folder, pictures=True)
        closed = close_sweep(manifest)
        empty = close_sweep(plant({}, [], folder, failed=("sense", "unet"), sweep_id="empty")[1])
        evil = _evil(folder)
        return Swept(
            folder=folder,
            experiment=store.experiment_id,
            parent=manifest.parent_run,
            page=closed.page,
            empty=empty.page,
            evil=evil,
        )


def _vendors() -> dict[str, list[Row]]:
    """Three vendors against SENSE, with three metrics; one of them is nowhere scored for `worse`."""
    level = baseline(40)
    differences = {"sense": 0.0, "equal": spread(40, 0.001), "worse": spread(40, -0.05), "noisy": spread(40, 0.002, 0.1)}
    seconds = {"sense": 60.0, "equal": 28.0, "worse": 24.0, "noisy": 30.0}
    cells = {}
    for number, name in enumerate(CELLS):
        ssim = level + differences[name]
        scores = {
            SSIM: ssim.tolist(),
            "psnr@mvue": (20 + 20 * ssim).tolist(),
            "nmse@mvue": [None if name == "worse" else 0.2 * (1.2 - one) for one in ssim],
        }
        side = {**(CANDIDATE if number else REFERENCE), "model": name}
        took = {"scan_s": seconds[name], "scan_low_s": seconds[name] - 1, "scan_high_s": seconds[name] + 2}
        for baseline_name, full in (("full", 112.0), ("clinical", 60.0)):
            saved = 1 - seconds[name] / full
            took |= {f"reduction_{baseline_name}{end}": saved + off for end, off in (("", 0.0), ("_low", -0.02), ("_high", 0.01))}
        others = {"acceleration": (1.9, 3.5, 4.2, 3.1)[number], "recon_s_per_slice": (0.01, 0.04, 0.02, 0.03)[number]}
        cells[name] = arm(scores, side, **took, **others)
    return cells


def _claims() -> list[Any]:
    """One holds, one is refuted, one is not decided; single patients count as well."""
    endpoint = replace(ENDPOINT, tail_margin=0.03, tail_required=0.9)
    settings = {"time_target": 0.45, "endpoints": (endpoint,)}
    return [replace(QUALITY, claim_id=name, candidate={"model": name}, **settings) for name in CELLS[1:]]


def _evil(folder: Path) -> Path:
    """The page of a sweep in which models, data sets, patients, cells and whoever states a claim try to break out of it."""
    names: dict[str, Any] = {"protocol": EVIL[2], "clinical": EVIL[0], "caveat": EVIL[2], "assumptions": {EVIL[0]: EVIL[2]}}
    names |= {"timing": {EVIL[2]: EVIL[0]}, "warnings": EVIL}
    level = baseline(24)
    rows = {
        "one": arm(level.tolist(), model=EVIL[0], dataset=EVIL[1], **names),
        "two": arm((level + spread(24)).tolist(), CANDIDATE, model=EVIL[2], dataset=EVIL[1], **names),
        "three": arm(level.tolist(), model=EVIL[1], dataset=EVIL[2], **names),
    }
    named = {
        name: [replace(row, patient=f"{EVIL[2]}{row.patient}", volume=f"{EVIL[0]}{row.volume}") for row in some]
        for name, some in rows.items()
    }
    said = {"statement": EVIL[0], "source": EVIL[2], "endpoints": (replace(ENDPOINT, margin_rationale=EVIL[2]),)}
    arms = {"reference": {"model": EVIL[0]}, "candidate": {"model": EVIL[2]}}
    closed = close_sweep(plant(named, [replace(QUALITY, **said, **arms)], folder, pictures=True, sweep_id="evil")[1])
    return _with_evil_cells(closed, folder / "evil.html")


def _with_evil_cells(closed: Closed, path: Path) -> Path:
    """Names of cells are those of models and of what is swept; keys stay harmless, as the sweep makes them."""
    cells = [replace(cell, swept={**cell.swept, "sampling.evil": EVIL[2]}) for cell in closed.record.cells]
    path.write_text(report_page(replace(closed.record, cells=cells), Books.composed()), "utf-8")
    return path


@dataclass(frozen=True, kw_only=True)
class Server:
    """MLflow's own, on this machine alone."""

    port: int
    log: Path

    def wait(self) -> None:
        end = time.monotonic() + 90
        while not self._healthy():
            if time.monotonic() > end:
                pytest.fail(f"MLflow's server does not answer:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.1)

    def _healthy(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


@pytest.fixture(scope="module")
def server(swept: Swept) -> Iterator[Server]:
    """Over the planted store; it takes seconds to answer, and nobody waits for it here."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{swept.folder}/mlflow.db"]
    settings = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    settings.pop("MLFLOW_TRACKING_URI", None)
    log = swept.folder / "server.log"
    where: dict[str, Any] = {"env": settings, "cwd": swept.folder, "start_new_session": True}
    with log.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output, **where) as process:
        try:
            yield Server(port=port, log=log)
        finally:
            # The server and its worker are a process group of their own.
            os.killpg(process.pid, signal.SIGKILL)


# The browser -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser to open the page in: install one of {', '.join(BROWSERS)}")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass(kw_only=True)
class Place:
    """Where the page is shown, and what went wrong or was asked for meanwhile."""

    page: Page
    frame: Frame
    """The report's own."""
    url: str
    """The report's own."""
    faults: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    def one(self, selector: str) -> Any:
        return self.frame.locator(selector)

    @property
    def home(self) -> str:
        """Address of the whole page: the report's, or MLflow's."""
        return self.page.url.partition("#")[0]

    def asked_for(self) -> list[str]:
        """What was opened, and all that the report asked for besides."""
        return [one.url for one in self.requests if one.is_navigation_request() or one.frame == self.frame]

    def asked_elsewhere(self) -> list[str]:
        """Requests of anybody here to any place but the report's own."""
        return [one.url for one in self.requests if not one.url.startswith((self.home, f"blob:{self.home}", "data:"))]


def _open(browser: Browser, url: str, **settings: Any) -> Place:
    """A page by itself, in a context of its own."""
    page = browser.new_page(**{"viewport": {"width": 1280, "height": 900}, **settings})
    page.set_default_timeout(PATIENCE)
    place = Place(page=page, frame=page.main_frame, url=url)
    _watch(place)
    page.goto(url)
    return place


def _watch(place: Place, but: str | None = None) -> None:
    """Notes requests, errors and dialogs.

    Args:
        place: that is watched, before it is opened.
        but: beginning of the addresses of scripts whose messages are not the report's.
    """

    def heard(message: Any) -> None:
        if but is None or not str(message.location.get("url")).startswith(but):
            place.faults.append(f"{message.type}: {message.text}")

    def asked(dialog: Any) -> None:
        place.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    place.page.on("console", heard)
    place.page.on("pageerror", lambda error: place.faults.append(f"error: {error}"))
    place.page.on("dialog", asked)
    place.page.on("popup", lambda other: place.faults.append(f"popup: {other.url}"))
    place.page.on("request", lambda request: place.requests.append(request))


@pytest.fixture(scope="module", params=["file", "mlflow"])
def opened(request: pytest.FixtureRequest, chromium: Browser, swept: Swept, server: Server) -> Iterator[Place]:
    """The page from its file, and the same page in a frame of MLflow's."""
    if request.param == "file":
        place = _open(chromium, swept.page.as_uri())
    else:
        server.wait()
        url = f"http://127.0.0.1:{server.port}/#/experiments/{swept.experiment}/runs/{swept.parent}/artifacts/{swept.page.name}"
        page = chromium.new_page(viewport={"width": 1600, "height": 1300})
        page.set_default_timeout(PATIENCE)
        place = Place(page=page, frame=page.main_frame, url=url)
        # MLflow's own scripts complain of an address that its server without accounts does not have.
        _watch(place, but=url.partition("#")[0])
        page.goto(url)
        box = page.wait_for_selector("iframe.mlflow-html-iframe", timeout=60_000)
        assert box.get_attribute("sandbox") == "allow-scripts"
        place.frame = box.content_frame()
        place.url = place.frame.url
    expect(place.one("#viewer")).to_be_visible()
    yield place
    place.page.close()


@pytest.fixture
def place(opened: Place) -> Iterator[Place]:
    """Nothing may go wrong and nothing may be loaded whatever is done to the page."""
    yield opened
    assert opened.faults == []
    assert opened.asked_for() == list(dict.fromkeys((opened.home, opened.url))), "each once, and nothing else"
    assert opened.asked_elsewhere() == []
    assert opened.frame.url == opened.url


# Every control ---------------------------------------------------------------------------------------------------------


def test_links_go_to_their_section_and_nowhere_else(place: Place) -> None:
    links = place.one('a[href^="#"]')
    assert links.count() == place.one("a").count() == 12
    place.page.emulate_media(reduced_motion="reduce")
    outside = place.page.url
    for link in links.all():
        target = link.get_attribute("href").removeprefix("#")
        # The skip link is there for the keyboard: it shows when it has the focus.
        link.focus()
        link.click()
        assert place.frame.evaluate("document.activeElement.id") == target
        expect(place.one(f"#{target} h2")).to_be_in_viewport()
        assert (place.frame.url, place.page.url) == (place.url, outside)
    place.page.emulate_media(reduced_motion="no-preference")


def test_one_metric_is_shown_at_a_time(place: Place) -> None:
    metrics = [SSIM, "psnr@mvue", "nmse@mvue"]
    choice, charts = place.one(".switch label"), place.one("figure.trade-off")
    assert [text.strip() for text in choice.all_inner_texts()] == metrics
    for number in (2, 1, 0):
        choice.nth(number).locator("input").check()
        assert [chart.is_visible() for chart in charts.all()] == [number == other for other in range(3)]
        assert charts.nth(number).locator(".scroll").get_attribute("aria-label") == f"Chart of {metrics[number]}"
        assert metrics[number].partition("@")[0] in charts.nth(number).locator("svg").get_attribute("aria-label")


CURVES = """() => [...document.querySelectorAll(".curve")].map(one =>
    [one.querySelector("title").textContent.split(":")[0], getComputedStyle(one).display != "none"])"""


def test_a_model_s_curves_are_hidden_and_shown_again(place: Place) -> None:
    """In the charts of all metrics, of which one lacks a model."""
    boxes = place.one(".legend input")
    assert [text.strip() for text in place.one(".legend label").all_inner_texts()] == list(CELLS)
    names = [*CELLS, *CELLS, *(name for name in CELLS if name != "worse")]
    for number, unchecked in enumerate(CELLS):
        boxes.nth(number).uncheck()
        assert place.frame.evaluate(CURVES) == [[name, name != unchecked] for name in names]
        curves = place.one("figure.trade-off").first.locator(".curve")
        assert [curve.is_visible() for curve in curves.all()] == [name != unchecked for name in CELLS]
        boxes.nth(number).check()
        assert place.frame.evaluate(CURVES) == [[name, True] for name in names]


def _cells(place: Place) -> list[str]:
    """Those that the table shows."""
    return place.one("#all-cells tbody tr:visible th").all_inner_texts()


def _key(text: str) -> tuple[bool, Any]:
    """What a cell of the table is sorted by; what is not measured comes last."""
    number = re.match(r"[-+]?\d+(\.\d+)?", text)
    return (text == "–", float(number.group()) if number else text)


def test_the_table_is_sorted_by_every_column_both_ways(place: Place) -> None:
    heads = place.one("#all-cells thead th")
    assert heads.count() == 10
    table = [row.locator("th, td").all_inner_texts() for row in place.one("#all-cells tbody tr").all()]
    assert tuple(row[0] for row in table) == CELLS
    for column, head in enumerate(heads.all()):
        keys = {row[0]: _key(row[column]) for row in table}
        assert len(set(keys.values())) == len(CELLS), "no ties, which any order would do for"
        rising = sorted(CELLS, key=keys.__getitem__)
        missing = [name for name in rising if keys[name][0]]
        falling = [name for name in reversed(rising) if name not in missing] + missing
        assert list(CELLS) not in (rising, falling)
        for order, word in ((rising, "ascending"), (falling, "descending"), (rising, "ascending")):
            head.locator("button").click()
            assert (_cells(place), head.get_attribute("aria-sort")) == (order, word)
            assert place.one("#all-cells [aria-sort]").count() == 1


def test_the_table_is_filtered(place: Place) -> None:
    box, matches = place.one("#filter"), place.one("#matches")
    for words, found in (
        ("equal", {"equal"}),
        ("  EQ 27.0 ", {"equal"}),
        ("0.85", {"worse"}),
        ("so", {"worse", "noisy"} & set()),
        ("s", {"sense", "worse", "noisy"}),
        ("equal worse", set()),
        ("", set(CELLS)),
    ):
        box.fill(words)
        assert set(_cells(place)) == found, words
        assert matches.inner_text() == f"{len(found)} of {len(CELLS)} cells"
    box.fill("s")
    heads = place.one("#all-cells thead button")
    heads.first.click()
    heads.first.click()
    assert sorted(_cells(place)) == ["noisy", "sense", "worse"], "sorting shows nothing that was filtered away"
    box.fill("")


GALLERY = """one => Object.fromEntries([...one.querySelectorAll("figure")].map(figure =>
    [`${figure.dataset.kind} ${figure.dataset.cell}`, figure.querySelector("img").src]))"""
VIEWED = """async () => {
    const all = [...document.querySelectorAll("#viewer img")];
    await Promise.all(all.map(one => one.decode()));
    return Object.fromEntries(all.map(one => [one.id, one.src]));
}"""


def test_pictures_are_of_whom_and_what_they_say(place: Place) -> None:
    """Every patient, and every cell on both sides; the planted masks tell the cells apart."""
    patients = place.one("#case option").all_inner_texts()
    assert [words.partition(" ")[0] for words in patients] == list(CASES)
    for number, words in enumerate(patients):
        place.one("#case").select_option(words)
        stored = place.one("details.case").nth(number).evaluate(GALLERY)
        assert len(set(stored.values())) == 1 + 3 * len(CELLS), "no two of a patient's pictures are the same"
        for pair in zip(CELLS, (*CELLS[1:], CELLS[0]), strict=True):
            _choose(place, *pair)
            seen = place.frame.evaluate(VIEWED)
            assert seen["truth"] == next(source for name, source in stored.items() if name.startswith("truth "))
            assert seen["image-beside"] == seen["image-right"]
            for side, name in zip(("left", "right"), pair, strict=True):
                assert seen[f"image-{side}"] == stored[f"image planted-{name}"]
                assert seen[f"error-{side}"] == stored[f"error planted-{name}"]
                lines = (_decoded(seen[f"mask-{side}"])[:, 0] > 0).tolist()
                assert lines == [line % (CELLS.index(name) + 2) == 0 for line in range(SHAPE[0])]
                said = place.one(f"#image-{side}").get_attribute("alt")
                assert said.startswith(f"{CASES[number]} patient as {name} rebuilt it")
            chosen = [place.one(f"#{side} option:checked").inner_text() for side in ("left", "right")]
            assert place.one("#seen").inner_text() == f"A: {chosen[0]}. B: {chosen[1]}."
    place.one("#case").select_option(patients[0])
    _choose(place, "sense", "equal")


def _choose(place: Place, left: str, right: str) -> None:
    """Both by name; what they are called in the list says their score as well."""
    for side, name in (("left", left), ("right", right)):
        options = place.one(f"#{side} option").all_inner_texts()
        place.one(f"#{side}").select_option(next(words for words in options if words.startswith(f"{name}, {SSIM} ")))


def _decoded(source: str) -> np.ndarray:
    """The grey values in a data: URL."""
    return _grey(base64.b64decode(source.partition("base64,")[2]))


def _grey(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("L"), dtype=float)


def _shot(place: Place, selector: str = ".stage .frame") -> np.ndarray:
    """What is seen, without the line between A and B."""
    hide = "#divider { visibility: hidden }"
    return _grey(place.one(selector).screenshot(style=hide))


def _set(place: Place, **values: float) -> None:
    for name, value in values.items():
        place.one(f"#{name}").fill(str(value))


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and bool(np.abs(one - other).max() <= 1)


def test_the_slider_parts_a_from_b(place: Place) -> None:
    right = place.one("#image-right")
    _choose(place, "sense", "noisy")
    _set(place, divide=20)
    assert right.evaluate("one => getComputedStyle(one).clipPath") == "inset(0px 0px 0px 20%)"
    for zoom in ({"zoom": 1}, {"zoom": 4, "across": 30, "down": 80}):
        _set(place, **zoom, divide=100)
        only_a = _shot(place)
        _set(place, divide=0)
        only_b = _shot(place)
        _set(place, divide=40)
        both = _shot(place)
        line = place.one("#divider").bounding_box()["x"] - place.one(".stage .frame").bounding_box()["x"]
        assert line == pytest.approx(0.4 * both.shape[1], abs=1)
        middle = round(line)
        assert not _same(only_a, only_b)
        assert _same(both[:, : middle - 2], only_a[:, : middle - 2])
        assert _same(both[:, middle + 4 :], only_b[:, middle + 4 :])
    assert place.one("#stage-words").inner_text() == "A, left of the line, and B, right of it"
    place.one("#reset").click()
    _choose(place, "sense", "equal")


def test_flicker_changes_by_itself_and_stops(place: Place) -> None:
    right, words, button = place.one("#image-right"), place.one("#stage-words"), place.one("#swap")
    assert not button.is_visible()
    place.one("input[value=flicker]").check()
    assert not place.one("#divide").is_visible()
    assert not place.one("#divider").is_visible()
    assert right.evaluate("one => one.style.clipPath") == ""
    for seen in ("B", "A"):
        expect(words).to_have_text(seen, timeout=3000)
        assert right.is_visible() == (seen == "B")
    assert button.inner_text() == "Stop"
    button.click()
    assert button.inner_text() == "Flicker"
    # Setting the window is no reason to begin again.
    _set(place, level=60)
    _keeps(place, words.inner_text())
    other = "A" if words.inner_text() == "B" else "B"
    button.click()
    assert button.inner_text() == "Stop"
    expect(words).to_have_text(other, timeout=3000)
    place.one("input[value=slider]").check()
    assert right.is_visible()
    assert right.evaluate("one => getComputedStyle(one).clipPath") == "inset(0px 0px 0px 50%)"
    assert not button.is_visible()
    _keeps(place, "A, left of the line, and B, right of it")
    place.one("#reset").click()


def _keeps(place: Place, words: str) -> None:
    """For longer than the 0.8 s that flicker shows a picture."""
    shown = place.one("#image-right").is_visible()
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        assert place.one("#stage-words").inner_text() == words
        assert place.one("#image-right").is_visible() == shown
        time.sleep(0.1)


def test_side_by_side(place: Place) -> None:
    assert not place.one("#image-beside").is_visible()
    place.one("input[value=beside]").check()
    assert place.one("#image-beside").is_visible()
    assert not place.one("#image-right").is_visible()
    assert not place.one("#divide").is_visible()
    assert place.one("#stage-words").inner_text() == "A"
    boxes = [place.one(selector).bounding_box() for selector in ("#image-left", "#image-beside")]
    for name in ("y", "width", "height"):
        assert boxes[0][name] == pytest.approx(boxes[1][name], abs=1)
    place.one("input[value=slider]").check()
    assert not place.one("#image-beside").is_visible()


def test_level_and_window_do_what_they_say(place: Place) -> None:
    """Grey values on the screen are those of the file, less the level, over the window; errors keep their scale."""
    _set(place, divide=100)
    stored = _decoded(place.one("#image-left").get_attribute("src")) / 255
    errors = _shot(place, ".pane:has(#error-left) .frame")
    for level, width in ((50, 100), (30, 60), (90, 4)):
        _set(place, level=level, width=width)
        part = place.one("#window feFuncG")
        slope, intercept = (float(part.get_attribute(name)) for name in ("slope", "intercept"))
        assert (slope, intercept) == pytest.approx((100 / width, 0.5 - level / width))
        seen = _shot(place)
        y, x = (((np.arange(n) + 0.5) * size / n).astype(int) for n, size in zip(SHAPE, seen.shape, strict=True))
        expected = np.clip((stored - level / 100) * 100 / width + 0.5, 0, 1)
        assert np.abs(seen[np.ix_(y, x)] / 255 - expected).max() < 0.02
    assert _same(_shot(place, ".pane:has(#error-left) .frame"), errors)
    place.one("#reset").click()


VALUES = "() => ['divide', 'level', 'width', 'zoom', 'across', 'down'].map(id => Number(document.getElementById(id).value))"
START = [50, 50, 100, 1, 50, 50]


def test_zoom_and_where_to(place: Place) -> None:
    """The same in all pictures of the patient; reset takes everything back."""
    _set(place, zoom=4, across=25, down=75, divide=90, level=40, width=80)
    box = place.one(".stage .frame").bounding_box()
    for name in ("image-left", "image-right", "truth", "error-left", "error-right"):
        image = place.one(f"#{name}")
        assert image.evaluate("one => getComputedStyle(one).transform") == "matrix(4, 0, 0, 4, 0, 0)"
        origin = image.evaluate("one => getComputedStyle(one).transformOrigin.split(' ').map(parseFloat)")
        size = image.evaluate("one => [one.offsetWidth, one.offsetHeight]")
        assert origin == pytest.approx([0.25 * size[0], 0.75 * size[1]], abs=0.5)
        assert image.locator("..").evaluate("one => getComputedStyle(one).overflow") == "hidden"
    assert place.one("#mask-left").evaluate("one => getComputedStyle(one).transform") == "none"
    assert place.one(".stage .frame").bounding_box() == box
    assert place.frame.evaluate(VALUES) == [90, 40, 80, 4, 25, 75]
    place.one("#reset").click()
    assert place.frame.evaluate(VALUES) == START
    assert place.one("#image-left").evaluate("one => getComputedStyle(one).transform") == "matrix(1, 0, 0, 1, 0, 0)"


def test_the_picture_follows_a_dragging_hand(place: Place) -> None:
    """However slowly: by a pixel or two at a time it moves as far as in one go. A drag that began elsewhere moves nothing."""
    for start, steps in ((".stage .frame", 30), (".stage .frame", 2), ("#seen", 10)):
        _set(place, zoom=3)
        place.one(start).evaluate("one => one.scrollIntoView({ block: 'center', behavior: 'instant' })")
        box, other = place.one(".stage .frame").bounding_box(), place.one(start).bounding_box()
        x, y = other["x"] + box["width"] / 2, other["y"] + other["height"] / 2
        place.page.mouse.move(x, y)
        place.page.mouse.down()
        place.page.mouse.move(x - 60, y + 30, steps=steps)
        if start == "#seen":
            place.page.mouse.move(x - 60, y + 150, steps=steps)
            expected = [50, 50]
        else:
            expected = [50 + 100 * 60 / box["width"] / 2, 50 - 100 * 30 / box["height"] / 2]
        place.page.mouse.up()
        place.page.mouse.move(x, y)
        assert place.frame.evaluate(VALUES)[4:] == pytest.approx(expected, abs=0.2)
        place.one("#reset").click()


def test_what_is_seen_is_told_once(place: Place) -> None:
    """A screen reader hears of another picture, not of every step of a slider."""
    place.frame.evaluate(
        "() => { window.told = 0; new MutationObserver(() => { window.told += 1; })"
        ".observe(document.getElementById('seen'), { childList: true, characterData: true, subtree: true }); }"
    )
    _set(place, level=40, zoom=2, across=10, divide=70)
    place.one("#reset").click()
    assert place.frame.evaluate("window.told") == 0
    _choose(place, "worse", "equal")
    assert place.frame.evaluate("window.told") == 1
    _choose(place, "sense", "equal")


def test_details_open_and_show_their_pictures(place: Place) -> None:
    details = place.one("details")
    assert details.count() == len(CASES) + 1
    for one in details.all():
        assert one.get_attribute("open") is None
        one.locator("summary").click()
        assert one.get_attribute("open") == ""
        sizes = one.locator("img").evaluate_all("all => all.map(one => [one.naturalHeight, one.naturalWidth])")
        assert sizes == [list(SHAPE)] * len(sizes)
        assert _hidden(place, "details[open] :is(img, figcaption, td)") == []
        one.locator("summary").click()
        assert one.get_attribute("open") is None
    assert place.one("details.case").first.locator("figure").count() == 1 + 2 * len(CELLS) + len(CELLS)
    assert place.one("details code").count() == 4 * len(CELLS)


def test_the_methods_are_copied(place: Place) -> None:
    place.one("#copy").click()
    assert place.one("#copied").inner_text() == "Copied."
    place.one("#filter").fill("")
    place.one("#filter").focus()
    place.page.keyboard.press("Control+V")
    assert place.one("#filter").input_value() == place.one("#methods-text").inner_text()
    place.one("#filter").fill("")


CONTROLS = {"a": 12, "metric-0": 3, "legend": len(CELLS), "summary": len(CASES) + 1, "thead": 10, "mode": 3} | dict.fromkeys(
    (
        *("case", "left", "right", "divide", "swap", "level", "width", "zoom", "across", "down", "reset"),
        *("filter", "copy"),
    ),
    1,
)
"""All that can be used, by id, name or place."""


def test_every_control_is_used_above(place: Place) -> None:
    """One that is added has to be added here and there."""
    kinds = place.frame.evaluate(
        """() => [...document.querySelectorAll("*")].filter(one => one.tabIndex >= 0 && !one.matches(".scroll"))
            .map(one => one.id || one.name || ["legend", "thead"].find(at => one.closest(`.${at}, ${at}`)) || one.localName)"""
    )
    assert {kind: kinds.count(kind) for kind in kinds} == CONTROLS


# For everybody ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def show(chromium: Browser, swept: Swept) -> Iterator[Callable[..., Place]]:
    """Opens one of the pages by itself. Nothing may go wrong with it, and it may ask for nothing but itself."""
    shown: list[Place] = []

    def _show(name: str = "page", **settings: Any) -> Place:
        shown.append(_open(chromium, getattr(swept, name).as_uri(), **settings))
        return shown[-1]

    yield _show
    for place in shown:
        place.page.close()
        assert place.faults == []
        assert [request.url for request in place.requests] == [place.url]


PAGES = ("page", "empty", "evil")
OPEN_ALL = "() => document.querySelectorAll('details').forEach(one => { one.open = true; })"


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_that_keeps_anybody_out(show: Callable[..., Place], name: str, scheme: str) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not beside the project: `make test` fetches it with npm")
    place = show(name, color_scheme=scheme)
    place.frame.evaluate(AXE.read_text("utf-8"))
    place.frame.evaluate(OPEN_ALL)
    for width in WIDTHS if name == "page" else WIDTHS[:1]:
        place.page.set_viewport_size({"width": width, "height": 900})
        _axe(place)


def _axe(place: Place) -> None:
    found = place.frame.evaluate("axe.run(document, { resultTypes: ['violations'], preload: false })")
    assert len(found["passes"]) > 10
    said = [f"{one['id']}: {one['help']}: {[node['html'][:200] for node in one['nodes']]}" for one in found["violations"]]
    assert said == []


def test_axe_finds_nothing_in_the_page_as_it_opens(place: Place) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not beside the project: `make test` fetches it with npm")
    place.frame.evaluate(AXE.read_text("utf-8"))
    _axe(place)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_charts_stand_out_from_their_ground(show: Callable[..., Place], scheme: str) -> None:
    """Axe does not look at SVG: 4.5 : 1 for text, 3 : 1 for lines and marks, on paper as in the shade beyond a margin."""
    place = show(color_scheme=scheme)
    names = ["ink", "soft-ink", "paper", "soft", "beyond", "good", "bad", "open", *(f"hue{number}" for number in range(8))]
    read = "names => names.map(name => getComputedStyle(document.documentElement).getPropertyValue('--' + name))"
    colour = dict(zip(names, place.frame.evaluate(read, names), strict=True))
    for ground in ("paper", "soft", "beyond"):
        for name in names:
            if name not in ("paper", "soft", "beyond"):
                least = 4.5 if "ink" in name else 3.0
                assert _contrast(colour[name], colour[ground]) >= least, f"{name} on {ground}"
    used = place.frame.evaluate("() => [...document.querySelectorAll('svg.chart text')].map(one => getComputedStyle(one).fill)")
    assert set(used) == {_rgb(colour["ink"]), _rgb(colour["soft-ink"])}


def _channels(colour: str) -> list[int]:
    return [int(colour.strip()[at : at + 2], 16) for at in (1, 3, 5)]


def _rgb(colour: str) -> str:
    return f"rgb({', '.join(map(str, _channels(colour)))})"


def _contrast(one: str, other: str) -> float:
    """As WCAG 2 defines it."""

    def luminance(colour: str) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in _channels(colour))]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("name", PAGES)
def test_no_page_is_wider_than_its_window(show: Callable[..., Place], name: str) -> None:
    place = show(name)
    modes = place.one("input[name=mode]").all() if name != "empty" else [None]
    place.frame.evaluate(OPEN_ALL)
    for width in WIDTHS:
        place.page.set_viewport_size({"width": width, "height": 900})
        for mode in modes:
            if mode is not None:
                mode.check()
            sizes = place.frame.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
            assert sizes == [width, width]


@pytest.mark.parametrize("name", ["page", "evil"])
def test_no_word_of_a_chart_is_cut_off(show: Callable[..., Place], name: str) -> None:
    place = show(name)
    for radio in range(3 if name == "page" else 1):
        if name == "page":
            place.one(".switch input").nth(radio).check()
        cut = place.frame.evaluate(
            """() => [...document.querySelectorAll("svg.chart text, svg.forest text")].filter(one => {
                const box = one.getBBox(), all = one.ownerSVGElement.viewBox.baseVal;
                return box.x < 0 || box.y < 0 || box.x + box.width > all.width || box.y + box.height > all.height;
            }).map(one => one.textContent)"""
        )
        assert cut == []


STOPS = """() => [...document.querySelectorAll("a, button, input, select, summary, [tabindex='0']")]
    .filter(one => one.checkVisibility() && !(one.type === "radio" && !one.checked))"""


def test_everything_can_be_reached_with_tab_and_has_a_name(show: Callable[..., Place]) -> None:
    place = show()
    session = place.page.context.new_cdp_session(place.page)
    session.send("Accessibility.enable")
    place.frame.evaluate(f"() => {{ window.stops = ({STOPS})(); }}")
    stops = place.frame.evaluate("window.stops.length")
    assert stops > 50
    for number in range(stops):
        place.page.keyboard.press("Tab")
        assert place.frame.evaluate("window.stops.indexOf(document.activeElement)") == number
        focus = session.send("Runtime.evaluate", {"expression": "document.activeElement"})["result"]["objectId"]
        tree = session.send("Accessibility.getPartialAXTree", {"objectId": focus, "fetchRelatives": False})
        node = tree["nodes"][0]
        # A region without a label is none: its name would be all that it holds.
        assert node["role"]["value"] != "generic"
        assert node["name"]["value"].strip()
        assert place.frame.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        box = place.frame.evaluate(
            "(() => { const box = document.activeElement.getBoundingClientRect(); return [box.x, box.width]; })()"
        )
        assert box[0] >= 0, "in the window"
        assert box[1] > 0
    place.page.keyboard.press("Tab")
    assert place.frame.evaluate("window.stops.indexOf(document.activeElement)") == -1
    place.one("input[value=flicker]").check()
    place.page.keyboard.press("Tab")
    assert place.frame.evaluate("document.activeElement.id") == "swap"
    assert place.page.get_by_role("button", name="Stop", exact=True).count() == 1


def test_a_keyboard_does_what_a_mouse_does(show: Callable[..., Place]) -> None:
    place = show(reduced_motion="reduce")
    press = place.page.keyboard.press
    press("Tab")
    assert place.frame.evaluate("document.activeElement.className") == "skip"
    press("Enter")
    assert place.frame.evaluate("document.activeElement.id") == "verdict"
    press("Tab")
    assert place.frame.evaluate("document.activeElement.closest('#verdict .scroll') !== null"), "it goes on from there"
    place.one(".switch input").first.focus()
    press("ArrowRight")
    assert [chart.is_visible() for chart in place.one("figure.trade-off").all()] == [False, True, False]
    place.one(".legend input").first.focus()
    press("Space")
    assert not place.one("figure.trade-off:visible .curve").first.is_visible()
    place.one("#divide").focus()
    press("End")
    assert place.one("#image-right").evaluate("one => getComputedStyle(one).clipPath") == "inset(0px 0px 0px 100%)"
    place.one("#zoom").focus()
    press("End")
    for name, at in (("across", 4), ("down", 5)):
        place.one(f"#{name}").focus()
        press("ArrowRight")
        assert place.frame.evaluate(VALUES)[at] == 51
        press("Home")
        assert place.frame.evaluate(VALUES)[at] == 0
    assert place.one("#image-left").evaluate("one => getComputedStyle(one).transformOrigin") == "0px 0px"
    place.one("#reset").focus()
    press("Enter")
    assert place.frame.evaluate(VALUES) == START
    place.one("#all-cells thead button").first.focus()
    press("Enter")
    press("Space")
    assert place.one("#all-cells th").first.get_attribute("aria-sort") == "descending"
    assert _cells(place) == sorted(CELLS, reverse=True)
    place.one("summary").first.focus()
    press("Enter")
    assert place.one("details").first.locator("img").first.is_visible()


def test_nothing_moves_for_those_who_ask_for_that(show: Callable[..., Place]) -> None:
    """Flicker is a change by hand then."""
    place = show(reduced_motion="reduce")
    assert place.frame.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    place.one("input[value=flicker]").check()
    button = place.one("#swap")
    for seen, other in (("A", "B"), ("B", "A"), ("A", "B")):
        assert button.inner_text() == f"Show {other}"
        assert place.one("#image-right").is_visible() == (seen == "B")
        assert place.one("#stage-words").inner_text() == seen
        button.click()
    _keeps(place, "B")


# Without a script, on paper --------------------------------------------------------------------------------------------


def _hidden(place: Place, selector: str) -> list[str]:
    """What of it nobody can see."""
    return place.one(selector).evaluate_all(
        """all => all.filter(one => {
            const box = one.getBoundingClientRect();
            return !one.checkVisibility({ opacityProperty: true, visibilityProperty: true }) || !box.width || !box.height;
        }).map(one => one.outerHTML.slice(0, 200))"""
    )


def _visible(place: Place, selector: str) -> int:
    return place.one(selector).count() - len(_hidden(place, selector))


def test_without_a_script_everything_is_there(show: Callable[..., Place]) -> None:
    place, other = show(java_script_enabled=False), show()
    other.frame.evaluate(OPEN_ALL)
    for details in place.one("details").all():
        if details.get_attribute("open") is None:
            details.locator("summary").click()
        assert details.get_attribute("open") == ""
    for selector, count in {
        "svg.chart": 3 + len(CELLS) - 1 + 2 * (len(CELLS) - 1),  # the reference saves nothing
        "svg.forest": len(CELLS) - 1,
        "table": 2 * (len(CELLS) - 1) + 4,
        ".gallery img": len(CASES) * (1 + 3 * len(CELLS)),
        ".legend label": len(CELLS),
        "section": 11,
    }.items():
        assert place.one(selector).count() == other.one(selector).count() == count
        assert _hidden(place, selector) == []
    for control in ("#viewer", ".switch", ".filter", "button", "input", "select"):
        assert _visible(place, control) == 0, f"{control} would do nothing"
    for selector in ("table", "section:not(#trade-off, #pictures, #cells, #methods)", "details", ".legend", "#methods-text"):
        texts = [[" ".join(text.split()) for text in shown.one(selector).all_inner_texts()] for shown in (place, other)]
        assert texts[0] == texts[1]
    assert place.one(".gallery img").evaluate_all("all => all.map(one => one.naturalWidth)") == [SHAPE[1]] * 39
    for width in WIDTHS:
        place.page.set_viewport_size({"width": width, "height": 900})
        assert place.frame.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("script", [True, False])
def test_on_paper_is_all_that_is_said_and_nothing_to_click(show: Callable[..., Place], script: bool) -> None:
    place = show(java_script_enabled=script, color_scheme="dark")
    place.page.emulate_media(media="print", color_scheme="dark")
    for control in ("nav", ".skip", "#viewer", ".switch", ".filter", "#copy", "input", "select"):
        assert _visible(place, control) == 0, control
    texts = (
        "h1, h2, h3, h4, p, dt, dd, li, th, td, caption, summary, blockquote, .gallery img, figcaption, svg.chart, .legend label"
    )
    assert _hidden(place, f":is({texts}):not(nav *, #viewer *, .filter, :has(#copy))") == []
    assert place.one("#all-cells thead").inner_text().split()[:3] == ["cell", "R", "scan"]
    body = place.one("body").evaluate("one => [getComputedStyle(one).color, getComputedStyle(one).backgroundColor]")
    assert body == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]
    paper = place.page.pdf(format="A4", print_background=True)
    assert paper.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", paper)) > 3
    # The same mask of another patient is stored once.
    pictures = set(place.one(".gallery img").evaluate_all("all => all.map(one => one.src)"))
    assert len(re.findall(rb"/Subtype\s*/Image", paper)) >= len(pictures) > len(CASES) * 2 * len(CELLS)


# Names that attack -----------------------------------------------------------------------------------------------------


def test_evil_names_stay_text(show: Callable[..., Place]) -> None:
    """Whatever is done to the page: no script, no dialog, no request, no element that other pages lack."""
    place, harmless = show("evil"), show()
    tags = "() => [...new Set([...document.querySelectorAll('*')].map(one => one.localName))]"
    attributes = "() => [...new Set([...document.querySelectorAll('*')].flatMap(one => one.getAttributeNames()))]"

    def inspect() -> None:
        assert place.one("script").count() == 1
        assert place.frame.evaluate("() => [...document.images].every(one => one.src.startsWith('data:image/png;base64,'))")
        assert place.frame.evaluate("() => [...document.links].every(one => one.getAttribute('href').startsWith('#'))")
        assert set(place.frame.evaluate(tags)) <= set(harmless.frame.evaluate(tags))
        assert set(place.frame.evaluate(attributes)) <= set(harmless.frame.evaluate(attributes)) | {"aria-sort", "open"}

    inspect()
    place.frame.evaluate(OPEN_ALL)
    script, path, image = EVIL
    for section, said in {
        **dict.fromkeys(("h1", "#trade-off", "#pictures", "#cells", "#assumed", "#methods"), EVIL),
        **dict.fromkeys(("#verdict", "#patients"), (script, image)),
        "#provenance": (path, image),
        "#all-cells thead": (f"vs {script}",),
        "#all-cells tbody": (f"{path} evil={image}",),
    }.items():
        text = " ".join(place.one(section).inner_text().split())
        assert [one for one in said if one not in text] == [], section
    for select in ("#case", "#left", "#right"):
        for number in range(place.one(f"{select} option").count()):
            place.one(select).select_option(index=number)
    names = place.one("#left option").all_inner_texts()
    assert all(any(name.startswith(f"{one}, {SSIM} ") for name in names) for one in EVIL)
    for radio in place.one("input[type=radio]").all():
        radio.check()
    for button in place.one("button:visible").all():
        button.click()
    place.one("#filter").fill(script.upper())
    assert _cells(place) == [f"{script} evil={image}"]
    inspect()
