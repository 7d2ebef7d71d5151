"""Progress bar of a training."""

from typing import Any

from lightning.pytorch.callbacks import Callback
from rich.progress import Progress as Bar
from rich.progress import TextColumn

from colliderkit.progress import progress_bar

__all__ = ["Progress"]


class Progress(Callback):
    """Show the epoch, the best validation loss and the time left on one line."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.bar: Bar | None = None
        self.best = float("inf")

    def on_train_start(self, trainer: Any, module: Any) -> None:
        if trainer.global_rank:
            return
        self.bar = bar = progress_bar(TextColumn("{task.fields[state]}"))
        self.task = bar.add_task(
            self.title,
            total=trainer.estimated_stepping_batches,
            completed=trainer.fit_loop.epoch_loop.total_batch_idx + 1,  # two rivals step twice
            state="",
        )
        bar.start()

    def on_train_batch_end(self, trainer: Any, *ignored: Any) -> None:
        if self.bar is not None:
            self.bar.advance(self.task)

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        loss = float(trainer.callback_metrics.get("validation_loss", float("nan")))
        self.best = min(self.best, loss)
        if self.bar is not None:
            done = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
            self.bar.update(self.task, state=f"{done}, validation loss {self.best:.4f}")

    def teardown(self, trainer: Any, module: Any, stage: str) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
