"""Base of all unfoldings: one checked sample of data and simulation."""

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Self

import awkward as ak
import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.methods.method import Method
from colliderkit.methods.unfolding.sample import UnfoldingSample

__all__ = ["Unfolding"]

Floats = NDArray[np.float64]


class Unfolding(Method):
    """Correct measured events for the detector, by a simulation at truth and detector level.

    A subclass gives `_fit`, on a sample that is checked here.
    """

    particles: ClassVar[bool] = False  # whether levels may be jet arrays

    def fit(
        self,
        data: Any,
        reco: Any,
        truth: Any,
        *,
        pass_reco: ArrayLike | None = None,
        pass_truth: ArrayLike | None = None,
        background: Any = None,
        background_weight: ArrayLike | None = None,
        event: ArrayLike | None = None,
        data_event: ArrayLike | None = None,
        data_weight: ArrayLike | None = None,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Unfold `data` (D, C) with the simulation `reco` (N, C), `truth` (N, T); return self.

        Args:
            data, reco, truth: tables, or jet arrays where the method takes them.
            pass_reco, pass_truth: (N,), what the detector sees and what is to be unfolded; all
                events if not given. What does not pass may be anything.
            background, background_weight: events (B, C) to be subtracted from the data; their
                weights (B,) sum to how many are expected.
            event, data_event: (N,), (D,), whole numbers by which events are split and drawn
                again; rows if not given.
            data_weight: (D,), of the measured events.
            weight: (N,), of the simulated events at both levels.
            seed: of all that is random.
            folder, resume: where finished iterations are kept, by methods that keep any, and
                whether to go on from those that are there.
            progress: whether to show a bar.

        Raises `InputError` for a sample that cannot be unfolded.
        """
        sample = UnfoldingSample.checked(
            data,
            reco,
            truth,
            pass_reco=pass_reco,
            pass_truth=pass_truth,
            weight=weight,
            data_weight=data_weight,
            background=background,
            background_weight=background_weight,
            event=event,
            data_event=data_event,
        )
        return self.fit_sample(sample, seed=seed, folder=folder, resume=resume, progress=progress)

    def fit_sample(
        self,
        sample: UnfoldingSample,
        *,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Unfold a checked sample; see `fit`."""
        self._begin(
            seed=seed,
            folder=folder,
            resume=resume,
            sample=sample,
        )
        if not self.particles and any(
            isinstance(level, ak.Array) for level in (sample.data, sample.reco, sample.truth)
        ):
            raise InputError(
                f"{type(self).__name__} unfolds tables of observables, and jets are given; compute"
                " observables of them, or take OmniFold for all particles."
            )
        self._fit(sample, None if folder is None else Path(folder), resume, progress)
        return self

    @abstractmethod
    def _fit(
        self, sample: UnfoldingSample, folder: Path | None, resume: bool, progress: bool
    ) -> None:
        """Unfold a checked sample, with `seed_` set."""
