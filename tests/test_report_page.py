"""The report of an evaluation in a real browser: what is drawn, and what the boxes toggle."""

import base64
import io
from collections.abc import Iterator

import numpy as np
import pytest
from headless import Page, find_chromium
from PIL import Image as Pillow
from result_builders import make_result, make_score
from test_pictures import example

from cerberus_bench.pictures import evaluation_report
from cerberus_bench.pictures.draw import rgb
from cerberus_bench.pictures.examples import INSIDE_OPACITY, MATCHED, MISSED, SPURIOUS

SIDE = 400
GREY = 200
MARGIN = 10
TOLERANCE = 12
"""Of a colour, after WebP and the browser's resampling."""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    executable = find_chromium()
    if executable is None:
        pytest.skip("no Chromium on the path; on Debian: apt-get install chromium")
    labels = np.zeros((SIDE, SIDE), np.int32)
    labels[50:200, 50:150] = 1
    labels[50:200, 250:350] = 2
    shown = example(
        task="gland",
        image=np.full((SIDE, SIDE, 3), GREY, np.uint8),
        truth=labels,
        prediction=labels,
        missed=(2,),
        spurious=(2,),
    )
    folder = tmp_path_factory.mktemp("report")
    evaluation_report(make_result(make_score("gland")), [shown], folder / "report.html")
    with Page(executable, tmp_path_factory.mktemp("profile")) as opened:
        opened.open((folder / "report.html").as_uri())
        yield opened


def panel(page: Page, number: int) -> np.ndarray:
    """A panel as it is shown, without its rounded corners: 0 image, 1 truth, 2 prediction."""
    place = page.run(
        f"(r => [r.x + scrollX, r.y + scrollY, r.width, r.height])"
        f"(document.querySelectorAll('.panels svg')[{number}].getBoundingClientRect())"
    )
    clip = {**dict(zip(("x", "y", "width", "height"), place, strict=True)), "scale": 1}
    answer = page.call(
        "Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip
    )
    shot = Pillow.open(io.BytesIO(base64.b64decode(answer["data"]))).convert("RGB")
    return np.asarray(shot.resize((SIDE, SIDE)), float)[MARGIN:-MARGIN, MARGIN:-MARGIN]


def near(pixels: np.ndarray, colour: str) -> np.ndarray:
    return np.abs(pixels - np.array(rgb(colour))).max(axis=2) <= 4 * TOLERANCE


def tinted(colour: str) -> np.ndarray:
    return INSIDE_OPACITY * np.array(rgb(colour)) + (1 - INSIDE_OPACITY) * GREY


def test_errors_are_tinted_and_outlined_and_matches_outlined(page: Page) -> None:
    for number, colour in ((1, MISSED), (2, SPURIOUS)):
        shown = panel(page, number)
        assert np.abs(shown[90, 290] - tinted(colour)).max() <= TOLERANCE
        assert np.abs(shown[90, 90] - GREY).max() <= TOLERANCE
        assert near(shown, colour)[30:200, 230:350].any()
        assert near(shown, MATCHED)[30:200, 30:150].any()
        assert not near(shown, MATCHED)[:, 190:].any()


def test_lines_are_laid_over_the_image_on_demand(page: Page) -> None:
    plain = panel(page, 0)
    assert np.abs(plain - GREY).max() <= TOLERANCE
    for side, colour in (("truth", MISSED), ("prediction", SPURIOUS)):
        page.run(f"document.querySelector('.show-{side}').click()")
        shown = panel(page, 0)
        assert near(shown, colour)[30:200, 230:350].any()
        assert np.abs(shown[90, 290] - GREY).max() <= TOLERANCE  # no tint hides the tissue
        page.run(f"document.querySelector('.show-{side}').click()")
    assert np.abs(panel(page, 0) - plain).max() == 0


def test_nothing_is_fetched_and_nothing_complains(page: Page) -> None:
    assert page.complaints == []
    assert [a for a in page.requests if not a.startswith(("data:", "file:"))] == []
