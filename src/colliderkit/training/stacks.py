"""Fast training of small perceptrons on tables in memory: members of a `Stack` side by side.

Lightning's bookkeeping takes longer than a step of a small perceptron. Here an epoch is one
gather and its steps are slices; each member has its own shuffle and its own best epoch, and none
of it depends on which members are trained together.
"""

import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.networks.stack import Stack
from colliderkit.seeds import derive
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import schedule_factor
from colliderkit.training.settings import Epoch, Training

__all__ = ["fit_stack"]

# (z (M, B) or (M, B, K), target (M, B)) -> loss of each event (M, B)
EventLoss = Callable[[Tensor, Tensor], Tensor]
PIECE = 1 << 16  # events evaluated at a time


def fit_stack(
    stack: Stack,
    loss: EventLoss,
    train: Dataset,
    validation: Dataset,
    settings: Training,
    *,
    seeds: Sequence[int],
    offset: tuple[Tensor, Tensor] | None = None,
    penalty: Callable[[], Tensor] | None = None,
    advance: Callable[[], None] | None = None,
) -> list[list[Epoch]]:
    """Train in place and leave each member with the weights of its best validation loss.

    `train` and `validation` hold tables (N, C). `offset` is added to the outputs, (N,) for each of
    the two, for networks of one output. `penalty` gives what is added to the loss of each member,
    (M,), in training alone. The first epoch that may be best is the one before any step, so that a
    network which does not help stays the function 0; another is taken only where its loss on the
    validation events is lower by more than the standard error of the difference. Returns the
    history of each member; raises `InputError` if a loss is not finite.
    """
    members = stack.members
    stack.reset(seeds)
    optimiser = torch.optim.AdamW(
        stack.parameters(), settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    x, target = train.inputs, train.target.to(torch.float32)
    assert isinstance(x, Tensor)
    base = None if offset is None else offset[0]
    size, epochs = min(settings.batch(len(x)), len(x)), settings.passes(len(x))
    steps = -(-len(x) // size)
    factor = schedule_factor(settings.schedule)
    first = _validation_losses(stack, loss, validation, offset)
    lowest = first.mean(1)
    best = [parameter.detach().clone() for parameter in stack.parameters()]
    waiting = torch.zeros(members, dtype=torch.int64)
    started = torch.zeros(members, dtype=torch.bool)  # whose best epoch is one of training
    histories: list[list[Epoch]] = [[] for _ in range(members)]
    best_epochs = [-1] * members
    for epoch in range(epochs):
        begin = time.perf_counter()
        order = torch.stack([_shuffle(len(x), seed, epoch) for seed in seeds])
        xs, ys, ws = x[order], target[order], train.weight[order]
        offsets = None if base is None else base[order]
        total = torch.zeros(members)
        for step in range(steps):
            rate = factor((epoch * steps + step) / (epochs * steps))
            optimiser.param_groups[0]["lr"] = settings.learning_rate * rate
            part = slice(step * size, (step + 1) * size)
            z = stack(xs[:, part])
            if offsets is not None:
                z = z + offsets[:, part]
            each = (loss(z, ys[:, part]) * ws[:, part]).mean(1)
            optimiser.zero_grad()
            (each if penalty is None else each + penalty()).sum().backward()
            optimiser.step()
            total += each.detach()
        losses = _validation_losses(stack, loss, validation, offset)
        mean = losses.mean(1)
        if not bool(torch.isfinite(mean).all()):
            raise InputError(
                f"the loss became {float(mean.max())} in epoch {epoch};"
                " lower learning_rate or check the input columns."
            )
        margin = (losses - first).std(1) / losses.shape[1] ** 0.5
        patience = settings.patience or epochs
        better = torch.where(started, mean < lowest, mean < first.mean(1) - margin)
        better &= waiting < patience
        started |= better
        lowest = torch.where(better, mean, lowest)
        waiting = torch.where(better, 0, waiting + 1)
        for kept, parameter in zip(best, stack.parameters(), strict=True):
            kept[better] = parameter.detach()[better]
        seconds = time.perf_counter() - begin
        for m in range(members):
            best_epochs[m] = epoch if better[m] else best_epochs[m]
            row = Epoch(epoch, float(total[m]) / steps, float(mean[m]), seconds)
            histories[m].append(row)
        if advance:
            advance()
        if bool((waiting >= patience).all()):
            break
    with torch.no_grad():
        for kept, parameter in zip(best, stack.parameters(), strict=True):
            parameter.copy_(kept)
    return [
        [Epoch(e.epoch, e.training_loss, e.validation_loss, e.seconds, e.epoch == last) for e in h]
        for h, last in zip(histories, best_epochs, strict=True)
    ]


def _shuffle(count: int, seed: int, epoch: int) -> Tensor:
    random = torch.Generator().manual_seed(derive(seed, "shuffle", epoch))
    return torch.randperm(count, generator=random)


@torch.no_grad()
def _validation_losses(
    stack: Stack, loss: EventLoss, validation: Dataset, offset: tuple[Tensor, Tensor] | None
) -> Tensor:
    """Return the weighted loss of each validation event and member, (M, N)."""
    assert isinstance(validation.inputs, Tensor)
    parts = []
    for start in range(0, len(validation), PIECE):
        part = slice(start, start + PIECE)
        z = stack(validation.inputs[part])
        if offset is not None:
            z = z + offset[1][part]
        target = validation.target[part].to(torch.float32).expand(z.shape[:2])
        parts.append(loss(z, target) * validation.weight[part])
    return torch.cat(parts, 1)
