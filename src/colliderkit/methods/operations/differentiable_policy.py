"""Policy trained by back-propagation through a differentiable machine: a learned optimiser."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from colliderkit.events.tables import Floats
from colliderkit.methods.operations.controller import Advisor, Controller
from colliderkit.networks.recurrent_policy import RecurrentPolicy
from colliderkit.progress import progress_bar
from colliderkit.seeds import derive
from colliderkit.sources.machines.machine import Machine, Seen

__all__ = ["DifferentiablePolicy"]

LEAD = 15  # steps before a window that does not begin with its trial, which are not trained on


class DifferentiablePolicy(Controller):
    """Learn to tune a machine by the gradient of its loss through whole sessions.

    A recurrent network sees settings, readings and goal and returns the change of the settings;
    the machine answers. As its response is in closed form, the mean loss of a session,

        min_phi  E_trial [ 1/T sum_t loss(s_t) ],   s_t+1 = safe(u_t + change * pi_phi(seen_0..t)),

    is minimised by its exact gradient over the T steps; u is what is set, or what a knapsack or a
    loop would set (`Machine.usual`), which an untrained policy leaves alone. Each session has other
    conditions (domain randomisation), so that the network infers what is not seen, offsets and the
    incoming beam, from its readings. What is drawn at random, a count or a trip, has no gradient
    and is taken as it fell. It needs a model of the machine; PPO needs none (`PPOPolicy`). After
    analytic policy gradients and learned optimisers (arXiv:1606.04474).

    Args:
        machine: "beam-tuning", "prescales" or "high-voltage".
        options: of the machine, by name.
        iterations: updates of the network, each over one session of `batch_size` machines.
        batch_size: machines at once.
        hidden: width of the network and of its memory.
        learning_rate: at the beginning; it falls to 0 as a cosine.
        window: readings of a session that an update goes through, from a random time of the
            trial on; all of them if not given. Long trials of machines that drift need no more.
    """

    name: ClassVar[str] = "differentiable-policy"

    network_: RecurrentPolicy
    losses_: list[float]

    def __init__(
        self,
        *,
        machine: str = "beam-tuning",
        options: dict[str, Any] | None = None,
        iterations: int = 1_000,
        batch_size: int = 256,
        hidden: int = 64,
        learning_rate: float = 3e-3,
        window: int | None = None,
    ) -> None:
        self.machine = machine
        self.options = options
        self.iterations = iterations
        self.batch_size = batch_size
        self.hidden = hidden
        self.learning_rate = learning_rate
        self.window = window

    def _learn(self, machine: Machine, trials: Floats, seed: int, progress: bool) -> None:
        conditions = torch.as_tensor(trials, dtype=torch.float32)
        draw = torch.Generator().manual_seed(derive(seed, "sessions"))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "network"))
            self._rebuild()
        network, self.losses_ = self.network_, []
        change = torch.tensor(machine.change)
        length = min(self.window or machine.horizon, machine.horizon)
        optimiser = torch.optim.Adam(network.parameters(), self.learning_rate)
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, self.iterations)
        with progress_bar(shown=progress) as bar:
            task = bar.add_task("sessions", total=self.iterations)
            for i in range(self.iterations):
                rows = torch.randint(len(conditions), (self.batch_size,), generator=draw)
                time = int(torch.randint(machine.horizon - length + 1, (), generator=draw))
                before = min(time, LEAD)
                noise = derive(seed, "noise", i)
                state = machine.begin(conditions[rows], noise, time=time - before)
                memory = network.empty(self.batch_size)
                total = torch.zeros(())
                for step in range(before + length - 1):
                    with torch.set_grad_enabled(step >= before):
                        action, memory = network(machine.observe(state.seen), memory)
                        state = machine.step(state, machine.usual(state.seen) + change * action)
                    if step >= before:
                        total = total + state.loss.mean()
                loss = total / (length - 1)
                optimiser.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimiser.step()
                falling.step()
                self.losses_.append(float(loss.detach()))
                bar.advance(task)
        network.eval()

    def _rebuild(self) -> None:
        machine = self.built
        shape = machine.observe(machine.begin(machine.draw(1, 0)).seen).shape[1]
        self.network_ = RecurrentPolicy(shape, len(machine.settings), self.hidden)

    def advisor(self, count: int, seed: int = 0) -> Advisor:
        """Return the policy with an empty memory of `count` machines."""
        machine, network = self.built, self.network_
        memory = network.empty(count)

        def advise(seen: Seen) -> Tensor:
            nonlocal memory
            action, memory = network(machine.observe(seen).float(), memory)
            return machine.usual(seen) + seen.settings.new_tensor(machine.change) * action

        return advise
