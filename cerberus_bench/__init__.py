"""Benchmark and train multi-task models for histology images.

The calls that most people want:

    >>> import cerberus_bench as cb
    >>> dataset = cb.load("phantom", split="test")
    >>> results = cb.evaluate("cerberus-tiny", data=["phantom"])
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from cerberus_bench.workflows.data import load
    from cerberus_bench.workflows.evaluate import evaluate
    from cerberus_bench.workflows.predictions import PredictionWriter

__all__ = ["PredictionWriter", "__version__", "evaluate", "load"]

_HOMES = {
    "load": "cerberus_bench.workflows.data",
    "evaluate": "cerberus_bench.workflows.evaluate",
    "PredictionWriter": "cerberus_bench.workflows.predictions",
}


def __getattr__(name: str) -> Any:
    # looked up at first use, so that `--help` does not wait for torch and datasets
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
