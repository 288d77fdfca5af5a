import base64
import io
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from result_builders import make_result, make_score

from cerberus_bench.pictures import (
    Example,
    boxes,
    contact_sheet,
    data_uri,
    evaluation_report,
    frame,
    outline,
    overlay,
)
from cerberus_bench.pictures.draw import edges, tint
from cerberus_bench.pictures.examples import (
    INSIDE,
    NOTHING,
    RIGHT,
    WRONG,
    layers,
    picture,
)
from cerberus_bench.pictures.shell import layer_uri
from cerberus_bench.pictures.wording import axis_end, interval_text, value_text, whisker
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.labels import ONTOLOGY, LabelSpace
from cerberus_bench.schema.prediction import PredictedInstances, Prediction
from cerberus_bench.schema.record import Coverage, Instances, Record
from cerberus_bench.schema.report import ScoredPartition
from cerberus_bench.schema.result import Contamination

RED, BLUE = "#ff0000", "#0000ff"
SPACE = LabelSpace("nuclei", ("epithelial", "connective"))
ATTACK = "<img src=x onerror=alert(1)>"


def grey(height: int = 8, width: int = 10) -> np.ndarray:
    return np.full((height, width, 3), 200, np.uint8)


def two_touching() -> np.ndarray:
    labels = np.zeros((8, 10), np.int32)
    labels[1:6, 1:5] = 3
    labels[1:6, 5:9] = 70_000
    return labels


def is_colour(image: np.ndarray, colour: str) -> np.ndarray:
    return (image == np.frombuffer(bytes.fromhex(colour[1:]), np.uint8)).all(axis=2)


def test_touching_objects_get_a_line_each() -> None:
    drawn = outline(grey(), two_touching(), {3: RED, 70_000: BLUE})
    expected = np.array(
        [
            "..........",
            ".RRRRBBBB.",
            ".R..RB..B.",
            ".R..RB..B.",
            ".R..RB..B.",
            ".RRRRBBBB.",
            "..........",
            "..........",
        ]
    )
    letters = np.array([list(row) for row in expected])
    assert np.array_equal(is_colour(drawn, RED), letters == "R")
    assert np.array_equal(is_colour(drawn, BLUE), letters == "B")
    assert (drawn[letters == "."] == 200).all()


def test_a_thicker_line_grows_into_its_object_only() -> None:
    labels = two_touching()
    assert edges(labels, 1).sum() == 2 * 14
    line = edges(labels, thickness=2)
    assert not line[labels == 0].any()
    assert line.sum() == 40  # an object of 5 x 4 px is nowhere deeper than two pixels


def test_an_object_cut_by_the_border_stays_open() -> None:
    labels = np.ones((5, 5), np.int32)
    assert not edges(labels).any()
    labels[:, 3:] = 0
    assert np.array_equal(np.flatnonzero(edges(labels).any(axis=0)), [2])


def test_an_id_without_colour_is_not_drawn_and_the_image_is_not_touched() -> None:
    image = grey()
    drawn = outline(image, two_touching(), {3: RED})
    assert is_colour(drawn, RED).sum() == 14
    assert (drawn != 200).any(axis=2).sum() == 14
    assert (image == 200).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64])
def test_any_integer_label_map_is_drawn(dtype: type) -> None:
    labels = (two_touching() > 0).astype(dtype)
    assert is_colour(outline(grey(), labels, RED), RED).sum() == 22


def test_tint_mixes() -> None:
    drawn = tint(grey(), two_touching(), {3: "#000000"}, opacity=0.5)
    assert (drawn[2, 2] == 100).all()
    assert (drawn[2, 7] == 200).all()


def test_boxes_are_cut_at_the_image_and_do_not_hide_each_other() -> None:
    drawn = boxes(grey(), np.array([[-5, -5, 4, 4], [2, 1, 8, 7.4]]), [RED, BLUE])
    assert is_colour(drawn, RED)[3, 0]
    assert is_colour(drawn, BLUE)[1, 2:8].all()
    assert is_colour(drawn, BLUE).sum() == 2 * 6 + 2 * 4
    assert (boxes(grey(), np.zeros((0, 4)), RED) == 200).all()


