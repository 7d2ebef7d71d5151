import math
import os
import signal
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from colliderkit.errors import InputError, Interrupted
from colliderkit.losses.classification import cross_entropy
from colliderkit.training import fit as module
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit, predict
from colliderkit.training.learning_rate import find_learning_rate
from colliderkit.training.settings import Training


class Toy(nn.Module):
    """A small network with dropout, so that randomness in training would show."""

    def __init__(self, seed: int = 1) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.layers = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 2))

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        return self.layers(x)


def gaussians(count: int, seed: int = 0) -> Dataset:
    """Two unit Gaussians, one unit apart in each of two dimensions."""
    random = torch.Generator().manual_seed(seed)
    label = torch.randint(0, 2, (count,), generator=random)
    x = torch.randn(count, 2, generator=random) + label[:, None]
    return Dataset(x, label, torch.ones(count))


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


SETTINGS = Training(epochs=4, batch_size=128, learning_rate=1e-2, devices=1)


def test_reaches_the_optimal_loss(tmp_path: Path) -> None:
    model = Toy()
    settings = Training(epochs=8, batch_size=256, learning_rate=2e-2, devices=1)
    test = gaussians(20_000, 2)
    fit(
        model, cross_entropy, gaussians(20_000), gaussians(5_000, 1), settings,
        folder=tmp_path, progress=False,
    )  # fmt: skip
    exact = torch.stack([torch.zeros(20_000), test.inputs.sum(1) - 1], 1)
    reached = float(cross_entropy(predict(model, test), test.target, test.weight))
    optimal = float(cross_entropy(exact, test.target, test.weight))
    assert reached - optimal < 0.003


def test_same_seed_same_weights_other_seed_others(tmp_path: Path) -> None:
    found = []
    for seed in (3, 3, 4):
        model = Toy()
        fit(
            model, cross_entropy, gaussians(1000), gaussians(300, 1), SETTINGS,
            folder=tmp_path, seed=seed, progress=False,
        )  # fmt: skip
        found.append(weights(model))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_a_killed_training_resumes_exactly(tmp_path: Path, monkeypatch) -> None:
    whole = Toy()
    data, held = gaussians(1000), gaussians(300, 1)
    expected = fit(
        whole, cross_entropy, data, held, SETTINGS, folder=tmp_path / "a", seed=3, progress=False
    )

    class Killed(Exception):
        pass

    start = module.Module.on_train_epoch_start

    def die(self: module.Module) -> None:
        if self.current_epoch == 2:
            raise Killed
        start(self)

    monkeypatch.setattr(module.Module, "on_train_epoch_start", die)
    with pytest.raises(Killed):
        fit(
            Toy(),
            cross_entropy,
            data,
            held,
            SETTINGS,
            folder=tmp_path / "b",
            seed=3,
            progress=False,
        )
    monkeypatch.undo()
    resumed = Toy(seed=99)
    history = fit(
        resumed, cross_entropy, data, held, SETTINGS,
        folder=tmp_path / "b", seed=3, resume=True, progress=False,
    )  # fmt: skip
    assert torch.equal(weights(whole), weights(resumed))
    assert [e.validation_loss for e in history] == [e.validation_loss for e in expected]


def test_parts_of_an_epoch_make_its_loss(tmp_path: Path) -> None:
    settings = Training(epochs=2, batch_size=10, devices=1)
    history = fit(
        Toy(), cross_entropy, gaussians(400), gaussians(100, 1), settings, folder=tmp_path,
        progress=False,
    )  # fmt: skip
    for epoch in history:
        assert len(epoch.parts) == 10  # of four batches each
        assert sum(epoch.parts) / 10 == pytest.approx(epoch.training_loss, rel=1e-5)
    assert history[0].parts[0] > history[1].parts[-1]


def test_the_best_epoch_is_kept(tmp_path: Path) -> None:
    # So few events overtrain: the best epoch is not the last.
    settings = Training(epochs=30, batch_size=8, learning_rate=5e-2, schedule="constant", devices=1)
    model, held = Toy(), gaussians(400, 1)
    history = fit(
        model, cross_entropy, gaussians(16), held, settings, folder=tmp_path, progress=False
    )
    best = min(history, key=lambda epoch: epoch.validation_loss)
    assert best.best
    assert sum(epoch.best for epoch in history) == 1
    loss = float(cross_entropy(predict(model, held), held.target, held.weight))
    assert loss == pytest.approx(best.validation_loss, rel=1e-5)
    assert best.epoch != history[-1].epoch


def test_patience_stops_early(tmp_path: Path) -> None:
    settings = Training(
        epochs=60, batch_size=8, learning_rate=5e-2, schedule="constant", patience=3, devices=1
    )
    history = fit(
        Toy(), cross_entropy, gaussians(16), gaussians(400, 1), settings,
        folder=tmp_path, progress=False,
    )  # fmt: skip
    best = next(epoch.epoch for epoch in history if epoch.best)
    assert len(history) == best + 1 + 3 < 60


def test_a_diverging_loss_is_named(tmp_path: Path) -> None:
    data = gaussians(200)
    broken = Dataset(data.inputs * float("inf"), data.target, data.weight)
    with pytest.raises(InputError, match="the loss became nan in epoch 0"):
        fit(Toy(), cross_entropy, broken, data, SETTINGS, folder=tmp_path, progress=False)


def test_mixed_precision_trains(tmp_path: Path) -> None:
    settings = Training(
        epochs=3, batch_size=128, learning_rate=2e-2, precision="bf16-mixed", devices=1
    )
    history = fit(
        Toy(), cross_entropy, gaussians(4000), gaussians(1000, 1), settings,
        folder=tmp_path, progress=False,
    )  # fmt: skip
    # The optimal loss of this toy is 0.487; a coin has 0.693.
    assert history[-1].validation_loss < 0.52


