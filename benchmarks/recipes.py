"""`python -m benchmarks.recipes --data DIR,DIR`: ways to train, at equal steps from equal seeds.

Each trains cerberus-tiny on small batches and is judged by its losses on the validation split; no
test split is opened. A run that is in `--out` is not made again, and one that was stopped goes on.
"""

import argparse
import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from rich.progress import Progress

from benchmarks.inputs import Changes, changed
from cerberus_bench.model_zoo.recipe import load_recipe
from cerberus_bench.model_zoo.run_facts import TrainConfig, TrainProgress
from cerberus_bench.model_zoo.training import CHECKPOINT, train
from cerberus_bench.workflows.data import open_data

SMALL: Changes = {
    "batches": {"size": 4, "crop": 192, "patches": 4, "patch_crop": 160},
    "optimiser": {"learning_rate": 2e-3},
    "schedule": {"validations": 2, "validation_windows": 64},
}
"""What all have in common: minutes a run."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to train."""

    said: str
    changes: Changes


def ways() -> dict[str, Way]:
    """Name of its folders -> way."""
    paper, quick = load_recipe("cerberus-paper"), load_recipe("quick")
    optimiser, schedule = paper.optimiser.model_dump(), paper.schedule.model_dump()
    steps = {"warmup", "shape", "final", "drops"}
    return {
        "default": Way("AdamW at 2e-3, one cosine, the rest as `default`", {}),
        "paper": Way(
            "as the paper: Adam at 1e-3, step decay",
            {"optimiser": optimiser, "schedule": {name: schedule[name] for name in steps}},
        ),
        "lr1": Way("AdamW at 1e-3", {"optimiser": {"learning_rate": 1e-3}}),
        "lr4": Way("AdamW at 4e-3", {"optimiser": {"learning_rate": 4e-3}}),
        "noema": Way("no moving average", {"optimiser": {"ema_decay": 0.0}}),
        "nostain": Way("no stain augmentation", {"augmentation": {"stain": 0.0}}),
        "light": Way(
            "the light augmentation of `quick`", {"augmentation": quick.augmentation.model_dump()}
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recipes", description=__doc__)
    parser.add_argument("--data", default="phantom", help="names or folders, between commas")
    parser.add_argument("--tasks", default="nuclei,gland", help="between commas")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/recipes"))
    given = parser.parse_args()
    base = changed(load_recipe("default"), SMALL).with_steps(given.steps)
    losses: dict[str, list[dict[str, float]]] = {}
    for name, way in ways().items():
        for seed in range(given.seeds):
            config = TrainConfig(
                architecture="cerberus-tiny",
                tasks=tuple(given.tasks.split(",")),
                recipe=changed(base, way.changes).model_copy(update={"name": name}),
                seed=seed,
            )
            found = run(config, given.data.split(","), given.out / f"{name}-s{seed}")
            losses.setdefault(name, []).append(found)
    show(losses)


def run(config: TrainConfig, data: list[str], out: Path) -> dict[str, float]:
    """Train, or go on, and tell the losses on the validation split at the end, by output."""
    seen = validations(out)
    if not seen or int(seen[-1]["step"]) < config.recipe.schedule.steps:
        fit(config, data, out)
    return {
        name.removeprefix("loss "): float(value)
        for name, value in validations(out)[-1].items()
        if name.startswith("loss ") and value
    }


def validations(out: Path) -> list[dict[str, str]]:
    log = out / "validation.csv"
    if not log.exists():
        return []
    with log.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def fit(config: TrainConfig, data: list[str], out: Path) -> None:
    learnt, validated = (
        [open_data(name, split=split) for name in data] for split in ("train", "validation")
    )
    with Progress() as progress:
        task = progress.add_task(out.name, total=config.recipe.schedule.steps)

        def tell(now: TrainProgress) -> None:
            progress.update(task, completed=now.step)

        resume = (out / CHECKPOINT).exists()
        train(config, learnt, validated, out, resume=resume, on_progress=tell)


def show(losses: Mapping[str, list[dict[str, float]]]) -> None:
    """Means over seeds, and each seed, as Markdown."""
    outputs = list(next(iter(losses.values()))[0])
    lines = [["way", *outputs], ["---", *["---:"] * len(outputs)]]
    for name, runs in losses.items():
        cells = []
        for output in outputs:
            values = [one[output] for one in runs]
            each = ", ".join(f"{value:.3f}" for value in values)
            cells.append(f"{fmean(values):.3f} ({each})")
        lines.append([ways()[name].said, *cells])
    for line in lines:
        print(f"| {' | '.join(line)} |")


if __name__ == "__main__":
    main()
