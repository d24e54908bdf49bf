"""Labelling pages, measured in a browser; and what proposals save, by a scripted person.

    python benchmarks/labelling.py pages
    python benchmarks/labelling.py strokes folder:PATH --first ten --model ten.casae --out rows.csv

`pages` draws on a picture of 2720 x 2040 px whose label has 300 regions, on the real server, in Debian's chromium.

`strokes` labels the pictures of a dataset that a list does not name, from their true masks. Without proposals each
region is a polygon. With them, what the model found is accepted; then false regions are deleted, missed ones drawn, and
those that overlap too little drawn again. Seconds go by the keystroke-level model (Card, Moran and Newell 1980,
doi:10.1145/358886.358895): a point is pointed at and clicked, a tool is one key, each region is thought of once.
"""

import argparse
import csv
import json
import shutil
import tempfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import httpx2
import numpy as np
from numpy.typing import NDArray

from casae.datasets.registry import open_dataset
from casae.decoding import read_image
from casae.inspection.inspector import Inspector
from service import served

WIDTH, HEIGHT, REGIONS = 2720, 2040, 300
POINT_S, CLICK_S, KEY_S, THINK_S = 1.1, 0.2, 0.28, 1.35  # of the keystroke-level model
SLACK = 1.0  # px that a polygon may differ from the outline
ENOUGH = 0.75  # IoU of a proposal that nobody mends

Mask = NDArray[np.bool_]


@dataclass
class Work:
    """What a person does."""

    strokes: int = 0
    points: int = 0
    keys: int = 0
    thoughts: int = 0

    @property
    def seconds(self) -> float:
        """How long it takes."""
        return self.points * (POINT_S + CLICK_S) + self.keys * KEY_S + self.thoughts * THINK_S

    def polygons(self, region: Mask) -> None:
        """Draw a region: a polygon, one for each of its holes, each closed by a key."""
        outlines, _ = cv2.findContours(region.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        for outline in outlines:
            self.strokes += 1
            self.points += max(3, len(cv2.approxPolyDP(outline, SLACK, closed=True)))
            self.keys += 1

    def click(self) -> None:
        """Click a region, to accept or to delete it."""
        self.strokes += 1
        self.points += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("pages")
    strokes_of = commands.add_parser("strokes")
    strokes_of.add_argument("dataset")
    strokes_of.add_argument("--first", required=True, help="list of the pictures that the model learned from")
    strokes_of.add_argument("--model", required=True)
    strokes_of.add_argument("--out", type=Path, required=True)
    wanted = parser.parse_args()
    if wanted.command == "pages":
        pages()
    else:
        strokes(wanted.dataset, wanted.first, wanted.model, wanted.out)


def strokes(dataset: str, first: str, model: str, out: Path) -> None:
    """Compare work with and without proposals, a row a picture."""
    data = open_dataset(dataset)
    known, inspector = set(data.splits[first]), Inspector(model)
    rows, plain_total, helped_total = [], Work(), Work()
    for sample in data.labelled.samples:
        if sample.name in known:
            continue
        image = read_image(sample.image)
        label = sample.draw(image.shape, len(data.classes))
        inspection = inspector.inspect(image)
        found = np.zeros(label.shape, np.uint8)
        for defect in inspection.defects:
            found[defect.region.at] = 1 + data.classes.index(defect.nearest or defect.name)
        plain, helped = without(label), with_proposals(label, found)
        rows.append([sample.name, plain.strokes, round(plain.seconds, 1), helped.strokes, round(helped.seconds, 1)])
        for total, each in ((plain_total, plain), (helped_total, helped)):
            for name in vars(each):
                setattr(total, name, getattr(total, name) + getattr(each, name))
    with out.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["picture", "strokes", "seconds", "strokes_with_proposals", "seconds_with_proposals"])
        writer.writerows(rows)
    saved = [1 - getattr(helped_total, name) / getattr(plain_total, name) for name in ("strokes", "points", "seconds")]
    print(f"{len(rows)} pictures; without: {plain_total}, {plain_total.seconds:.0f} s")
    print(f"with proposals: {helped_total}, {helped_total.seconds:.0f} s")
    print("saved: strokes {:.0%}, points {:.0%}, seconds {:.0%}".format(*saved))


def without(label: NDArray[np.uint8]) -> Work:
    """Label everything by hand."""
    work = Work()
    for _, region in _regions(label):
        work.thoughts += 1
        work.polygons(region)
    return work


def with_proposals(label: NDArray[np.uint8], found: NDArray[np.uint8]) -> Work:
    """Accept everything, then mend."""
    work = Work(keys=1, thoughts=1, strokes=int(found.any()))
    for _, region in _regions(found):
        if not (label[region] > 0).any():
            work.thoughts += 1
            work.click()  # delete it
    for value, region in _regions(label):
        work.thoughts += 1
        touching = _touching(found > 0, region)
        both = np.count_nonzero(touching & region)
        if both / np.count_nonzero(touching | region) < ENOUGH:
            for _ in range(int(touching.any())):
                work.click()
            work.polygons(region)
        elif np.bincount(found[region & (found > 0)]).argmax() != value:
            work.click()  # give it the right class
    work.keys += 1  # submit
    return work


