"""Windows cover every pixel exactly once, and what is pieced together is what the network saw."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from cerberus_bench.model_zoo import create
from cerberus_bench.model_zoo.backends import TorchNetwork
from cerberus_bench.model_zoo.checkpoint import LoadedModel, make_card, wrap_module
from cerberus_bench.model_zoo.options import RunOptions
from cerberus_bench.model_zoo.runner import predict_image, run_model, tissue_probabilities
from cerberus_bench.model_zoo.tiling import Tiling, cut_windows, pad_to_stride, plan_windows
from cerberus_bench.schema.errors import DataError

SMALL = Tiling(window_px=64, margin_px=8)
CLASSES = {"nuclei": 6, "gland": 2, "lumen": 1}


class ReadsColours(nn.Module):
    """A network that knows its image: red / 10 is the instance channel, green / 10 the type."""

    def __init__(self, tasks: tuple[str, ...] = ("nuclei", "gland", "lumen")) -> None:
        super().__init__()
        self.tasks = tasks
        self.weight = nn.Parameter(torch.zeros(1))
        self.sides: list[tuple[int, int]] = []

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        self.sides.append((image.shape[2], image.shape[3]))
        assert not self.training
        logits = {}
        for task in self.tasks:
            logits[f"{task}.instance"] = self._one_hot(image[:, 0], 3)
            if task != "lumen":
                logits[f"{task}.type"] = self._one_hot(image[:, 1], CLASSES[task] + 1)
        return logits

    def _one_hot(self, plane: Tensor, n: int) -> Tensor:
        values = (plane / 10).round().clamp(0, n - 1).long()
        return 20 * nn.functional.one_hot(values, n).permute(0, 3, 1, 2).float()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 300),
    st.integers(1, 300),
    st.sampled_from([(64, 8), (64, 0), (96, 40), (48, 23)]),
    st.booleans(),
)
def test_every_pixel_is_kept_exactly_once(
    height: int, width: int, sides: tuple[int, int], fit: bool
) -> None:
    tiling = Tiling(*sides, fit=fit)
    windows = plan_windows((height, width), tiling)
    count = np.zeros((height, width), int)
    for window in windows:
        count[window.kept] += 1
        rows, columns = window.kept
        assert rows.start - window.y == columns.start - window.x == tiling.margin_px
        assert rows.stop + tiling.margin_px <= window.y + window.height
        assert columns.stop + tiling.margin_px <= window.x + window.width
        assert window.height % 16 == window.width % 16 == 0
        assert max(window.height, window.width) <= tiling.window_px
        assert window.area == count[window.kept].size
    assert (count == 1).all()
    assert len({(w.height, w.width) for w in windows}) == 1


def test_the_published_layout() -> None:
    """448 px windows that keep 144: a 500 px image takes 4 x 4, the last 68 px wide."""
    windows = plan_windows((500, 500), Tiling(448, 152))
    assert len(windows) == 16
    assert (windows[5].y, windows[5].x) == (144 - 152, 144 - 152)
    assert windows[5].kept == (slice(144, 288), slice(144, 288))
    assert windows[15].kept == (slice(432, 500), slice(432, 500))
    assert (windows[15].height, windows[15].width) == (448, 448)


def test_fitted_windows_are_no_larger_than_needed() -> None:
    """961 px in windows that keep up to 608: two of 481 -> 480 + 128 rounds up to 624."""
    windows = plan_windows((961, 100), Tiling(736, 64, fit=True))
    assert [(w.height, w.width) for w in windows] == [(624, 240), (624, 240)]
    assert windows[1].kept == (slice(496, 961), slice(0, 100))


def test_windows_continue_the_image_by_reflection() -> None:
    image = np.arange(40 * 50, dtype=np.uint8).reshape(40, 50, 1).repeat(3, axis=2)
    batches = list(cut_windows(image, plan_windows((40, 50), SMALL), batch_size=1))
    assert [pixels.shape for _, pixels in batches] == [(1, 64, 64, 3), (1, 64, 64, 3)]
    pixels = batches[0][1][0]
    np.testing.assert_array_equal(pixels[8:48, 8:56], image[:, :48])
    np.testing.assert_array_equal(pixels[7, 8:56], image[1, :48])
    np.testing.assert_array_equal(pixels[48, 8:56], image[38, :48])


def test_impossible_tilings_are_refused() -> None:
    for window, margin in ((100, 10), (64, 32), (64, -1)):
        with pytest.raises(DataError, match="cannot tile"):
            Tiling(window, margin)
    with pytest.raises(DataError, match="nothing to predict"):
        plan_windows((0, 5), SMALL)


def test_padding_to_the_stride() -> None:
    assert pad_to_stride(np.zeros((32, 48, 3), np.uint8)).shape == (32, 48, 3)
    assert pad_to_stride(np.zeros((33, 1, 3), np.uint8)).shape == (48, 16, 3)


@pytest.mark.parametrize("shape", [(1, 1), (5, 70), (64, 64), (131, 97)])
@pytest.mark.parametrize("batch_px", [1, 2**20])
def test_pieced_maps_are_what_the_network_says_of_each_pixel(
    shape: tuple[int, int], batch_px: int
) -> None:
    image = np.random.default_rng(0).integers(0, 70, (*shape, 3), dtype=np.uint8)
    network = TorchNetwork(ReadsColours())
    maps = run_model(network, image, ["nuclei.type", "lumen.instance"], SMALL, batch_px=batch_px)
    assert list(maps) == ["nuclei.type", "lumen.instance"]
    for name, plane in (("nuclei.type", 1), ("lumen.instance", 0)):
        n_classes = maps[name].shape[2]
        expected = np.clip(np.rint(image[..., plane] / np.float32(10)), 0, n_classes - 1)
        assert maps[name].dtype == np.float32
        np.testing.assert_array_equal(maps[name].argmax(axis=2), expected)


def test_a_real_network_agrees_with_one_window_over_the_whole_image() -> None:
    torch.manual_seed(0)
    model = create("single-lumen-tiny").eval()
    with torch.no_grad():  # without the statistics of any image, its logits are tens and hundreds
        model.get_parameter("heads.lumen_instance.logits.weight").mul_(0.1)
    image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    network = TorchNetwork(model)
    one = run_model(network, image, ["lumen.instance"], Tiling(256, 0))["lumen.instance"]
    with torch.inference_mode():
        logits = model(torch.from_numpy(image).permute(2, 0, 1)[None].float())["lumen.instance"]
    expected = logits.softmax(dim=1)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(one, expected, atol=1e-5)
    np.testing.assert_allclose(one.sum(axis=2), 1, atol=1e-6)
    low = TorchNetwork(model, "bf16")
    half = run_model(low, image, ["lumen.instance"], Tiling(256, 0))
    assert half["lumen.instance"].dtype == np.float32
    np.testing.assert_allclose(half["lumen.instance"], one, atol=0.05)


def painted(height: int, width: int) -> NDArray[np.uint8]:
    """A gland with a lumen inside (both read from the same plane), and one nucleus-sized dot."""
    image = np.zeros((height, width, 3), np.uint8)
    image[20:60, 20:60, :2] = 10
    image[80:86, 10:17, 0] = 10
    image[80:86, 10:17, 1] = 30
    return image


def loaded_reader(*tasks: str, mpp: float = 0.5) -> LoadedModel:
    model = ReadsColours(tasks or ("nuclei", "gland", "lumen"))
    model.mpp = mpp  # type: ignore[assignment]
    return wrap_module("reader", model)


def test_prediction_of_a_painted_image() -> None:
    prediction = predict_image(loaded_reader(), painted(100, 120), 0.5, sample_id="a/1")
    assert prediction.sample_id == "a/1"
    assert prediction.tasks == ("nuclei", "gland", "lumen")
    nuclei = prediction.instances["nuclei"]
    assert nuclei.ids.tolist() == [1, 2]
    assert nuclei.classes.tolist() == [1, 3]
    assert (nuclei.scores > 0.99).all()
    assert nuclei.labels[82, 13] == 2
    gland = prediction.instances["gland"]
    assert gland.ids.tolist() == [1]
    assert gland.classes.tolist() == [1]
    assert gland.labels[57, 64] == 1  # dilated beyond what was painted
    lumen = prediction.instances["lumen"]
    assert lumen.classes.tolist() == [1]
    assert (gland.labels[lumen.labels > 0] > 0).all()


def test_lumina_do_not_depend_on_which_tasks_are_asked_for() -> None:
    image = painted(100, 120)
    image[20:36, 90:106, 0] = 10  # large enough for a lumen, too small for a gland
    both = predict_image(loaded_reader(), image, 0.5)
    alone = predict_image(loaded_reader(), image, 0.5, tasks=["lumen"])
    single = predict_image(loaded_reader("lumen"), image, 0.5)
    assert alone.tasks == ("lumen",)
    np.testing.assert_array_equal(alone.instances["lumen"].labels, both.instances["lumen"].labels)
    assert len(alone.instances["lumen"].ids) == 1
    assert len(single.instances["lumen"].ids) == 2


@pytest.mark.parametrize(("mpp", "model_mpp"), [(0.25, 0.5), (0.5, 0.25), (0.62005, 0.5)])
def test_objects_come_back_on_the_grid_of_the_image(mpp: float, model_mpp: float) -> None:
    image = painted(100, 120).repeat(2, axis=0).repeat(2, axis=1)
    prediction = predict_image(
        loaded_reader("nuclei", mpp=model_mpp), image, mpp, options=RunOptions(mode="fast")
    )
    nuclei = prediction.instances["nuclei"]
    assert nuclei.labels.shape == image.shape[:2]
    assert nuclei.ids.tolist() == [1, 2]
    rows, columns = np.nonzero(nuclei.labels == 2)
    assert abs(rows.mean() - 165.5) < 1
    assert abs(columns.mean() - 26.5) < 1


def test_empty_image_gives_empty_tasks() -> None:
    prediction = predict_image(loaded_reader(), np.zeros((40, 50, 3), np.uint8), 0.5)
    for found in prediction.instances.values():
        assert found.labels.shape == (40, 50)
        assert found.labels.max() == 0
        assert len(found.ids) == len(found.classes) == len(found.scores) == 0


def test_asking_for_a_task_that_the_model_lacks() -> None:
    with pytest.raises(DataError, match=r"reader does not predict tissue.*nuclei, gland"):
        predict_image(loaded_reader(), painted(100, 120), 0.5, tasks=["tissue"])


@pytest.mark.parametrize("shape", [(224, 224), (30, 50), (150, 300)])
def test_tissue_probabilities(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    model = create("single-tissue-tiny").eval()
    image = np.full((*shape, 3), 180, np.uint8)
    probabilities = tissue_probabilities(TorchNetwork(model), image)
    assert probabilities.shape == (9,)
    assert probabilities.sum() == pytest.approx(1)


def test_options_choose_the_windows() -> None:
    model = create("cerberus-tiny")
    published = make_card(create("cerberus-resnet34"), "cerberus-resnet34")
    assert (published.window_px, published.margin_px) == (448, 152)
    loaded = loaded_reader()
    assert RunOptions().tiling(loaded) == Tiling(640, 64)
    assert RunOptions(mode="fast").tiling(loaded) == Tiling(736, 64, fit=True)
    assert make_card(model, "cerberus-tiny").window_px == 640
