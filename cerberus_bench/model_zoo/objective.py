"""From a batch to its losses: each decoder runs on the windows that have truth for it."""

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from cerberus_bench.model_zoo.augment import recolour
from cerberus_bench.model_zoo.batches import Batch
from cerberus_bench.model_zoo.cerberus import Cerberus
from cerberus_bench.model_zoo.encoder import Features
from cerberus_bench.model_zoo.losses import Sums, box_sums, instance_sums, patch_sums, type_sums
from cerberus_bench.model_zoo.recipe import Augmentation, Losses
from cerberus_bench.model_zoo.samples import PATCH
from cerberus_bench.model_zoo.targets import ClassCodes


class Objective:
    """What is minimised.

    Args:
        codes: class codes of the type and patch outputs.
        losses: weights.
        device: where to compute.
        precision: type that convolutions run in; losses are float32.
        frozen: outputs that are not trained: they are left out.
    """

    def __init__(
        self,
        codes: Mapping[str, ClassCodes],
        losses: Losses,
        device: torch.device,
        precision: torch.dtype,
        frozen: Collection[str] = (),
    ) -> None:
        self.device = device
        self._precision = precision
        self._frozen = frozenset(frozen)
        self._weights = losses.outputs
        self._membership = {
            name: torch.from_numpy(code.membership).to(device) for name, code in codes.items()
        }
        self._class_weights = {
            name: _class_weights(name, table.shape[1], losses).to(device)
            for name, table in self._membership.items()
        }

    def logits(
        self,
        model: Cerberus,
        batch: Batch,
        recipe: Augmentation | None = None,
        seed: int = 0,
        *,
        frozen: bool = False,
    ) -> dict[str, Tensor]:
        """Logits of every trained output of the model that the batch has truth for.

        Windows and patches of one size go through the encoder together, so that its batch
        statistics in training are those of the mixture, which is what it keeps for inference.

        Args:
            model: the network.
            batch: windows and patches.
            recipe: change colours so; None = leave them.
            seed: seed of the change.
            frozen: also of outputs that are not trained.
        """
        windows, patches = (
            self._prepared(images, recipe, seed + i)
            for i, images in enumerate((batch.images, batch.patches))
        )
        names = {output.name for output in model.spec.outputs}
        if not frozen:
            names -= self._frozen
        if PATCH not in names:
            patches = patches[:0]
        with torch.autocast(
            self.device.type, self._precision, enabled=self._precision != torch.float32
        ):
            of_windows, of_patches = _encoded(model, windows, patches)
            logits = {} if of_windows is None else _dense(model, of_windows, batch, names)
            if of_patches is not None:
                logits |= model.decode(of_patches, [PATCH])
        return logits

    def sums(self, logits: Mapping[str, Tensor], batch: Batch) -> dict[str, Sums]:
        """Loss sums by output."""
        sums: dict[str, Sums] = {}
        for name, values in logits.items():
            if name == PATCH:
                codes = batch.patch_codes.to(self.device)
                sums[name] = patch_sums(values, codes, self._membership[name])
            elif name.endswith(".type"):
                sums[name] = type_sums(
                    values,
                    batch.targets[name].to(self.device),
                    self._membership[name],
                    self._class_weights[name],
                )
            elif name.endswith(".box"):
                sums[name] = box_sums(values, batch.targets[name].to(self.device))
            else:
                weights = batch.weights.get(name)
                sums[name] = instance_sums(
                    values,
                    batch.targets[name].to(self.device),
                    None if weights is None else weights.to(self.device),
                )
        return sums

    def total(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Weighted sum of the outputs' losses."""
        return torch.stack([self._weights[name] * loss for name, loss in losses.items()]).sum()

    def _prepared(self, images: Tensor, recipe: Augmentation | None, seed: int) -> Tensor:
        images = images.to(self.device)
        if recipe is not None and len(images):
            images = recolour(images, recipe, seed)
        return images.float().contiguous(memory_format=torch.channels_last)


def _class_weights(output: str, channels: int, losses: Losses) -> Tensor:
    if output != "nuclei.type":
        return torch.ones(channels)
    return torch.tensor([0.0, *losses.nuclei_classes.values()])


def _encoded(
    model: Cerberus, windows: Tensor, patches: Tensor
) -> tuple[Features | None, Features | None]:
    n, m = len(windows), len(patches)
    if n and m and windows.shape[1:] == patches.shape[1:]:
        together = model.encode(torch.cat([windows, patches]))
        return _rows(together, range(n)), _rows(together, range(n, n + m))
    return model.encode(windows) if n else None, model.encode(patches) if m else None


def _dense(
    model: Cerberus, features: Features, batch: Batch, names: Collection[str]
) -> dict[str, Tensor]:
    by_rows: dict[tuple[int, ...], list[str]] = {}
    for output, rows in batch.rows.items():
        if output not in names:
            continue
        by_rows.setdefault(rows, []).append(output)
    logits: dict[str, Tensor] = {}
    for rows, outputs in by_rows.items():
        logits |= model.decode(_rows(features, rows), outputs)
    return logits


def _rows(features: Features, rows: Sequence[int]) -> Features:
    """Rows of every feature map; a view where they are neighbours."""
    start, stop = rows[0], rows[-1] + 1
    if stop - start == len(rows):
        f0, f1, f2, f3, f4 = (f[start:stop] for f in features)
    else:
        index = torch.tensor(rows, device=features[0].device)
        f0, f1, f2, f3, f4 = (f.index_select(0, index) for f in features)
    return f0, f1, f2, f3, f4
