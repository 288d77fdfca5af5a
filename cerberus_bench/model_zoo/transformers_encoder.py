"""Encoders of the library transformers: any backbone that its `AutoBackbone` knows.

What a model file needs of one is its configuration, which the card holds; code and weights of
strangers are never run. The decoders need features at strides 1, 2, 4, 8 and 16, and get them by
one rule for all backbones:

- Four feature maps are taken, from shallow to deep: those of the stages where there are four, else
  (plain vision transformers) those after a quarter, a half, three quarters and all of the layers.
- They become strides 2, 4, 8 and 16 in this order: each is projected to the width of the decoders
  there (1 x 1 convolution, batch normalisation, ReLU) and resized bilinearly.
- Stride 1, which no backbone has, is two 3 x 3 convolutions of the image.

Sources: Ranftl et al., "Vision Transformers for Dense Prediction", ICCV 2021 (layers and resizing);
Lin et al., "Feature Pyramid Networks", CVPR 2017 (projection).
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from cerberus_bench.model_zoo.decoders import ConvNormReLU
from cerberus_bench.model_zoo.encoder import Channels, Features
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.model import BackboneSpec

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

STRIDES = (2, 4, 8, 16)
"""What the four feature maps of a backbone become."""
PROBE_PX = 448
"""Side of the image whose feature maps tell the strides of a backbone; a multiple of 14, 16, 32."""
CONFIG, IMAGES = "config.json", "preprocessor_config.json"
FILES = (CONFIG, IMAGES, "*.safetensors", "*.safetensors.index.json")
"""What is read of a repository or folder."""
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack")
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and deviation of RGB in 0..1, for a backbone that does not say its own."""
ADDED = ("hidden_states_norms", "mask_token")
"""Parts that a backbone may have and its published weights lack: they start as they are drawn."""
FOREIGN_CODE = ("timm_backbone", "timm_wrapper")
"""Kinds that fetch models of another library by themselves."""
LARGEST_NUMBER, MOST_LAYERS = 65_536, 256
"""Bounds on a configuration, which may come from a stranger."""
SHAPE_FREE = frozenset(
    (
        *("architectures", "auto_map", "attn_implementation", "experts_implementation"),
        *("quantization_config", "dtype", "torch_dtype", "transformers_version", "id2label"),
        *("label2id", "problem_type", "return_dict", "output_attentions", "output_hidden_states"),
        *("stage_names", "out_features", "out_indices", "use_pretrained_backbone", "backbone"),
    )
)
"""Keys of a configuration that are dropped: they say nothing of the network's shape, and some make
the library fetch code."""


@dataclass(frozen=True, slots=True)
class Source:
    """A folder with a configuration, and weights beside it or not."""

    folder: Path

    @property
    def weights(self) -> list[Path]:
        """Its safetensors files.

        Raises:
            DataError: it has weights in other forms only.
        """
        found = sorted(self.folder.glob("*.safetensors"))
        pickled = sorted(path.name for kind in PICKLED for path in self.folder.glob(kind))
        if pickled and not found:
            raise DataError(
                f"{self.folder}: holds {pickled[0]} and no .safetensors; pickled weights can run"
                " code and are not opened. Get the repository's safetensors, or remove the file to"
                " start from random weights."
            )
        return found


