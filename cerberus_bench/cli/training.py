"""What `train` shows while it runs."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from cerberus_bench.cli import show

if TYPE_CHECKING:
    from cerberus_bench.workflows.train import TrainProgress


@contextmanager
def watch() -> Iterator["Callable[[TrainProgress], None]"]:
    """A bar with step, loss and rate on stderr; validations are printed above it."""
    columns = (
        TextColumn("step {task.fields[step]}"),
        BarColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("loss {task.fields[loss]:.3f}", style="dim"),
    )
    silent = os.environ.get("RANK", "0") != "0"  # of several processes the first speaks
    with Progress(*columns, console=show.err, transient=True, disable=silent) as progress:
        bar = progress.add_task("", total=1.0, step=0, loss=float("nan"))

        def advance(now: "TrainProgress") -> None:
            progress.update(bar, completed=now.fraction, step=now.step, loss=now.loss)
            if now.validation is not None:
                scores = "  ".join(f"{n} {v:.3f}" for n, v in now.validation.scores.items())
                show.err.print(
                    f"step {now.step:>6}  {now.seconds / 60:5.1f} min"
                    f"  validation {now.validation.score:.4f}  {scores}",
                    soft_wrap=True,
                )

        yield advance
