"""Gymnasium environments of the machines: one trial, and a batch for stable-baselines3.

Import this module where it is needed alone: it needs the extra ``control``.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.seeds import derive
from colliderkit.sources.machines import MACHINES
from colliderkit.sources.machines.machine import Machine, State

try:
    import gymnasium
    from stable_baselines3.common.vec_env import VecEnv
except ImportError as error:
    raise InputError(
        f"{error.name} is not installed; pip install 'colliderkit[control]'."
    ) from error

__all__ = ["BatchedEnvironment", "Environment"]

Array = NDArray[np.float32]


def spaces(machine: Machine) -> tuple[Any, Any]:
    """Return the spaces of observations and of actions, changes of the settings in [-1, 1]."""
    shape = machine.observe(machine.begin(machine.draw(1, 0)).seen).shape[1:]
    return (
        gymnasium.spaces.Box(-np.inf, np.inf, tuple(shape), np.float32),
        gymnasium.spaces.Box(-1.0, 1.0, (len(machine.settings),), np.float32),
    )


def asked(machine: Machine, state: State, actions: ArrayLike) -> torch.Tensor:
    """Return the settings that actions (B, S) in [-1, 1] ask for; what is not finite stays so."""
    steps = torch.as_tensor(np.asarray(actions), dtype=state.conditions.dtype).clamp(-1, 1)
    return state.seen.settings + steps * steps.new_tensor(machine.change)


def reward(machine: Machine, before: State, after: State) -> torch.Tensor:
    """Return minus the loss (B,), or by how much it fell where the best settings stay."""
    return before.loss - after.loss if machine.steady else -after.loss


class Environment(gymnasium.Env[Any, Any]):
    """Operate one simulated machine through Gymnasium's interface.

    An action in [-1, 1]^S changes the settings by as many of the machine's steps; limits, slew and
    the fallback to the table are the machine's, so that no action leaves them. The time limit of a
    trial is returned as `truncated`; nothing ends a trial before, `terminated` is never true. In
    `info` are the figures that are judged, and whether limits or the fallback cut what was asked.

    Args:
        machine: "beam-tuning", "prescales" or "high-voltage".
        options: of the machine, by name.
        trials: conditions (N, C), of which each reset draws one; new ones each time if not given.
    """

    def __init__(
        self,
        machine: str = "beam-tuning",
        options: dict[str, Any] | None = None,
        trials: ArrayLike | None = None,
    ) -> None:
        self.machine: Machine = MACHINES.build(machine, **(options or {}))
        self.trials = None if trials is None else self.machine.checked(trials)
        self.observation_space, self.action_space = spaces(self.machine)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Begin a trial; the same `seed` gives the same one, with the same noise."""
        super().reset(seed=seed)
        number = int(self.np_random.integers(2**31))
        if self.trials is None:
            trial = self.machine.draw(1, number)
        else:
            trial = self.trials[[number % len(self.trials)]]
        self.state = self.machine.begin(trial, derive(number, "noise"))
        return self._seen(), self._info()

    def step(self, action: Any) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Change the settings; return observation, reward, terminated, truncated and info."""
        before = self.state
        with torch.no_grad():
            wanted = asked(self.machine, before, np.asarray(action, dtype=np.float64)[None])
            self.state = self.machine.step(before, wanted)
        truncated = self.state.seen.time >= self.machine.horizon - 1
        gain = float(reward(self.machine, before, self.state)[0])
        return self._seen(), gain, False, truncated, self._info()

    def _seen(self) -> Array:
        seen: Array = self.machine.observe(self.state.seen)[0].numpy().astype(np.float32)
        return seen

    def _info(self) -> dict[str, Any]:
        figures = {name: float(value[0]) for name, value in self.state.figures.items()}
        cut = {"outside": bool(self.state.outside[0]), "fallback": bool(self.state.fallback[0])}
        return {**figures, **cut}


class BatchedEnvironment(VecEnv):
    """Operate many simulated machines at once, for stable-baselines3.

    All trials begin and end together. At the end a new batch is drawn from `trials` (N, C), and
    each info has ``TimeLimit.truncated`` and the last observation, so that the value beyond the
    time limit is bootstrapped.
    """

    def __init__(self, machine: Machine, trials: ArrayLike, count: int, seed: int) -> None:
        super().__init__(count, *spaces(machine))
        self.machine, self.seed_ = machine, seed
        self.trials = torch.as_tensor(np.asarray(trials), dtype=torch.float32)
        self.batches = 0

    def reset(self) -> Array:
        """Begin a batch of trials."""
        self.batches += 1
        draw = np.random.default_rng(derive(self.seed_, "batch", self.batches))
        rows = torch.from_numpy(draw.integers(0, len(self.trials), self.num_envs))
        noise = derive(self.seed_, "noise", self.batches)
        self.state = self.machine.begin(self.trials[rows], noise)
        return self._seen()

    def step_async(self, actions: Any) -> None:
        """Take the actions (B, S)."""
        self.actions = actions

    def step_wait(self) -> Any:
        """Return observations, rewards, whether trials are done, and infos."""
        before = self.state
        with torch.no_grad():
            self.state = self.machine.step(before, asked(self.machine, before, self.actions))
        gain = reward(self.machine, before, self.state).numpy()
        seen = self._seen()
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        done = self.state.seen.time >= self.machine.horizon - 1
        if done:
            infos = [{"TimeLimit.truncated": True, "terminal_observation": o} for o in seen]
            seen = self.reset()
        return seen, gain, np.full(self.num_envs, done), infos

    def close(self) -> None:
        """Do nothing: there is no process to end."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return an attribute, once for each machine."""
        return [getattr(self, attr_name, None)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute of the batch."""
        setattr(self, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> Any:
        """Refuse: machines of a batch have no methods of their own."""
        raise NotImplementedError(method_name)

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """Return that no machine of the batch is wrapped."""
        return [False] * len(list(self._get_indices(indices)))

    def _seen(self) -> Array:
        with torch.no_grad():
            seen: Array = self.machine.observe(self.state.seen).numpy()
        return seen
