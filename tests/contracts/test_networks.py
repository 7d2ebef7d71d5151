"""What every network promises, checked on every member of the dictionary of names."""

import copy
import importlib.util
import subprocess
import sys
from functools import cache

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file, save_file

from colliderkit.errors import InputError
from colliderkit.events.images import JetImage
from colliderkit.events.ragged import Ragged
from colliderkit.events.scaling import Standardise
from colliderkit.events.sequences import ParticleSequence
from colliderkit.events.sets import ParticleSet
from colliderkit.losses.classification import cross_entropy
from colliderkit.networks import NETWORKS
from colliderkit.networks.model import Model
from colliderkit.networks.pointwise import Dropout
from colliderkit.serve.onnx import export

COLUMNS = ("px", "py", "pz", "E")
# Grown, not trained by gradients: its own tests hold what is below.
GROWN = {"boosted-trees"}
TRAINED = sorted(set(NETWORKS) - GROWN)
# A permutation of the particles changes nothing but the rounding; a table has no particles.
ON_PARTICLES = [n for n in TRAINED if NETWORKS.load(n).representation != "table"]
# Small members where the full one would make the tests slow.
OPTIONS = {
    "particle-net": {"blocks": ((16, 16), (32, 32)), "neighbours": 5, "hidden": 16},
    "particle-transformer": {"blocks": 2, "class_blocks": 1},
}
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}
# A bias before a batch normalisation has no effect: its gradient is zero in truth.
IDLE = {"particle-transformer": ("pairs.layers.linears.", ".bias")}
LENGTHS = (9, 4, 1, 0, 13, 7)


@cache
def model(name, outputs=2):
    """Compose the network with its representation; statistics as after some training."""
    torch.manual_seed(1)
    kind = NETWORKS.load(name).representation
    if kind == "table":
        part = Standardise(5).fit(torch.randn(50, 5))
        inputs = 5
    elif kind == "image":
        part = JetImage(COLUMNS, pixels=40)
        inputs = part.size
    else:
        part = {"set": ParticleSet, "sequence": ParticleSequence}[kind](COLUMNS)
        inputs = part.size
    made = Model(
        part, NETWORKS.build(name, inputs=inputs, outputs=outputs, **OPTIONS.get(name, {}))
    )
    with torch.no_grad():
        if name == "linear":
            torch.nn.init.normal_(made.network.layer.weight)
        for module in made.modules():
            if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 2)
    return made.eval()


def data(name, lengths=LENGTHS, seed=0):
    """Random inputs of the model: (values, mask) or a table alone."""
    random = torch.Generator().manual_seed(seed)
    if NETWORKS.load(name).representation == "table":
        return (torch.randn(len(lengths), 5, generator=random),)
    size = max(lengths)
    mask = torch.arange(size) < torch.tensor(lengths)[:, None]
    pt = torch.rand(mask.shape, generator=random) * 50 + 0.5
    eta, phi = torch.randn(2, *mask.shape, generator=random) * 0.2
    axis = torch.randn(2, len(lengths), 1, generator=random)
    eta, phi = eta + axis[0], phi + axis[1]
    values = torch.stack([pt * phi.cos(), pt * phi.sin(), pt * eta.sinh(), pt * eta.cosh()], -1)
    return values * mask[..., None], mask


def answer(name, *inputs, outputs=2):
    with torch.no_grad():
        return model(name, outputs)(*inputs)


def test_no_network_is_missing():
    for path in NETWORKS.values():
        assert importlib.util.find_spec(path.partition(":")[0]) is not None, path
    assert set(ON_PARTICLES) | {"linear", "mlp"} == set(TRAINED)


def test_names_cost_no_import_of_torch():
    code = "import sys, colliderkit.networks; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_an_unknown_name_lists_the_known():
    with pytest.raises(
        InputError, match=r"no network is called 'lorentz-net'; choose one of .*pfn"
    ):
        NETWORKS.build("lorentz-net", inputs=3)


def test_an_option_of_another_network_is_named():
    with pytest.raises(InputError, match="'pfn' has no option 'neighbours'; it has phi, f, batch"):
        NETWORKS.build("pfn", inputs=3, neighbours=4)
    with pytest.raises(InputError, match="'linear' has no option 'dropout'; it has none"):
        NETWORKS.build("linear", inputs=3, dropout=0.5)


@pytest.mark.parametrize("outputs", [2, 5])
@pytest.mark.parametrize("name", TRAINED)
def test_outputs_have_their_shape_and_are_finite_for_short_and_empty_jets(name, outputs):
    logits = answer(name, *data(name), outputs=outputs)
    assert logits.shape == (len(LENGTHS), outputs)
    assert logits.isfinite().all()
    alone = answer(name, *data(name, lengths=(1,)), outputs=outputs)
    assert alone.isfinite().all()
    if NETWORKS.load(name).representation != "table":
        empty = torch.zeros(2, 1, 4), torch.zeros(2, 1, dtype=torch.bool)
        assert answer(name, *empty, outputs=outputs).isfinite().all()


@pytest.mark.parametrize("name", TRAINED)
def test_every_parameter_gets_a_gradient(name):
    fresh = Model(model(name).representation, build_again(name)).train()
    if name == "linear":
        torch.nn.init.normal_(fresh.network.layer.weight)
    fresh(*data(name, lengths=(9, 13, 12, 14, 10, 11))).square().sum().backward()
    for where, p in fresh.named_parameters():
        assert p.grad is not None, where
        assert p.grad.isfinite().all(), where
    zero = [where for where, p in fresh.named_parameters() if not p.grad.any()]
    assert [
        where for where in zero if not all(part in where for part in IDLE.get(name, ("?",)))
    ] == []