def _regions(label: NDArray[np.uint8]) -> Iterable[tuple[int, Mask]]:
    for value in np.unique(label[label > 0]):
        count, parts = cv2.connectedComponents((label == value).astype(np.uint8))
        for number in range(1, count):
            yield int(value), parts == number


def _touching(found: Mask, region: Mask) -> Mask:
    _, parts = cv2.connectedComponents(found.astype(np.uint8))
    return np.isin(parts, np.setdiff1d(np.unique(parts[region]), [0]))


def pages() -> None:
    """Brush, submit, weight and start of the pages, as a table."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as place:
        home = Path(place) / "home"
        with served(home) as (url, _), httpx2.Client(base_url=url, timeout=60) as http:
            _make(http)
            with sync_playwright() as driver:
                browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
                told = _measure(browser.new_page(viewport={"width": 1600, "height": 900}), url)
                browser.close()
    print(json.dumps(told, indent=2))


def _make(http: httpx2.Client) -> None:
    """A project with two large pictures, whose labels have many regions."""
    rng = np.random.default_rng(0)
    label = np.zeros((HEIGHT, WIDTH), np.uint8)
    for number in range(REGIONS):
        centre = (40 + 130 * (number % 20), 60 + 130 * (number // 20))
        axes = (int(rng.integers(10, 45)), int(rng.integers(4, 30)))
        cv2.ellipse(label, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1 + number % 3, -1)
    image = (rng.normal(150, 12, label.shape) - 80 * (label > 0)).clip(0, 255).astype(np.uint8)
    data = cv2.imencode(".png", image)[1].tobytes()
    http.post("/api/v1/projects", json={"name": "large", "classes": ["a", "b", "c"]}).raise_for_status()
    for name in ("1", "2"):
        http.post("/api/v1/projects/large/pictures", files={"image": (f"{name}.png", data)}).raise_for_status()
        query = {"version": 0, "x": 0, "y": 0, "width": WIDTH, "height": HEIGHT}
        packed = zlib.compress(label.tobytes())
        http.post(f"/api/v1/projects/large/label/{name}", params=query, content=packed).raise_for_status()


WATCH = """async () => {
    const { Labeller } = await import("/static/labeller.js");
    const { move, paint } = Labeller.prototype;
    window.frames_ms = [];
    let moving = 0;
    Labeller.prototype.move = function (...place) {
        const began = performance.now();
        move.apply(this, place);
        moving += performance.now() - began;
    };
    Labeller.prototype.paint = function (...damage) {
        const began = performance.now();
        paint.apply(this, damage);
        this.canvas.getContext("2d").getImageData(0, 0, 1, 1); // waits until the pixels are drawn
        if (this.working) window.frames_ms.push(moving + performance.now() - began);
        moving = 0;
    };
}"""
WEIGHT = """() => performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation"))
    .filter((each) => !/\\/(view|label|overlay|thumb)\\//.test(new URL(each.name).pathname + "/"))
    .reduce((sum, each) => sum + each.transferSize, 0)"""


def _measure(page: object, url: str) -> dict[str, object]:
    told: dict[str, object] = {}
    from playwright.sync_api import Page

    assert isinstance(page, Page)
    page.goto(f"{url}/")  # the first one, with nothing kept
    page.goto("about:blank")
    for name, path in (("live", "/"), ("label", "/projects/large/label/1"), ("statistics", "/statistics")):
        fresh = page.context.browser.new_page()  # type: ignore[union-attr]
        fresh.goto(url + path, wait_until="load")
        loaded = fresh.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
        fresh.wait_for_timeout(3000)
        told[name] = {"load_ms": round(loaded), "weight_kb": round(fresh.evaluate(WEIGHT) / 1000)}
        fresh.close()
    page.goto(f"{url}/projects/large/label/1")
    page.locator("body[data-ready=true]").wait_for()
    page.evaluate(WATCH)
    box = page.locator("#viewer canvas").bounding_box()
    assert box is not None
    for zoomed in (False, True):
        page.evaluate("window.frames_ms.length = 0")
        if zoomed:
            page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
            for _ in range(6):
                page.mouse.wheel(0, -100)
        for size in (8, 60):
            page.locator("#brush").fill(str(size))
            for row in range(5):
                top = box["y"] + box["height"] * (0.2 + 0.12 * row)
                page.mouse.move(box["x"] + box["width"] * 0.3, top)
                page.mouse.down()
                page.mouse.move(box["x"] + box["width"] * 0.7, top + 30, steps=40)
                page.mouse.up()
        times = np.array(page.evaluate("window.frames_ms"))
        quantiles = {f"p{level}_ms": round(float(np.percentile(times, level)), 1) for level in (50, 95, 99)}
        told["brush zoomed in" if zoomed else "brush, whole picture"] = quantiles | {"frames": len(times)}
    page.wait_for_timeout(1500)
    page.keyboard.press("Enter")
    page.wait_for_timeout(2000)
    submits = page.evaluate("performance.getEntriesByName('submit').map((each) => each.duration)")
    told["submit_ms"] = [round(each) for each in submits]
    return told


if __name__ == "__main__":
    main()
