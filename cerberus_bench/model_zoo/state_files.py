"""Opening weights that strangers made: plain tensors come out, and no code ever runs."""

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from cerberus_bench.model_zoo.registry import MODELS
from cerberus_bench.schema.errors import DataError

REMEDY = (
    "Save tensors only, with cerberus_bench.model_zoo.save_model, as .pt or .safetensors; "
    "nothing that could run code is opened."
)


def read_bytes(path: Path) -> bytes:
    """Bytes of a file.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}). Give a .pt or .safetensors file, or a "
            f"name of the zoo: {', '.join(MODELS)}."
        ) from error


def parse_state(path: Path, data: bytes) -> tuple[Mapping[str, Any], str | None]:
    """State dict of a model file's bytes, and its card as JSON or None.

    Values are as they were stored: see `plain_tensor`.

    Raises:
        DataError: the bytes are no model file, or could run code.
    """
    if path.suffix == ".safetensors":
        return _parse_safetensors(path, data)
    if path.suffix == ".pt2":
        raise DataError(f"{path}: an exported program (.pt2) can run code when opened. {REMEDY}")
    content = parse_torch(path, data)
    if isinstance(content.get("state_dict"), Mapping):
        text = content.get("card")
        return content["state_dict"], text if isinstance(text, str) else None
    return content, None


def _parse_safetensors(path: Path, data: bytes) -> tuple[Mapping[str, Tensor], str | None]:
    try:
        state = safetensors.torch.load(data)
    except (safetensors.SafetensorError, KeyError) as error:
        raise DataError(f"{path}: not a safetensors file: {error}. Get it again.") from error
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return state, header.get("__metadata__", {}).get("card")


def parse_torch(path: Path, data: bytes) -> Mapping[str, Any]:
    """The mapping in a `torch.save` file of tensors and plain containers.

    Raises:
        DataError: the file holds anything else.
    """
    _refuse_archives_with_code(path, data)
    try:
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:
        # A crafted file can make the restricted unpickler raise anything; all of it is a refusal.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{path}: refused, it is not a file of plain tensors ({reason}). {REMEDY}"
        ) from error
    if not isinstance(content, Mapping):
        raise DataError(f"{path}: holds a {type(content).__name__}. {REMEDY}")
    return content


def _refuse_archives_with_code(path: Path, data: bytes) -> None:
    """Name TorchScript and torch.export for what they are, and refuse archives that inflate."""
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
    except zipfile.BadZipFile as error:
        raise DataError(f"{path}: a broken archive ({error}). Get it again.") from error
    names = [member.filename for member in members]
    if any(name.endswith("/constants.pkl") or "/code/" in name for name in names):
        raise DataError(f"{path}: a TorchScript program, which is code. {REMEDY}")
    if any(name.endswith(("archive_format", "serialized_exported_program.json")) for name in names):
        raise DataError(f"{path}: an exported program, which can run code. {REMEDY}")
    if sum(member.file_size for member in members) > len(data):
        raise DataError(f"{path}: its archive is compressed, which torch.save never does. Refused.")


def plain_tensor(path: Path, key: str, value: Any, expected: Tensor) -> Tensor:
    """One dense, finite tensor of the expected shape and dtype, in memory of its own size.

    Raises:
        DataError: the value is anything else.
    """
    if type(value) is not Tensor or value.layout != torch.strided or value.is_quantized:
        raise DataError(f"{path}: {key} is not a plain tensor. {REMEDY}")
    if value.shape != expected.shape or value.numel() > value.untyped_storage().nbytes():
        raise DataError(
            f"{path}: {key} has shape {tuple(value.shape)}, the network needs "
            f"{tuple(expected.shape)}."
        )
    tensor: Tensor = value.to(expected.dtype).contiguous()
    if not torch.isfinite(tensor).all():
        raise DataError(f"{path}: {key} holds values that are not finite. Train or fetch it again.")
    return tensor
