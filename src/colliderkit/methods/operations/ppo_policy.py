"""Policy trained by reinforcement learning (PPO) over batched machines."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from colliderkit.events.tables import Floats
from colliderkit.methods.operations.controller import Advisor, Controller
from colliderkit.progress import progress_bar
from colliderkit.seeds import derive
from colliderkit.sources.machines.machine import Machine, Seen

__all__ = ["PPOPolicy"]


class PPOPolicy(Controller):
    """Learn a policy by proximal policy optimisation (PPO, arXiv:1707.06347), without a model.

    A perceptron maps what is seen now to a change of the settings. stable-baselines3 trains it by
    rewards alone, over `batch_size` machines that respond at once, so that a million steps take
    minutes; conditions are drawn anew in each trial (domain randomisation). The reward is by how
    much the loss fell, or minus the loss where the best settings move. The time limit of a trial
    is no end of it: its value is bootstrapped.

    What is kept is the perceptron, as tensors; the archive of stable-baselines3, which is unpickled
    when it is read, is never written. Needs stable-baselines3.

    Args:
        machine: "beam-tuning", "prescales" or "high-voltage".
        options: of the machine, by name.
        steps: readings to train on, over all machines.
        batch_size: machines at once.
        hidden: width of both layers.
        learning_rate: at the beginning; it falls to 0 linearly.
        discount: of a reward one step later.
    """

    name: ClassVar[str] = "ppo-policy"

    network_: nn.Sequential
    rewards_: list[float]  # mean reward of a step, rollout by rollout

    def __init__(
        self,
        *,
        machine: str = "beam-tuning",
        options: dict[str, Any] | None = None,
        steps: int = 1_000_000,
        batch_size: int = 256,
        hidden: int = 64,
        learning_rate: float = 1e-3,
        discount: float = 0.9,
    ) -> None:
        self.machine = machine
        self.options = options
        self.steps = steps
        self.batch_size = batch_size
        self.hidden = hidden
        self.learning_rate = learning_rate
        self.discount = discount

    def _learn(self, machine: Machine, trials: Floats, seed: int, progress: bool) -> None:
        from colliderkit.methods.operations.environment import BatchedEnvironment

        # isort: split
        from stable_baselines3 import PPO
        from stable_baselines3.common.callbacks import BaseCallback

        environment = BatchedEnvironment(machine, trials, self.batch_size, derive(seed, "trials"))
        self.rewards_ = rewards = []
        length = 25
        rollouts = max(1, round(self.steps / (self.batch_size * length)))
        with (
            own_randomness(),
            progress_bar(shown=progress) as bar,
        ):
            task = bar.add_task("rollouts", total=rollouts)

            class Follow(BaseCallback):
                def _on_step(self) -> bool:
                    return True

                def _on_rollout_end(self) -> None:
                    model: Any = self.model
                    rewards.append(float(model.rollout_buffer.rewards.mean()))
                    bar.advance(task)

            model = PPO(
                "MlpPolicy",
                environment,
                n_steps=length,
                batch_size=self.batch_size * length // 5,
                n_epochs=5,
                gamma=self.discount,
                gae_lambda=0.9,
                learning_rate=lambda left: self.learning_rate * left,
                policy_kwargs={
                    "net_arch": [self.hidden, self.hidden],
                    "log_std_init": -1.0,
                    "activation_fn": nn.Tanh,
                },
                device="cpu",
                seed=derive(seed, "ppo") % 2**32,
            )
            model.learn(rollouts * self.batch_size * length, callback=Follow())
        self._rebuild()
        own = [*model.policy.mlp_extractor.policy_net, model.policy.action_net]
        for ours, theirs in zip(self.network_, own, strict=True):
            ours.load_state_dict(theirs.state_dict())
        self.network_.eval()

    def _rebuild(self) -> None:
        machine = self.built
        inputs = machine.observe(machine.begin(machine.draw(1, 0)).seen).shape[1]
        self.network_ = nn.Sequential(
            nn.Linear(inputs, self.hidden),
            nn.Tanh(),
            nn.Linear(self.hidden, self.hidden),
            nn.Tanh(),
            nn.Linear(self.hidden, len(machine.settings)),
        )

    def advisor(self, count: int, seed: int = 0) -> Advisor:
        """Return the policy: the mean of its actions, which remembers nothing."""
        machine, network = self.built, self.network_

        def advise(seen: Seen) -> Tensor:
            action = network(machine.observe(seen).float()).clamp(-1, 1)
            return seen.settings + seen.settings.new_tensor(machine.change) * action

        return advise


@contextmanager
def own_randomness() -> Iterator[None]:
    """Give a block random numbers that it may seed; those of the caller go on as if it was not."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
