"""Networks, their files, and the way from images to instances."""

from typing import TYPE_CHECKING, Any

from cerberus_bench.model_zoo.registry import MODELS, create

if TYPE_CHECKING:
    from cerberus_bench.model_zoo.checkpoint import (
        LoadedModel,
        load_model,
        make_card,
        save_model,
        untrained,
    )
    from cerberus_bench.model_zoo.published import convert_published

__all__ = [
    "MODELS",
    "LoadedModel",
    "convert_published",
    "create",
    "load_model",
    "make_card",
    "save_model",
    "untrained",
]

_NEEDS_TORCH = {
    "LoadedModel": "checkpoint",
    "convert_published": "published",
    "load_model": "checkpoint",
    "make_card": "checkpoint",
    "save_model": "checkpoint",
    "untrained": "checkpoint",
}


def __getattr__(name: str) -> Any:
    """Import what needs torch on first use, so that listing models stays cheap (PEP 562)."""
    if name not in _NEEDS_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_NEEDS_TORCH[name]}"), name)