def test_frame_surrounds() -> None:
    drawn = frame(grey(), RED, thickness=2)
    assert is_colour(drawn, RED).sum() == 80 - 6 * 4


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(DataError, match="same grid"):
        outline(grey(), np.zeros((3, 3), int), RED)
    with pytest.raises(DataError, match="#rrggbb"):
        outline(grey(), two_touching(), "red")
    with pytest.raises(DataError, match="uint8"):
        outline(grey().astype(float), two_touching(), RED)


def record(**changes: object) -> Record:
    labels = two_touching()
    fields: dict[str, object] = {
        "sample_id": "toy/1",
        "dataset": "toy",
        "record": "1",
        "image": grey(),
        "mpp": 0.5,
        "native_mpp": 0.5,
        "coverage": {"nuclei": Coverage.FULL},
        "group": "toy/1",
        "group_level": "image",
        "instances": {"nuclei": Instances(labels, np.array([3, 70_000]), np.array([1, 0]))},
    }
    return Record(**fields | changes)  # type: ignore[arg-type]


def test_overlay_uses_the_colours_of_the_ontology() -> None:
    truth = record()
    drawn = overlay(truth, truth, "nuclei", SPACE)
    assert is_colour(drawn, ONTOLOGY["nuclei"]["epithelial"].colour).sum() == 14
    assert is_colour(drawn, ONTOLOGY["nuclei"]["cell"].colour).sum() == 14

    objects = PredictedInstances(
        two_touching(), np.array([3, 70_000]), np.array([2, 2]), np.ones(2)
    )
    prediction = Prediction(sample_id="toy/1", instances={"nuclei": objects})
    drawn = overlay(truth, prediction, "nuclei", SPACE)
    assert is_colour(drawn, ONTOLOGY["nuclei"]["connective"].colour).sum() == 28


def test_overlay_draws_boxes_points_and_tissue() -> None:
    corners = np.array([[1, 1, 5, 5]], np.float32)
    truth = record(instances={}, signet_ring=corners, tissue=1, points=np.array([[5.0, 4.0]]))
    ring = LabelSpace("signet_ring", ("signet_ring_cell",))
    drawn = overlay(truth, truth, "signet_ring", ring)
    assert is_colour(drawn, ONTOLOGY["signet_ring"]["signet_ring_cell"].colour).sum() == 12
    tissue = LabelSpace("tissue", ("stroma", "debris"))
    assert is_colour(overlay(truth, truth, "tissue", tissue), ONTOLOGY["tissue"]["debris"].colour)[
        0
    ].all()
    prediction = Prediction(sample_id="toy/1", tissue=np.array([0.9, 0.1]))
    assert is_colour(
        overlay(truth, prediction, "tissue", tissue), ONTOLOGY["tissue"]["stroma"].colour
    )[0].all()
    assert is_colour(
        overlay(truth, truth, "nuclei", SPACE), ONTOLOGY["nuclei"]["cell"].colour
    ).any()


def test_overlay_refuses_what_is_not_there() -> None:
    truth = record()
    with pytest.raises(DataError, match="gland is not annotated on toy/1"):
        overlay(truth, truth, "gland", LabelSpace("gland", ("gland",)))
    with pytest.raises(DataError, match="tissue is not predicted for toy/1"):
        overlay(truth, Prediction(sample_id="toy/1"), "tissue", LabelSpace("tissue", ("stroma",)))


def test_contact_sheet_places_images_in_rows() -> None:
    images = [np.full((10, 20, 3), value, np.uint8) for value in (0, 50, 100)]
    sheet = contact_sheet(images, 2)
    assert sheet.shape == (2 * 18 + 8, 2 * 28 + 8, 3)
    assert (sheet[8:18, 36:56] == 50).all()
    assert (sheet[26:36, 8:28] == 100).all()
    assert (sheet[26:36, 36:] == 255).all()


