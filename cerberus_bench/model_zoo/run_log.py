"""What a run writes while it goes on: CSV files, pictures, and the same as TensorBoard events.

A resumed run goes on with all of them; what lies after its checkpoint is dropped.
"""

import csv
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.files import whole

PICTURES, EVENTS = "pictures", "tensorboard"


class RunLog:
    """The one place that a run tells its steps and validations to.

    Args:
        out: folder of the run. It gets `log.csv` with a row a step, `validation.csv` with a row a
            validation, `pictures/step-NNNNNN.png`, and events below `tensorboard/`.
        outputs: outputs of the network.
        after: the last step of the checkpoint that is resumed; 0 starts anew.
        tensorboard: whether to write events.
    """

    def __init__(self, out: Path, outputs: Sequence[str], after: int, *, tensorboard: bool) -> None:
        columns = ["step", "seconds", "learning_rate", "waited", "loss", *outputs]
        self._steps = CsvLog(out / "log.csv", columns, after)
        columns = ["step", "seconds", "score", *outputs, *(f"loss {name}" for name in outputs)]
        self._validations = CsvLog(out / "validation.csv", columns, after)
        self._pictures = out / PICTURES
        _drop_pictures(self._pictures, after)
        self._events = EventLog(out / EVENTS, after) if tensorboard else None

    def step(self, row: Mapping[str, float]) -> None:
        """Write a step; `row` has the columns of `log.csv`, some of the outputs."""
        self._steps.add(row)
        if self._events:
            self._events.add("train", row)

    def validation(self, row: Mapping[str, float], picture: NDArray[np.uint8] | None) -> None:
        """Write a validation, completely: the checkpoint of its step may follow.

        Args:
            row: has the columns of `validation.csv`, some of the outputs.
            picture: (H, W, 3) RGB of what the network makes of a few windows, if any.
        """
        self._validations.add(row)
        step = int(row["step"])
        if picture is not None:
            _write_png(self._pictures / f"step-{step:06d}.png", picture)
        if self._events:
            self._events.add("validation", row)
            if picture is not None:
                self._events.picture("validation", picture, step)
            self._events.flush()

    def close(self) -> None:
        """Write what is left."""
        if self._events:
            self._events.close()


class CsvLog:
    """A CSV file that a resumed run goes on with; rows after its checkpoint are dropped.

    Args:
        path: the file.
        columns: header; the first column is the step.
        after: keep rows up to this step; 0 starts anew.
    """

    def __init__(self, path: Path, columns: list[str], after: int) -> None:
        self._path = path
        self._columns = columns
        rows = []
        if after and path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                rows = [row for row in csv.DictReader(file) if int(row["step"]) <= after]
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)

    def add(self, row: Mapping[str, float]) -> None:
        """Append a row; a column that it lacks stays empty."""
        shown = {
            name: value if isinstance(value, int) else f"{value:.6g}" for name, value in row.items()
        }
        with self._path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self._columns).writerow(shown)


class EventLog:
    """TensorBoard events of a run.

    Args:
        folder: each call of `train` adds a file to it.
        after: readers drop the events after this step that earlier files hold.
    """

    def __init__(self, folder: Path, after: int) -> None:
        # optional, and slow to import
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=after + 1)

    def add(self, group: str, row: Mapping[str, float]) -> None:
        """Write every value of a row, `loss gland.instance` as `<group>/loss/gland.instance`."""
        for name, value in row.items():
            if name != "step":
                tag = f"{group}/{name.replace(' ', '/')}"
                self._writer.add_scalar(tag, value, int(row["step"]))

    def picture(self, name: str, picture: NDArray[np.uint8], step: int) -> None:
        """Write an (H, W, 3) RGB picture."""
        self._writer.add_image(name, picture, step, dataformats="HWC")

    def flush(self) -> None:
        """Have all events in the file, so that none before a checkpoint is lost."""
        self._writer.flush()

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


def use_tensorboard(asked: bool | None) -> bool:
    """Whether to write TensorBoard events: as asked for; if it is installed, when None.

    Raises:
        DataError: they are asked for, and TensorBoard is not installed.
    """
    installed = find_spec("tensorboard") is not None
    if asked and not installed:
        raise DataError(
            "TensorBoard is not installed: pip install 'cerberus-bench[tensorboard]'. Without"
            " --tensorboard a run writes log.csv and validation.csv."
        )
    return installed if asked is None else asked


def _drop_pictures(folder: Path, after: int) -> None:
    for path in folder.glob("step-*.png"):
        number = path.stem.removeprefix("step-")
        if number.isdecimal() and int(number) > after:
            path.unlink()


def _write_png(path: Path, picture: NDArray[np.uint8]) -> None:
    path.parent.mkdir(exist_ok=True)
    _, data = cv2.imencode(".png", picture[..., ::-1])
    with whole(path) as draft:
        draft.write_bytes(data.tobytes())
