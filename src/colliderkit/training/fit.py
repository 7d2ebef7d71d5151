"""Training of a model by Lightning: optimiser, schedule, checkpoints, early stopping."""

import itertools
import logging
import math
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch import Tensor, nn

from colliderkit.errors import InputError, Interrupted
from colliderkit.events.ragged import Ragged
from colliderkit.losses.classification import cross_entropy, guessing
from colliderkit.losses.constraints import Constrained
from colliderkit.seeds import derive
from colliderkit.training.batches import Batch, Batches, Dataset
from colliderkit.training.optimistic import OptimisticAdamW
from colliderkit.training.progress import Progress
from colliderkit.training.settings import (
    Epoch,
    Objective,
    Training,
    no_better_than_guessing,
)

__all__ = ["fit", "predict"]

CHECKPOINT = "last.ckpt"
WATCHED = "best so far"
PARTS = 10  # of an epoch, whose mean losses are kept


class Module(lightning.LightningModule):
    """Lightning module of a model and an objective: step, optimiser and schedule."""

    ddp = "ddp"

    def __init__(self, model: nn.Module, objective: Objective, settings: Training, seed: int):
        super().__init__()
        self.model = model
        self.objective = objective
        self.settings = settings
        self.learning_rate = settings.learning_rate
        self.seed = seed
        self.history: list[dict[str, Any]] = []
        self._sum = torch.zeros(())
        self._count = 0
        self._marks: list[tuple[Tensor, int]] = []
        self._started = 0.0

    def on_train_epoch_start(self) -> None:
        # Dropout depends on (seed, epoch) alone, so that a resumed training equals one that
        # was never interrupted.
        path = "epoch", self.current_epoch, "rank", self.global_rank
        torch.manual_seed(derive(self.seed, *path))
        self.trainer.datamodule.train.set_epoch(self.current_epoch)  # type: ignore[attr-defined]
        self._sum = torch.zeros((), device=self.device)
        self._count = 0
        self._marks = [(self._sum.clone(), 0)]
        self._started = time.perf_counter()

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        # A training of few epochs is seen by its steps: sums at each tenth of an epoch.
        steps = int(self.trainer.num_training_batches)
        if (batch_idx + 1) * PARTS // steps > batch_idx * PARTS // steps:
            self._marks.append((self._sum.clone(), self._count))

    def _losses(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the (primary) loss of a batch and the values of its constraints."""
        outputs = self.model(*batch.inputs)
        if isinstance(self.objective, Constrained):
            return self.objective.parts(outputs, batch.target, batch.weight)
        return self.objective(outputs, batch.target, batch.weight), {}

    def training_step(self, batch: Batch, index: int) -> Tensor:
        loss, values = self._losses(batch)
        self._sum += loss.detach() * len(batch)
        self._count += len(batch)
        return self.objective.total(loss, values) if values else loss  # type: ignore[attr-defined]

    def validation_step(self, batch: Batch, index: int) -> None:
        loss, values = self._losses(batch)
        options: dict[str, Any] = {"on_epoch": True, "batch_size": len(batch), "sync_dist": True}
        self.log("validation_loss", loss, **options)
        for name, value in values.items():
            self.log(f"constraint {name}", value, **options)
            self.log(f"constraint {name} squared", value.double().square(), **options)

    def on_train_epoch_end(self) -> None:
        if "validation_loss" not in self.trainer.callback_metrics:
            return  # A learning-rate scan does not validate, and its loss may well diverge.
        training = float(self._sum) / max(self._count, 1)
        validation = float(self.trainer.callback_metrics["validation_loss"])
        if not math.isfinite(training) or not math.isfinite(validation):
            raise InputError(
                f"the loss became {training} in epoch {self.current_epoch};"
                " lower learning_rate or check the input columns."
            )
        row: dict[str, Any] = {
            "epoch": self.current_epoch,
            "training_loss": training,
            "validation_loss": validation,
            "seconds": time.perf_counter() - self._started,
            "parts": tuple(
                float(high - low) / (many - few)
                for (low, few), (high, many) in itertools.pairwise(self._marks)
                if many > few
            ),
        }
        if isinstance(self.objective, Constrained):
            logged = self.trainer.callback_metrics
            names = self.objective.multipliers
            values = {name: float(logged[f"constraint {name}"]) for name in names}
            squares = {name: float(logged[f"constraint {name} squared"]) for name in names}
            batches = sum(map(int, self.trainer.num_val_batches)) * self.trainer.world_size
            spread = {name: max(squares[name] - values[name] ** 2, 0.0) ** 0.5 for name in names}
            errors = {name: width / max(batches - 1, 1) ** 0.5 for name, width in spread.items()}
            row |= {"constraints": values, "violation": self.objective.violation(values, errors)}
        self.history.append(row)
        # What checkpoints and early stopping watch falls at each epoch that is the best so far,
        # and at these alone.
        better = self.best() == len(self.history) - 1
        self.log(WATCHED, -1.0 - self.current_epoch if better else 0.0)

    def best(self) -> int:
        """Return the place in the history of the epoch whose weights are left."""
        return best_epoch(self.history)

    def leaves(self) -> Mapping[str, Tensor]:
        """Return weights by name that are left in place of those that were stepped with."""
        return {}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["history"] = self.history
        checkpoint["leaves"] = dict(self.leaves())

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history = list(checkpoint["history"])

    def configure_optimizers(self) -> Any:
        return self.optimiser(self.parameters(), self.learning_rate)

    def optimiser(
        self,
        parameters: Iterable[nn.Parameter],
        rate: float,
        betas: tuple[float, float] = (0.9, 0.999),
        *,
        optimistic: bool = False,
    ) -> Any:
        """Return AdamW for parameters, optimistic or not, and its schedule, for Lightning."""
        settings = self.settings
        every = list(parameters)
        decay = [p for p in every if p.ndim > 1]
        plain = [p for p in every if p.ndim <= 1]
        kind = OptimisticAdamW if optimistic else torch.optim.AdamW
        optimiser = kind(
            [
                {"params": decay, "weight_decay": settings.weight_decay},
                {"params": plain, "weight_decay": 0.0},
            ],
            lr=rate,
            betas=betas,
        )
        steps = max(1, int(self.trainer.estimated_stepping_batches))
        factor = schedule_factor(settings.schedule)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: factor(min(step / steps, 1.0))
        )
        return {
            "optimizer": optimiser,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def best_epoch(history: Sequence[Mapping[str, Any]]) -> int:
    """Return the place of the lowest validation loss; under constraints, of the last good epoch.

    Among epochs that keep to a bound the lowest loss is where the validation events flatter the
    bound most, while multipliers have not settled. What they converge to stands at the end.
    """
    if history and "violation" in history[0]:
        return min(range(len(history)), key=lambda i: (history[i]["violation"], -i))
    losses = [row["validation_loss"] for row in history]
    return losses.index(min(losses))


def schedule_factor(schedule: str) -> Callable[[float], float]:
    """Return what the learning rate is multiplied by at each share x of all steps, by name."""
    return {
        "constant": lambda x: 1.0,
        "cosine": lambda x: 0.5 * (1 + math.cos(math.pi * x)),
        "one-cycle": _one_cycle,
        "flat-then-decay": lambda x: 0.01 ** max(0.0, (x - 0.7) / 0.3),
    }[schedule]


def _one_cycle(x: float) -> float:
    """Rise from 1/10 to 1 over the first 30%, fall as a cosine to 1/1000."""
    if x < 0.3:
        return 0.1 + 0.9 * x / 0.3
    return 0.001 + 0.999 * 0.5 * (1 + math.cos(math.pi * (x - 0.3) / 0.7))


class Data(lightning.LightningDataModule):
    """Cut batches for the rank that asks."""

    train: Batches

    def __init__(self, train: Dataset, validation: Dataset, settings: Training, seed: int):
        super().__init__()
        self.data = train, validation
        self.settings = settings
        self.seed = seed

    def _batches(self, data: Dataset, shuffle: bool) -> Batches:
        assert self.trainer is not None
        return Batches(
            data,
            self.settings.batch(len(self.data[0])),
            shuffle=shuffle,
            seed=self.seed,
            pool=self.settings.pool,
            longest=self.settings.longest,
            rank=self.trainer.global_rank,
            world=self.trainer.world_size,
        )

    def train_dataloader(self) -> Batches:
        self.train = self._batches(self.data[0], shuffle=True)
        return self.train

    def val_dataloader(self) -> Batches:
        return self._batches(self.data[1], shuffle=False)


def fit(
    model: nn.Module,
    objective: Objective,
    train: Dataset,
    validation: Dataset,
    settings: Training,
    *,
    folder: Path | None = None,
    seed: int = 0,
    resume: bool = False,
    title: str = "training",
    progress: bool = True,
) -> list[Epoch]:
    """Train `model` in place, leave it with the weights of the best validation loss.

    An `objective` with parameters of its own is trained and left alike; under constraints the best
    epoch is that of the lowest primary loss among those in which they hold (`Constrained`).
    Every epoch ends with a checkpoint in `folder` (None: a temporary one, for trainings too short
    to be resumed); with `resume` a training that was killed goes on from there and ends with the
    same weights as one that was not. Raises `Interrupted`
    naming the checkpoint on Ctrl-C, `InputError` if there is nothing to train on.
    """
    module = Module(model, objective, settings, seed)
    options: dict[str, Any] = {"resume": resume, "title": title, "progress": progress}
    return run(module, train, validation, folder=folder, **options)


def refuse_unseen(model: nn.Module, data: Dataset, longest: int | None, title: str) -> None:
    """Raise `InputError` where a model would be trained on a part of what it answers for."""
    cut = longest is not None and isinstance(data.inputs, Ragged)
    if cut and not any(getattr(part, "longest", None) == longest for part in model.modules()):
        raise InputError(
            f"longest is {longest}, and {title} would see more than that of what it is asked about;"
            " leave longest out, or cut the constituents in the file."
        )


def run(
    module: Module,
    train: Dataset,
    validation: Dataset,
    *,
    folder: Path | None,
    resume: bool,
    title: str,
    progress: bool,
) -> list[Epoch]:
    """Train what a module says, as `fit` documents it."""
    if folder is None:
        with TemporaryDirectory(prefix="colliderkit-") as temporary:
            return run(
                module,
                train,
                validation,
                folder=Path(temporary),
                resume=resume,
                title=title,
                progress=progress,
            )
    model, objective, settings, seed = module.model, module.objective, module.settings, module.seed
    if len(train) == 0 or len(validation) == 0:
        raise InputError("no events to train on or to validate with; give more events.")
    refuse_unseen(model, train, settings.longest, title)
    last = folder / CHECKPOINT
    if last.exists() and not resume:
        last.unlink()
    data = Data(train, validation, settings, seed)
    # After training, so that the state of this epoch's history is in the files; the last of all
    # knows which was the best. Lightning's own `save_last` would leave out epochs that are not.
    options: dict[str, Any] = {"save_on_train_epoch_end": True, "enable_version_counter": False}
    best = ModelCheckpoint(dirpath=folder, filename="best", monitor=WATCHED, **options)
    newest = ModelCheckpoint(dirpath=folder, filename=Path(CHECKPOINT).stem, **options)
    callbacks: list[Any] = [best, newest]
    if settings.patience is not None:
        callbacks.append(
            EarlyStopping(
                WATCHED,
                patience=settings.patience,
                check_finite=False,
                check_on_train_epoch_end=True,
            )
        )
    if progress:
        callbacks.append(Progress(title))
    with quiet():
        epochs = settings.passes(len(train))
        trainer = trainer_for(settings, ddp=module.ddp, callbacks=callbacks, max_epochs=epochs)
        try:
            trainer.fit(
                module,
                datamodule=data,
                ckpt_path=str(last) if resume and last.exists() else None,
                weights_only=True,
            )
        except (KeyboardInterrupt, SystemExit) as stop:
            raise _interruption(last) from stop
        if trainer.interrupted:
            raise _interruption(last)
    checkpoint = torch.load(best.best_model_path, weights_only=True, map_location="cpu")
    for part, trained in (("model.", model), ("objective.", objective)):
        if isinstance(trained, nn.Module):
            state = checkpoint["state_dict"] | checkpoint["leaves"]
            weights = {k.removeprefix(part): v for k, v in state.items() if k.startswith(part)}
            trained.to("cpu")
            trained.load_state_dict(weights)
            trained.eval()
    kept = module.best()
    guess = None
    if objective is cross_entropy:
        guess = guessing(validation.target, validation.weight)
    epochs_of = [Epoch(**row, best=i == kept, guess=guess) for i, row in enumerate(module.history)]
    warn_of_guessing(title, epochs_of)
    return epochs_of


def warn_of_guessing(
    title: str,
    epochs: Sequence[Epoch],
    how: str = "guessing by the shares of the classes",
    check: str = "the classes differ",
) -> None:
    """Warn if the best validation loss is not below that of guessing, `how` one guesses."""
    best = no_better_than_guessing(epochs)
    if best is not None:
        warnings.warn(
            f"{title}: learned nothing, its best validation loss is {best.validation_loss:.4g}"
            f" where {how} has {best.guess:.4g}; train longer, change learning_rate, or check"
            f" that {check}",
            stacklevel=2,
        )


def _interruption(checkpoint: Path) -> Interrupted:
    if checkpoint.exists():
        return Interrupted(
            f"interrupted; the last complete epoch is kept in {checkpoint},"
            " the same again with resume goes on from there."
        )
    return Interrupted("interrupted before the first epoch was complete; nothing was written.")


def trainer_for(settings: Training, *, ddp: str = "ddp", **options: Any) -> lightning.Trainer:
    """Build Lightning's trainer for the devices of `settings`, silent but for our own bar.

    `ddp` is the strategy for several of them.
    """
    devices = settings.devices
    if devices == "auto":
        devices = torch.cuda.device_count() or 1
    distributed = devices * settings.nodes > 1
    return lightning.Trainer(
        accelerator="auto" if torch.cuda.is_available() else "cpu",
        devices=devices,
        num_nodes=settings.nodes,
        strategy=ddp if distributed else "auto",
        precision=settings.precision,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        **options,
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Lightning's tips, banners and loader warnings off the user's screen."""
    loggers = [logging.getLogger(f"lightning.{name}") for name in ("pytorch", "fabric")]
    loggers.append(logging.getLogger("lightning.pytorch.utilities.rank_zero"))
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        warnings.filterwarnings("ignore", category=FutureWarning)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@torch.inference_mode()
def predict(model: nn.Module, data: Dataset, batch_size: int = 512) -> Tensor:
    """Return the model's outputs (N, outputs) for all events, in their order.

    Jets are sorted by length first, so that little is computed on padding.
    """
    model.eval()
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    inputs = data.inputs
    order = (
        torch.arange(len(data))
        if isinstance(inputs, Tensor)
        else inputs.lengths.argsort(stable=True)
    )
    parts = []
    for events in order.split(batch_size):
        batch = data.batch(events).to(device)
        parts.append(model(*batch.inputs).float().cpu())
    outputs = torch.empty(len(data), *parts[0].shape[1:])
    outputs[order] = torch.cat(parts)
    return outputs