def test_contact_sheet_writes_captions_within_their_cell() -> None:
    images = [np.zeros((10, 60, 3), np.uint8)] * 2
    sheet = contact_sheet(images, 2, ["short", "a very long caption that does not fit\nat all"])
    ink = (sheet[20:] < 128).any(axis=2)
    assert ink[:, 8:68].any()
    assert ink[:, 76:136].any()
    assert not ink[:, 69:75].any()
    assert not ink[:, 137:].any()


def test_contact_sheet_refuses_nonsense() -> None:
    with pytest.raises(DataError, match="empty"):
        contact_sheet([], 2)
    with pytest.raises(DataError, match="1 captions for 2 images"):
        contact_sheet([grey()] * 2, 2, ["one"])


@pytest.mark.parametrize("lossless", [True, False])
def test_data_uri_is_an_image(lossless: bool) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    head, _, body = data_uri(noise, lossless=lossless).partition(";base64,")
    assert head == ("data:image/png" if lossless else "data:image/jpeg")
    decoded = np.asarray(Pillow.open(io.BytesIO(base64.b64decode(body))))
    assert decoded.shape == noise.shape
    assert not lossless or np.array_equal(decoded, noise)


def example(**changes: object) -> Example:
    fields: dict[str, object] = {
        "task": "nuclei",
        "sample_id": "toy/1",
        "group": "toy/g",
        "score": 0.25,
        "rank": "worst",
        "image": grey(),
        "truth": two_touching(),
        "prediction": two_touching(),
    }
    return Example(**fields | changes)  # type: ignore[arg-type]


def test_layers_tell_matched_missed_and_spurious_apart() -> None:
    shown = example(missed=(70_000,), spurious=(3,))
    truth, prediction = layers(shown)
    assert truth.shape == prediction.shape
    assert picture(shown).shape == grey().shape  # small images are enlarged by the browser
    scale = truth.shape[0] // 8
    assert 384 <= max(truth.shape) <= 768
    left, right = np.s_[:, : 5 * scale], np.s_[:, 5 * scale :]
    assert set(np.unique(truth[left])) == {NOTHING, RIGHT}
    assert set(np.unique(truth[right])) == {NOTHING, WRONG, INSIDE}
    assert set(np.unique(prediction[left])) == {NOTHING, WRONG, INSIDE}
    assert set(np.unique(prediction[right])) == {NOTHING, RIGHT}
    assert truth[3 * scale, 7 * scale] == INSIDE
    errors = np.kron(two_touching() == 70_000, np.ones((scale, scale))) > 0
    assert np.array_equal(truth >= WRONG, errors)


def test_large_images_and_their_layers_shrink() -> None:
    large = np.zeros((1600, 800), np.int32)
    large[100:900, 100:500] = 1
    shown = example(image=np.full((1600, 800, 3), 9, np.uint8), truth=large, prediction=large)
    assert picture(shown).shape == (768, 384, 3)
    assert {layer.shape for layer in layers(shown)} == {(768, 384)}
    assert (layers(shown)[0] == RIGHT).any()


def test_layers_of_boxes() -> None:
    found = np.array([[1.0, 1, 4, 4], [5, 1, 9, 6]])
    shown = example(task="signet_ring", truth=found, prediction=found[:0], missed=(1,))
    truth, prediction = layers(shown)
    scale = truth.shape[0] // 8
    assert truth[scale, scale] == RIGHT
    assert truth[scale, 5 * scale] == WRONG
    assert set(np.unique(truth)) == {NOTHING, RIGHT, WRONG}
    assert not prediction.any()


def test_tissue_has_a_small_picture_and_no_layers() -> None:
    patch = example(task="tissue", image=grey(300, 300), truth=None, prediction=None)
    assert max(picture(patch).shape) == 224
    assert layers(patch) == ()


