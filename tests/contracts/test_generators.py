"""What every generator promises, checked on every member of the dictionary of names."""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest
import torch

from colliderkit.errors import InputError
from colliderkit.generators import GENERATORS
from colliderkit.generators.generator import Generator, own_loss
from colliderkit.serve.translation import session, translate

FEATURES, CONTEXT = 4, 2
# Small members where the full one would make the tests slow.
OPTIONS = {
    "diffusion": {"width": 16, "blocks": 1, "steps": 2},
    "flow": {"transforms": 1, "bins": 3, "hidden": (16,)},
    "flow-matching": {"width": 16, "blocks": 1, "steps": 2},
    "student-flow": {"transforms": 2, "bins": 3, "hidden": (16,)},
}
NAMES = sorted(GENERATORS)


def rows(count=6, seed=0):
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(count, FEATURES, generator=random) * torch.tensor([1.0, 5.0, 0.1, 30.0]) + 3
    return x, torch.rand(count, CONTEXT, generator=random) * 4 + 1


def model(name, seed=0) -> Generator:
    """A generator as after some training: what begins at zero is moved."""
    torch.manual_seed(seed)
    made = GENERATORS.build(name, features=FEATURES, context=CONTEXT, **OPTIONS.get(name, {}))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return made.fit_scaling(*rows(500, seed=1)).eval()


def noise(made, count=6, seed=2):
    return torch.randn(count, made.noise_size, generator=torch.Generator().manual_seed(seed))


def decoded(made, *inputs):
    with torch.no_grad():
        return made.decode(*inputs)


def test_no_generator_is_missing():
    for path in GENERATORS.values():
        assert importlib.util.find_spec(path.partition(":")[0]) is not None, path


def test_names_cost_no_import_of_torch():
    code = "import sys, colliderkit.generators; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_what_is_unknown_is_named():
    with pytest.raises(InputError, match="no generator is called 'nonsense'; choose one of"):
        GENERATORS.build("nonsense", features=1, context=1)
    for name in NAMES:
        with pytest.raises(InputError, match=f"'{name}' has no option 'nonsense'; it has"):
            GENERATORS.build(name, features=1, context=1, nonsense=1)


@pytest.mark.parametrize("name", NAMES)
def test_loss_is_a_finite_number_a_row(name):
    made = model(name)
    x, context = rows()
    for mode in (True, False):
        loss = made.train(mode)(x, None, context)
        assert loss.shape == (len(x), 1)
        assert bool(torch.isfinite(loss).all())
    # Two epochs are compared with equal noise.
    torch.testing.assert_close(made(x, None, context), made(x, None, context), rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_all_parameters(name):
    made = model(name).train()
    x, context = rows(64)
    own_loss(made(x, None, context), torch.zeros(64), torch.ones(64)).backward()
    for title, parameter in made.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, title
            assert bool(torch.isfinite(parameter.grad).all()), title
            assert bool(parameter.grad.any()), title


@pytest.mark.parametrize("name", NAMES)
def test_decode_is_deterministic_and_each_row_its_own(name):
    made = model(name)
    _, context = rows()
    z = noise(made)
    x = decoded(made, z, context)
    assert x.shape == (6, FEATURES)
    torch.manual_seed(99)
    assert torch.equal(decoded(made, z, context), x)
    alone = torch.cat([decoded(made, z[i : i + 1], context[i : i + 1]) for i in range(6)])
    # Other kernels for one row: rounding, in units of each feature's spread.
    torch.testing.assert_close(made.scaled(x), made.scaled(alone), rtol=1e-4, atol=1e-4)
    # Neither noise nor context is ignored.
    assert not torch.allclose(x, decoded(made, noise(made, seed=5), context))
    assert not torch.allclose(x, decoded(made, z, context.flip(0)))


@pytest.mark.parametrize("name", NAMES)
def test_samples_are_in_units_of_the_data(name):
    made = model(name)
    _, context = rows()
    z = noise(made)
    x = decoded(made, z, context)
    made.scaling.mean += 7
    made.scaling.std *= 2
    moved = decoded(made, z, context)
    mean = made.scaling.mean - 7
    torch.testing.assert_close((moved - mean - 7) / 2, x - mean, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_seeds_repeat_and_differ(name):
    made = model(name)
    _, context = rows()
    x = made.sample(context, seed=1)
    assert torch.equal(made.sample(context, seed=1), x)
    assert not torch.equal(made.sample(context, seed=2), x)


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_state_gives_the_same_samples(name):
    one, two = model(name), model(name, seed=7)
    _, context = rows()
    assert not torch.equal(one.sample(context), two.sample(context))
    two.load_state_dict(one.state_dict())
    assert torch.equal(one.sample(context), two.sample(context))


@pytest.mark.parametrize("name", NAMES)
def test_extreme_contexts_give_finite_samples(name):
    made = model(name)
    context = torch.tensor([[0.0, 0.0], [1e6, -1e6], [-1e30, 1e30]])
    assert bool(torch.isfinite(decoded(made, 4 * noise(made, 3), context)).all())


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_onnx_gives_the_same_samples(name):
    made = model(name)

    class Decode(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = made

        def forward(self, z, context):
            return self.model.decode(z, context)

    batch = torch.export.Dim("batch")
    _, context = rows()
    proto = translate(
        Decode().eval(), (noise(made), context), ["noise", "context"], ["x"],
        ({0: batch}, {0: batch}), name,
    )  # fmt: skip
    running = session(proto.SerializeToString())
    for count in (1, 9):
        z, (_, context) = noise(made, count), rows(count)
        (x,) = running.run(None, {"noise": z.numpy(), "context": context.numpy()})
        truth = decoded(made, z, context).numpy()
        assert np.abs(x - truth).max() <= 1e-5 * np.abs(truth).max()
