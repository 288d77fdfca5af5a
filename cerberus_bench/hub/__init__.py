"""The only door to the Hugging Face Hub: publish, pin, pull.

Tokens are taken by `huggingface_hub` from HF_TOKEN or from `hf auth login`; they never pass
through this package. `HF_ENDPOINT` names another Hub.
"""

from cerberus_bench.hub.places import PREFIX, HubPlace, looks_like_place, parse_place, place_of

__all__ = ["PREFIX", "HubPlace", "looks_like_place", "parse_place", "place_of"]