def test_layer_uri_keeps_values_and_opacities() -> None:
    layer = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
    head, _, body = layer_uri(layer, ((RED, 1), (BLUE, 0.4))).partition(";base64,")
    assert head == "data:image/png"
    drawn = np.asarray(Pillow.open(io.BytesIO(base64.b64decode(body))).convert("RGBA"))
    colours = np.array([[0, 0, 0, 0], [255, 0, 0, 255], [0, 0, 255, 102]])
    assert np.array_equal(drawn, colours[layer])


def test_example_needs_its_parts() -> None:
    with pytest.raises(DataError, match="needs truth and prediction"):
        example(prediction=None)
    with pytest.raises(DataError, match="is no task"):
        example(task="nuclie")


def test_wording() -> None:
    assert value_text(make_score(value=0.61249)) == "0.612"
    assert value_text(make_score(value=12.34, unit="um")) == "12.3 µm"
    assert value_text(make_score(value=None)) == "undefined"
    assert interval_text(make_score(low=0.1, high=0.25)) == "0.100 to 0.250"
    assert value_text(make_score(metric="false_positive_score", value=87.25)) == "87.2"
    assert interval_text(make_score(low=None, high=None)) == ""


def test_whiskers_lie_on_their_axis() -> None:
    ratio = make_score(value=0.4, low=0.3, high=0.5)
    length = make_score(metric="object_hausdorff", unit="um", value=20.0, low=10.0, high=40.0)
    pixels = make_score(metric="object_hausdorff", unit="px", value=99.0)
    assert axis_end(ratio, [ratio, length]) == 1.0
    assert axis_end(length, [ratio, length, pixels]) == 40.0
    assert axis_end(make_score(metric="false_positive_score", value=87.0), []) == 100.0
    assert axis_end(make_score(unit="um", value=0.0, low=0.0, high=0.0), []) == 1.0
    drawn = whisker(length, 40.0)
    assert drawn is not None
    assert (drawn.low, drawn.value, drawn.high) == (0.25, 0.5, 1.0)
    negative = whisker(make_score(metric="r2", value=-0.5, low=-9.0, high=0.5), 1.0)
    assert negative is not None
    assert (negative.low, negative.value, negative.high) == (0.0, 0.0, 0.5)
    assert whisker(make_score(value=None), 1.0) is None


