"""What all classifiers of jets share: a checking fit, and probabilities of classes."""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias

import awkward as ak
import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.methods.method import Method
from colliderkit.training.settings import Epoch

if TYPE_CHECKING:
    from colliderkit.methods.tagging.tagger import Tagger

__all__ = ["Classifier", "Jets"]

# A jet array, or chunks of one.
Jets: TypeAlias = Any


class Classifier(Method):
    """Classify jets: give the probability of each class.

    A subclass gives `_fit`, `predict_proba` and `tagger`, where the names of the classes and the
    network stand. A table of events without constituents is a jet array too.
    """

    resumable: ClassVar[bool] = True
    history_: dict[str, list[Epoch]]

    def fit(
        self,
        jets: Jets,
        validation: ak.Array | None = None,
        *,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Train on jets with a `label` and return self.

        `jets` is a jet array, or chunks of one: a single tagger writes these to `folder` one by one
        and trains from there, so that its memory does not grow with their number. `validation` jets
        choose the epoch; without them a share of the events does. `weight` (N,) multiplies the
        jets' own. Negative weights stay negative in the loss, which is then unbiased as long as
        each class sums to a positive weight. Checkpoints go to `folder`; `resume` goes on from the
        last.
        """
        self._begin(
            seed=seed,
            folder=folder,
            resume=resume,
            jets=jets,
            validation=validation,
            weight=weight,
        )
        self._check()
        with _folder(folder) as work:
            where = {"folder": work, "resume": resume, "progress": progress}
            self._fit(jets, validation, weight, **where)
        return self

    @property
    @abstractmethod
    def tagger(self) -> "Tagger":
        """The tagger itself, or the one that is fitted several times."""

    def _check(self) -> None:
        """Raise `InputError` for arguments that do not go together."""

    @abstractmethod
    def _fit(
        self, jets: Jets, validation: ak.Array | None, weight: ArrayLike | None, **where: Any
    ) -> None:
        """Learn with the seed `seed_`; `where` are folder, resume and progress.

        The folder is there, if only for as long as the fit takes.
        """

    @abstractmethod
    def predict_proba(self, jets: ak.Array) -> NDArray[np.float64]:
        """Return the probability of each class, (N, K); rows sum to 1."""

    def predict(self, jets: ak.Array) -> NDArray[np.int64]:
        """Return the likeliest class of each jet, (N,)."""
        return self.predict_proba(jets).argmax(1)


@contextmanager
def _folder(folder: str | Path | None) -> Iterator[Path]:
    """Make the folder, or where none is named one that goes when the block ends."""
    if folder is None:
        with TemporaryDirectory(prefix="colliderkit-") as temporary:
            yield Path(temporary)
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    yield Path(folder)