def find_source(name: str) -> Source:
    """The folder of a local backbone, or of one of the Hub that was fetched before.

    Args:
        name: folder, or [hf:]ORG/NAME[@REVISION] of the Hub.

    Raises:
        DataError: there is no such folder, and the Hub's cache on this disk has no such repository.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    folder = Path(name)
    if not folder.is_dir():
        repo, _, revision = name.removeprefix("hf:").partition("@")
        try:
            folder = Path(
                snapshot_download(
                    repo,
                    revision=revision or None,
                    allow_patterns=list(FILES),
                    local_files_only=True,
                )
            )
        except (LocalEntryNotFoundError, HFValidationError):
            raise DataError(
                f"{name}: no such folder, and not in the Hub's cache on this disk. `cerberus-bench"
                f" train` fetches it; or: hf download {repo} --include '*.json' '*.safetensors'."
            ) from None
    if not (folder / CONFIG).is_file():
        raise DataError(
            f"{folder}: there is no {CONFIG}; give a folder that `save_pretrained` of transformers"
            " wrote."
        )
    return Source(folder)


def read_backbone(source: Source) -> BackboneSpec:
    """Shape of a backbone, from its configuration alone.

    Raises:
        DataError: the configuration is broken, of a kind that is no backbone, or too large.
    """
    path = source.folder / CONFIG
    config = _make_config(_read_json(path), str(path))
    _choose_features(config, str(path))
    with torch.device("meta"):
        backbone = _make_backbone(config, str(path))
        with torch.inference_mode():
            maps = backbone.eval()(torch.empty(1, 3, PROBE_PX, PROBE_PX)).feature_maps
    mean, deviation = _normalisation(source.folder / IMAGES)
    return BackboneSpec(
        config=json.dumps(_plain(config.to_dict()), sort_keys=True),
        channels=cast(Any, tuple(int(each.shape[1]) for each in maps)),
        strides=cast(Any, tuple(round(PROBE_PX / each.shape[2]) for each in maps)),
        mean=mean,
        deviation=deviation,
    )


class TransformersEncoder(nn.Module):
    """Feature pyramid of a backbone of transformers; see the module for the rule."""

    def __init__(self, spec: BackboneSpec, widths: tuple[int, int, int, int]) -> None:
        """Draw the weights.

        Args:
            spec: the backbone.
            widths: channels of the features at strides 2, 4, 8 and 16.

        Raises:
            DataError: transformers is not installed, or does not know such a backbone.
        """
        super().__init__()
        self.spec = spec
        self.weights_sha256: str | None = None
        """Of the files that `load_weights` took; None for random weights."""
        self.channels: Channels = (widths[0], *widths)
        config = _make_config(json.loads(spec.config), "the card")
        _choose_features(config, "the card")
        self.backbone = _make_backbone(config, "the card")
        self.stem = nn.Sequential(
            ConvNormReLU(3, widths[0], kernel=3), ConvNormReLU(widths[0], widths[0], kernel=3)
        )
        self.project = nn.ModuleList(
            ConvNormReLU(given, width, kernel=1)
            for given, width in zip(spec.channels, widths, strict=True)
        )

    @property
    def trunk(self) -> nn.Module:
        """The part that trained weights are loaded into, and that freezing keeps."""
        return self.backbone

    def load_weights(self, source: Source) -> None:
        """Take the weights of a source; nothing where it has none.

        Raises:
            DataError: they are pickled, of another backbone, or not finite.
        """
        if not source.weights:
            return
        # of its own class: AutoBackbone asks the Hub first, and takes what is not there for timm's
        kind = cast(Any, type(self.backbone))
        with _quiet():
            backbone, found = kind.from_pretrained(
                source.folder,
                config=self.backbone.config,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
        missing = [key for key in found["missing_keys"] if not any(part in key for part in ADDED)]
        if missing:
            raise DataError(
                f"{source.folder}: the weights lack {len(missing)} tensors of the backbone, such as"
                f" {min(missing)}. They are of another model than {CONFIG} says."
            )
        for key, value in backbone.state_dict().items():
            if not torch.isfinite(value).all():
                raise DataError(f"{source.folder}: {key} holds values that are not finite.")
        self.backbone = backbone
        self.weights_sha256 = _sha256(source.weights)

    def forward(self, image: Tensor) -> Features:
        """Map (N, 3, H, W) in 0..1 to features at strides 1, 2, 4, 8 and 16."""
        height, width = image.shape[-2:]
        mean, deviation = (
            image.new_tensor(values).view(3, 1, 1)
            for values in (self.spec.mean, self.spec.deviation)
        )
        coarsest = max(self.spec.strides)
        missing = (0, -width % coarsest, 0, -height % coarsest)
        normal = functional.pad((image - mean) / deviation, missing, mode="replicate")
        maps = self.backbone(normal).feature_maps
        two, four, eight, sixteen = (
            resized(project(each), given, wanted)[..., : height // wanted, : width // wanted]
            for each, project, given, wanted in zip(
                maps, self.project, self.spec.strides, STRIDES, strict=True
            )
        )
        return self.stem(image), two, four, eight, sixteen


def resized(x: Tensor, given: int, wanted: int) -> Tensor:
    """From one stride to another; cells keep their place, whatever the padding of the image."""
    if given == wanted:
        return x
    return functional.interpolate(
        x, scale_factor=given / wanted, mode="bilinear", align_corners=False
    )


def _make_config(raw: Mapping[str, Any], where: str) -> "PreTrainedConfig":
    kinds, configs = _known_kinds()
    kind = raw.get("model_type")
    if kind not in kinds:
        raise DataError(
            f"{where}: model_type {kind!r} is no backbone of transformers. Those that are: "
            f"{', '.join(kinds)}."
        )
    plain = _plain(raw)
    _check_size(plain, where)
    try:
        return cast("PreTrainedConfig", configs[kind](**plain))
    except Exception as error:
        # a stranger's configuration may make its class raise anything; all of it is a refusal
        raise DataError(f"{where}: not a configuration of {kind}: {error}") from error


def _make_backbone(config: "PreTrainedConfig", where: str) -> nn.Module:
    from transformers import AutoBackbone

    try:
        return cast(nn.Module, AutoBackbone.from_config(config, trust_remote_code=False))
    except Exception as error:
        # as above
        raise DataError(f"{where}: no backbone can be made of it: {error}") from error


def _known_kinds() -> tuple[list[str], Mapping[str, Any]]:
    """Kinds of backbones, and the class of each configuration.

    Raises:
        DataError: transformers is not installed.
    """
    try:
        from transformers.models.auto.configuration_auto import CONFIG_MAPPING
        from transformers.models.auto.modeling_auto import MODEL_FOR_BACKBONE_MAPPING_NAMES
    except ImportError:
        raise DataError(
            "backbones of transformers need it: pip install 'cerberus-bench[transformers]'"
        ) from None
    kinds = [kind for kind in MODEL_FOR_BACKBONE_MAPPING_NAMES if kind not in FOREIGN_CODE]
    return kinds, CONFIG_MAPPING


def _choose_features(config: "PreTrainedConfig", where: str) -> None:
    """Have the backbone give four feature maps, the last of them the deepest."""
    n = len(config.stage_names) - 1
    if n < len(STRIDES):
        raise DataError(f"{where}: the backbone has {n} stages, and four are needed.")
    config.out_indices = [n * quarter // 4 for quarter in (1, 2, 3, 4)]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's progress bars, which would cut through ours."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _plain(raw: Mapping[str, Any]) -> dict[str, Any]:
    """What determines the shape; private keys, and those that could fetch code, are left out."""
    return {
        key: _plain(value) if isinstance(value, Mapping) else value
        for key, value in raw.items()
        if key not in SHAPE_FREE and not key.startswith("_")
    }


def _check_size(raw: Mapping[str, Any], where: str) -> None:
    for key, value in raw.items():
        values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        limit = MOST_LAYERS if key in ("depths", "num_hidden_layers") else LARGEST_NUMBER
        numbers = [v for v in values if isinstance(v, int | float)]
        if len(values) > MOST_LAYERS or any(not abs(v) <= limit for v in numbers):
            raise DataError(f"{where}: {key} is {str(value)[:80]}, over the bound of {limit}.")


def _normalisation(path: Path) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and deviation that the backbone was trained with; those of ImageNet where not said."""
    raw = _read_json(path) if path.is_file() else {}
    found = raw.get("image_mean", IMAGENET[0]), raw.get("image_std", IMAGENET[1])
    try:
        mean, deviation = ((float(r), float(g), float(b)) for r, g, b in found)
    except (TypeError, ValueError):
        raise DataError(f"{path}: image_mean and image_std must be three numbers each.") from None
    return mean, deviation


def _read_json(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({error}).") from None
    if not isinstance(raw, dict):
        raise DataError(f"{path}: holds no JSON object.")
    return raw


def _sha256(paths: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()