class Page(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_data(self, data: str) -> None:
        if "style" not in self.open[-1:]:
            self.text.append(data)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def report_page(tmp_path: Path, examples: list[Example] | None = None, **changes: object) -> Page:
    scores = [
        make_score(n_undefined=2, counts={"tp": 1}),
        make_score(metric="aji_plus", headline=False, convention="exact", averaging="image_mean"),
        make_score(class_name="epithelial", headline=False),
        make_score("gland", "object_hausdorff", unit="um", value=31.5, low=20.0, high=45.0),
        make_score("lumen", "pq", value=None, low=None, high=None),
    ]
    result = make_result(*scores, **changes)  # type: ignore[arg-type]
    out = evaluation_report(result, examples or [], tmp_path / "new folder" / "report.html")
    assert [path.name for path in out.parent.iterdir()] == ["report.html"]
    return Page(out.read_text(encoding="utf-8"))


def test_report_tells_what_was_scored(tmp_path: Path) -> None:
    page = report_page(
        tmp_path,
        report={
            "not_predicted": ["signet_ring"],
            "not_annotated": ["tissue"],
            "partitions": {
                "nuclei": ScoredPartition(
                    classes=["epithelial"],
                    truth_only=["mitotic"],
                    prediction_only=["dead"],
                    n_truth_excluded=7,
                )
            },
        },
        contamination=Contamination(status="contaminated", shared=["toy/g1"], reason="Seen."),
    )
    for part in (
        "contaminated: training data shared",
        "Shared: toy/g1.",
        "synthetic data",
        "fewer than 10 groups",
        "single-task model",
        "Annotated, but not predicted by this model: Signet ring cells",
        "Predicted, but not annotated in this data: Tissue",
        "Classes scored: Epithelial. In the data only: Mitotic (7 objects",
        "In the model only: Dead",
        "AJI+ 0.400 0.300 to 0.500 exact mean of images 4 4 * 8 0",
        "31.5 µm",
        "undefined",
        "cdcdcd",
        "0123abc",
    ):
        assert part in page.words, part


def test_report_puts_headlines_first(tmp_path: Path) -> None:
    words = report_page(tmp_path).words
    nuclei = words[words.index("95 % interval") :]
    assert nuclei.index("Headline") < nuclei.index("Further scores") < nuclei.index("By class")


def test_report_shows_examples_side_by_side(tmp_path: Path) -> None:
    examples = [
        example(missed=(3,)),
        example(rank="best", sample_id="toy/2", score=None),
        example(
            task="tissue",
            sample_id="toy/3",
            truth=None,
            prediction=None,
            truth_class="stroma",
            predicted_class="debris",
            probability=0.814,
        ),
    ]
    page = report_page(tmp_path, examples)
    shown = Counter(tag for tag, _ in page.tags)
    pictures, lines, insides = 3, 2 * 2, 1
    assert shown["image"] == pictures + lines + insides
    panels, toggled = 2 * 3 + 1, 2 * 2
    assert shown["use"] == panels + toggled
    ids = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    used = {attrs["href"] for tag, attrs in page.tags if tag == "use"}
    assert used <= {f"#{name}" for name in ids}
    toggles = "on the image: truth prediction"
    assert f"0.250 toy/1 group toy/g 1 missed, 0 spurious {toggles} image truth" in page.words
    assert "undefined toy/2 group toy/g" in page.words
    assert "✗ wrong Stroma, predicted Debris (0.81) toy/3, group toy/g" in page.words
    assert page.words.index("Worst images") < page.words.index("Best images")


def test_a_sample_of_several_tasks_stands_in_the_page_once(tmp_path: Path) -> None:
    page = report_page(tmp_path, [example(task=task) for task in ("nuclei", "gland", "lumen")])
    pictures = [a for t, a in page.tags if t == "image" and str(a["id"]).startswith("picture")]
    assert len(pictures) == 1


def test_report_needs_no_network_and_runs_no_code(tmp_path: Path) -> None:
    page = report_page(tmp_path, [example()])
    assert not [
        tag for tag, _ in page.tags if tag in ("script", "link", "iframe", "object", "base")
    ]
    for _, attrs in page.tags:
        assert not [name for name in attrs if name.startswith("on")]
        for name in ("src", "href"):
            assert (attrs.get(name) or "#").startswith(("data:image/", "#"))
    html = (tmp_path / "new folder" / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|url\(|@import", html)


def test_strangers_names_stay_text(tmp_path: Path) -> None:
    breakout = '"><script>alert(1)</script>'
    page = report_page(
        tmp_path,
        [
            example(sample_id=breakout, group=ATTACK),
            example(task="tissue", truth_class=ATTACK, predicted_class=breakout),
        ],
        name=ATTACK,
        data={"name": breakout, "split": ATTACK},
        report={
            "scores": [
                make_score(metric=ATTACK, convention=ATTACK, unit=ATTACK),
                make_score(task=breakout, class_name=ATTACK),
            ],
            "partitions": {
                breakout: ScoredPartition(classes=[ATTACK], truth_only=[], prediction_only=[])
            },
        },
        contamination=Contamination(status="unknown", shared=[], reason=ATTACK),
        provenance={ATTACK: breakout},
        created_utc=ATTACK,
    )
    assert ATTACK in page.words
    tags = {tag for tag, _ in page.tags}
    assert "script" not in tags
    assert "img" not in tags
    assert all(
        (attrs["href"] or "").startswith("data:image/")
        for tag, attrs in page.tags
        if tag == "image"
    )
    assert not [n for _, attrs in page.tags for n in attrs if n.startswith("on")]
