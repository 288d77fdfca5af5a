"""The gradient of the loss of a whole batch, part by part and on any number of processes.

A loss is a function of sums over the batch (`Sums`), and sums add up over parts. So the parts'
sums are added first, the loss is differentiated with respect to them, and each part then goes back
through the network with these factors: the gradient is that of the whole, whoever computed which
part. Batch statistics are those of a part, and their running averages the mean over the parts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cerberus_bench.model_zoo.batches import Batch
from cerberus_bench.model_zoo.cerberus import Cerberus
from cerberus_bench.model_zoo.losses import Sums, sums_of, width_of
from cerberus_bench.model_zoo.objective import Objective
from cerberus_bench.model_zoo.processes import Processes
from cerberus_bench.model_zoo.recipe import Augmentation


@dataclass(frozen=True, slots=True)
class Part:
    """A share of a batch."""

    batch: Batch
    seed: int
    """Of its colours and of dropout."""


@dataclass(frozen=True, slots=True)
class GradientMaker:
    """Makes the gradient of a step."""

    objective: Objective
    augmentation: Augmentation
    processes: Processes

    def __call__(
        self, model: Cerberus, parts: Sequence[Part], n_parts: int
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Leave the gradient of the whole batch in the parameters.

        With more than one part here, each is computed twice: once for its sums and once for its
        gradient, so that no more than one is in memory.

        Args:
            model: in training mode, without gradients.
            parts: the parts that this process computes.
            n_parts: parts of the batch, over all processes.

        Returns:
            Loss of each output over the whole batch, and their weighted sum.
        """
        statistics = _Statistics(model)
        only = self._sums(model, parts[0]) if len(parts) == 1 else None
        mine = self._all_sums(model, parts, statistics) if only is None else only.detach()
        whole = self.processes.total(mine).requires_grad_()
        losses = {name: sums.loss() for name, sums in _unpacked(whole, model).items()}
        total = self.objective.total(losses)
        (factors,) = torch.autograd.grad(total, whole)
        for part in parts:
            if only is None:
                statistics.restore()
            sums = self._sums(model, part) if only is None else only
            (factors * sums).sum().backward()  # type: ignore[no-untyped-call]
            statistics.note()
        statistics.average(self.processes, n_parts)
        _add_up(model, self.processes)
        return {name: loss.detach() for name, loss in losses.items()}, total.detach()

    def _all_sums(
        self, model: Cerberus, parts: Sequence[Part], statistics: "_Statistics"
    ) -> Tensor:
        total = torch.zeros((), device=self.objective.device)
        with torch.no_grad():
            for part in parts:
                total = total + self._sums(model, part)
                statistics.restore()
        return total

    def _sums(self, model: Cerberus, part: Part) -> Tensor:
        torch.manual_seed(part.seed)
        logits = self.objective.logits(model, part.batch, self.augmentation, part.seed)
        return _packed(self.objective.sums(logits, part.batch), model, self.objective.device)


class _Statistics:
    """Running batch statistics, and what the parts of a step make of them."""

    def __init__(self, model: Cerberus) -> None:
        self._buffers = [b for b in model.buffers() if b.is_floating_point()]
        self._counters = [b for b in model.buffers() if not b.is_floating_point()]
        self._before = [b.clone() for b in self._buffers]
        self._counts = [b.clone() for b in self._counters]
        self._sum = [torch.zeros_like(b) for b in self._buffers]

    def restore(self) -> None:
        """Back to what they were before the step."""
        for buffers, before in ((self._buffers, self._before), (self._counters, self._counts)):
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)

    def note(self) -> None:
        """Remember what a part has made of them."""
        for total, buffer in zip(self._sum, self._buffers, strict=True):
            total.add_(buffer)

    def average(self, processes: Processes, n_parts: int) -> None:
        """Set them to the mean over all parts."""
        if n_parts == 1:
            return
        flat = processes.total(torch.cat([total.flatten() for total in self._sum])) / n_parts
        for buffer, mean in zip(self._buffers, _like(flat, self._buffers), strict=True):
            buffer.copy_(mean)


def _add_up(model: Cerberus, processes: Processes) -> None:
    """Sum the gradients of all processes; a parameter that none has a gradient for gets none."""
    if processes.count == 1:
        return
    parameters = [p for p in model.parameters() if p.requires_grad]
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    has = torch.tensor([float(p.grad is not None) for p in parameters], device=gradients[0].device)
    used = processes.total(has).tolist()
    flat = processes.total(torch.cat([g.flatten() for g in gradients]))
    for parameter, gradient, n in zip(parameters, _like(flat, gradients), used, strict=True):
        parameter.grad = gradient.clone() if n else None


def _like(flat: Tensor, shapes: Sequence[Tensor]) -> list[Tensor]:
    sizes = [shape.numel() for shape in shapes]
    parts = torch.split(flat, sizes)
    return [part.view_as(shape) for part, shape in zip(parts, shapes, strict=True)]


def _packed(sums: Mapping[str, Sums], model: Cerberus, device: torch.device) -> Tensor:
    """Sums of every output of the model in one vector, each after how many parts have it."""
    vectors = []
    for output in model.spec.outputs:
        if output.name in sums:
            vectors += [torch.ones(1, device=device), sums[output.name].flat()]
        else:
            vectors.append(torch.zeros(1 + width_of(output), device=device))
    return torch.cat(vectors)


def _unpacked(whole: Tensor, model: Cerberus) -> dict[str, Sums]:
    """The sums of the outputs that some part has truth for."""
    found, start = {}, 0
    for output in model.spec.outputs:
        stop = start + 1 + width_of(output)
        if whole[start] > 0:
            found[output.name] = sums_of(output.name, whole[start + 1 : stop])
        start = stop
    return found