def build_again(name, outputs=2):
    torch.manual_seed(2)
    kind = NETWORKS.load(name).representation
    inputs = {"table": 5, "image": 1}.get(kind) or model(name).representation.size
    return NETWORKS.build(name, inputs=inputs, outputs=outputs, **OPTIONS.get(name, {}))


def loss_and_gradients(made, inputs, target, weight):
    """The weighted cross-entropy of one full batch, and its gradient by every parameter."""
    made.zero_grad()
    loss = cross_entropy(made(*inputs), target, weight / weight.mean())  # as methods give them
    loss.backward()
    return loss.detach(), {n: p.grad for n, p in made.named_parameters() if p.grad is not None}


def in_double(name):
    """A copy of the model in double precision, without dropout, ready for gradients."""
    made = copy.deepcopy(model(name)).double()
    for module in made.modules():
        if isinstance(module, torch.nn.Dropout | Dropout):
            module.p = 0.0
    return made


@pytest.mark.parametrize("name", TRAINED)
def test_a_weight_of_two_is_the_event_twice(name):
    """In loss and gradient of a full batch, with the statistics of a batch normalisation at rest.

    While it trains, a batch normalisation counts events, not weights: there it holds where every
    event stands twice, which leaves the statistics as they are.
    """
    inputs = [x.double() if x.is_floating_point() else x for x in data(name)]
    target = torch.arange(len(LENGTHS)) % 2
    twice = torch.tensor([0, 2, 3])
    weight = torch.ones(len(LENGTHS), dtype=torch.float64)
    heavy = weight.clone()
    heavy[twice] = 2
    everything = torch.arange(len(LENGTHS))
    for training, weights, again in (
        (False, heavy, twice),
        (True, 2 * weight, everything),
    ):
        rows = torch.cat([everything, again])
        made = in_double(name).train(training)
        one = loss_and_gradients(made, inputs, target, weights)
        other = loss_and_gradients(
            made, [x[rows] for x in inputs], target[rows], torch.ones(len(rows)).double()
        )
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ON_PARTICLES)
def test_padding_is_not_seen(name):
    values, mask = data(name)
    more = torch.full((len(values), 5, 4), 3.0)
    padded = torch.cat([values, more], 1), torch.cat([mask, more[..., 0] < 0], 1)
    torch.testing.assert_close(answer(name, *padded), answer(name, values, mask), **TOLERANCE)


@pytest.mark.parametrize("name", TRAINED)
def test_batch_mates_are_not_seen(name):
    inputs = data(name)
    together = answer(name, *inputs)
    for i in range(len(LENGTHS)):
        alone = answer(name, *(x[i : i + 1] for x in inputs))
        torch.testing.assert_close(alone, together[i : i + 1], **TOLERANCE)


@pytest.mark.parametrize("name", ON_PARTICLES)
def test_the_order_of_the_particles_is_not_seen(name):
    # Images pile up, sets are symmetric, and a sequence is sorted by its representation. Real
    # particles stay first, as in every batch.
    values, mask = data(name)
    order = (
        torch.rand(mask.shape, generator=torch.Generator().manual_seed(4)) - 1.0 * mask
    ).argsort(1)
    mixed = values.gather(1, order[..., None].expand(-1, -1, 4)), mask.gather(1, order)
    torch.testing.assert_close(answer(name, *mixed), answer(name, values, mask), **TOLERANCE)


@pytest.mark.parametrize("name", TRAINED)
def test_saved_and_loaded_is_identical(name, tmp_path):
    save_file(model(name).state_dict(), tmp_path / "weights.safetensors")
    kind = NETWORKS.load(name).representation
    fresh = Standardise(5) if kind == "table" else type(model(name).representation)(COLUMNS)
    other = Model(fresh, build_again(name)).eval()
    inputs = data(name)
    with torch.no_grad():
        assert not torch.equal(other(*inputs), answer(name, *inputs))
        other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
        assert torch.equal(other(*inputs), answer(name, *inputs))


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_onnx_gives_the_same_for_any_batch_and_length(name, tmp_path):
    values, *masks = data(name, lengths=(9, 4, 1, 13, 7, 2) * 5)
    example = values
    if masks:
        lengths = masks[0].sum(1)
        example = Ragged(values[masks[0]], lengths.cumsum(0) - lengths, lengths, COLUMNS)
    path = tmp_path / "model.onnx"
    columns = [f"x{i}" for i in range(values.shape[-1])]
    export(model(name), path, example=example, classes=("background", "signal"), columns=columns)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (node,) = session.get_inputs()
    for lengths in (LENGTHS, (3, 30, 0), (1,)):
        other = data(name, lengths, seed=3)
        found = session.run(None, {node.name: other[0].numpy()})[0]
        truth = answer(name, *other).softmax(1).numpy()
        np.testing.assert_allclose(found, truth, rtol=0, atol=1e-4)
    # Beside others, and so padded, a jet has the answer that it has alone.
    together, *of_real = data(name, (8, 60, 1, 25) * 10, seed=5)
    answers = session.run(None, {node.name: together.numpy()})[0]
    for i in range(10):
        alone = together[i : i + 1]
        if of_real:
            alone = alone[:, of_real[0][i]]
        (found,) = session.run(None, {node.name: alone.numpy()})[0]
        np.testing.assert_allclose(found, answers[i], rtol=0, atol=1e-6)