def test_negative_weights_cancel(tmp_path: Path) -> None:
    """Events of weight 1 and their copies of weight -1 leave the gradient of the others."""
    base, extra = gaussians(500), gaussians(300, 7)
    inputs = torch.cat([base.inputs, extra.inputs, extra.inputs])
    target = torch.cat([base.target, extra.target, extra.target])
    weight = torch.cat([torch.ones(500), torch.ones(300), -torch.ones(300)])
    model = Toy().eval()
    grads = []
    for x, y, w in ((base.inputs, base.target, base.weight), (inputs, target, weight)):
        model.zero_grad()
        (cross_entropy(model(x), y, w) * len(x)).backward()
        grads.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-4, atol=1e-3)


def test_learning_rate_scan_finds_a_usable_rate() -> None:
    model = Toy()
    before = weights(model).clone()
    found = find_learning_rate(
        model, cross_entropy, gaussians(5000), Training(batch_size=64, devices=1)
    )
    assert torch.equal(weights(model), before)
    assert 1e-3 < found.suggestion < 0.5
    assert len(found.rates) == len(found.losses)


def test_settings_are_checked() -> None:
    with pytest.raises(InputError, match="epochs is 0"):
        Training(epochs=0)
    with pytest.raises(InputError, match="learning_rate is -1"):
        Training(learning_rate=-1)


@pytest.mark.parametrize(
    ("events", "batch", "epochs"),
    [
        (1, 32, 100),
        (500, 32, 100),
        (1_500, 32, 43),
        (6_400, 64, 20),
        (8_500, 64, 20),
        (30_000, 256, 20),
        (10**6, 256, 20),
    ],
)
def test_few_events_are_passed_often_enough_in_small_batches(
    events: int, batch: int, epochs: int
) -> None:
    settings = Training()
    assert settings.batch(events) == batch
    assert settings.passes(events) == epochs
    assert Training(epochs=3, batch_size=7).batch(events) == 7
    assert Training(epochs=3, batch_size=7).passes(events) == 3


SCRIPT = """
    import sys
    import torch
    sys.path.insert(0, {tests!r})
    from pathlib import Path
    from training.test_fit import Toy, gaussians
    from colliderkit.errors import Interrupted
    from colliderkit.losses.classification import cross_entropy
    from colliderkit.training.fit import fit
    from colliderkit.training.settings import Training
    if __name__ == "__main__":
        settings = Training(epochs={epochs}, batch_size=64, devices={devices})
        try:
            fit(Toy(), cross_entropy, gaussians(20000), gaussians(300, 1), settings,
                folder=Path({folder!r}), progress=False)
        except Interrupted as stop:
            print("said:", stop)
"""


def script(folder: Path, epochs: int, devices: int) -> Path:
    path = folder / "train.py"
    tests = str(Path(__file__).parents[1])
    path.write_text(
        textwrap.dedent(SCRIPT).format(
            tests=tests, folder=str(folder / "work"), epochs=epochs, devices=devices
        )
    )
    return path


@pytest.mark.slow
def test_ctrl_c_keeps_and_names_the_last_checkpoint(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, script(tmp_path, 10_000, 1)], stdout=subprocess.PIPE, text=True
    )
    checkpoint = tmp_path / "work" / "last.ckpt"
    try:
        for _ in range(600):
            if checkpoint.exists():
                break
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.2)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert f"said: interrupted; the last complete epoch is kept in {checkpoint}" in out
    assert torch.load(checkpoint, weights_only=True)["epoch"] >= 0


@pytest.mark.slow
def test_two_processes_train_as_one_model(tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, script(tmp_path, 2, 2)], check=True, timeout=300, env=environment
    )
    checkpoint = torch.load(tmp_path / "work" / "last.ckpt", weights_only=True)
    # 20000 events / 64 / 2 ranks: 156 steps an epoch on each.
    assert checkpoint["global_step"] == 2 * 156
    assert checkpoint["history"][-1]["validation_loss"] < 0.55


def test_interrupted_is_not_an_input_error() -> None:
    assert not issubclass(Interrupted, InputError)


def test_a_training_that_learned_nothing_is_said() -> None:
    """Labels that are drawn without a look at the inputs; `guess` is the entropy of the shares."""
    from colliderkit.losses.classification import guessing

    target, weight = torch.tensor([0, 0, 0, 1]), torch.tensor([1.0, 1.0, 1.0, 3.0])
    assert guessing(target, weight) == pytest.approx(6 / 4 * math.log(2), rel=1e-12)
    shares = torch.tensor([0.25, 0.75])
    assert guessing(target, torch.ones(4)) == pytest.approx(float(-(shares * shares.log()).sum()))
    assert guessing(target, torch.tensor([1.0, 1.0, 1.0, -1.0])) is None
    x = torch.randn(400, 2, generator=torch.Generator().manual_seed(1))
    y = (x[:, 0] > 0).long()
    data = Dataset(x, y, torch.ones(400))
    # The validation events have the other classes: whatever is learned is worse than a guess.
    inverted = Dataset(x, 1 - y, torch.ones(400))
    settings = Training(epochs=3, batch_size=50, learning_rate=0.1, devices=1)
    with pytest.warns(UserWarning, match="learned nothing, its best validation loss is"):
        history = fit(Toy(), cross_entropy, data, inverted, settings, progress=False)
    assert history[-1].guess == pytest.approx(guessing(1 - y, torch.ones(400)))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        fit(Toy(), cross_entropy, data, data, settings, progress=False)
