"""A training that is killed at any moment ends, resumed, in the weights of one that was not."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from fakes import glas
from small_recipes import write_small_recipe

from cerberus_bench.model_zoo.checkpoint import load_model
from cerberus_bench.workflows.harmonize import harmonize

ROOT = Path(__file__).resolve().parent.parent
STEPS = 40


EXACT = {
    "seed = 0": 'seed = 0\nprecision = "float32"',
    "steps = 4000": f"steps = {STEPS}",
    "validations = 16": f"validations = {STEPS // 2}",
}
"""In the one precision that is exact, with a checkpoint after every second step."""


def weights_hash(model: Path) -> str:
    digest = hashlib.sha256()
    for key, value in sorted(load_model(model).model.state_dict().items()):
        digest.update(key.encode() + value.numpy().tobytes())
    return digest.hexdigest()


def start(data: Path, recipe: Path, out: Path, *more: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "cerberus_bench", "train", "--tasks", "gland", "--json"]
    command += ["--data", str(data), "--recipe", str(recipe), "--out", str(out), *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )


def finished(process: "subprocess.Popen[bytes]") -> None:
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said.decode()[-2000:]


def steps_logged(out: Path) -> int:
    log = out / "log.csv"
    return len(log.read_text().splitlines()) - 1 if log.is_file() else 0


def test_killed_and_resumed_is_undisturbed(tmp_path: Path) -> None:
    data, recipe = tmp_path / "data", write_small_recipe(tmp_path / "small.toml", EXACT)
    harmonize("glas", glas.write(tmp_path / "source"), data, allow_partial=True)
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    finished(start(data, recipe, undisturbed))
    # any moment after the first checkpoint, another one in every run of the tests
    moment = random.randrange(3, STEPS - 10)
    process = start(data, recipe, killed)
    while steps_logged(killed) < moment and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "the run ended before it was killed"
    assert steps_logged(killed) < STEPS
    finished(start(data, recipe, killed, "--resume"))
    assert steps_logged(killed) == STEPS
    assert weights_hash(killed / "model.pt") == weights_hash(undisturbed / "model.pt"), (
        f"killed at step {moment}"
    )
