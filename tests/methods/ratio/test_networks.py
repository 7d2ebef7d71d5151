"""Ratios of jets, and of tables by any network, against exact ones; theta as an input."""

from pathlib import Path

import numpy as np
import pytest
import torch

from colliderkit.errors import InputError
from colliderkit.losses.ratio import ratio_loss
from colliderkit.methods.method import load
from colliderkit.methods.ratio import Ratio, classifier_test, same_events, two_samples
from colliderkit.sources.toys.jets import exponential_jets, exponential_log_ratio
from colliderkit.training.settings import Training

SHORT = Training(epochs=6, batch_size=500, learning_rate=3e-3, schedule="cosine")
PFN = {"phi": (32, 32), "f": (32,)}


def test_jets_have_their_exact_ratio(tmp_path: Path) -> None:
    ratio = Ratio(network="pfn", options=PFN, features=("log_pt",), training=SHORT)
    ratio.fit(
        exponential_jets(12_000, 1.2, 1), exponential_jets(12_000, 1.0, 2), seed=1, progress=False
    )
    fresh = exponential_jets(4000, 1.0, 3)
    error = ratio.log_ratio(fresh) - exponential_log_ratio(fresh, 1.2)
    # ln r has a spread of 0.47; the network is trained on 19,200 events.
    assert np.abs(error).mean() < 0.08
    found = ratio.diagnostics_
    assert set(found.agreement) == {"jet_pt", "multiplicity"}
    assert found.auc is not None
    assert found.auc.value == pytest.approx(0.5, abs=4 * found.auc.error)
    again = load(ratio.save(tmp_path / "ratio"))
    assert np.array_equal(again.log_ratio(fresh), ratio.log_ratio(fresh))


@pytest.mark.parametrize("parameters", [(), ("scale",)])
def test_ratios_begin_at_one(parameters: tuple[str, ...]) -> None:
    """Of a training whose steps are too small to move it, nothing is left but the beginning."""
    still = Training(epochs=1, batch_size=500, learning_rate=1e-12)
    ratio = Ratio(
        network="pfn", options=PFN, features=("log_pt",), parameters=parameters, training=still
    )
    theta = np.full((1_000, 1), 1.2) if parameters else None
    jets = exponential_jets(1_000, 1.2, 1), exponential_jets(1_000, 1.0, 2)
    ratio.fit(*jets, theta=theta, progress=False)
    point = [1.2] if parameters else None
    np.testing.assert_allclose(ratio.log_ratio(jets[1], point), 0.0, atol=1e-6)


def test_theta_enters_beside_the_jet(tmp_path: Path) -> None:
    scale = np.random.default_rng(0).uniform(0.8, 1.25, 16_000)
    ratio = Ratio(
        network="pfn",
        options=PFN,
        features=("log_pt",),
        parameters=["scale"],
        hidden=(32, 32),
        training=SHORT,
    )
    ratio.fit(
        exponential_jets(16_000, scale, 1),
        exponential_jets(16_000, 1.0, 2),
        theta=scale,
        seed=1,
        progress=False,
    )
    fresh = exponential_jets(3000, 1.0, 3)
    for value in (0.85, 1.0, 1.2):
        assert (
            np.abs(ratio.log_ratio(fresh, value) - exponential_log_ratio(fresh, value)).mean()
            < 0.12
        )
    at = ratio.log_ratio_of(fresh)
    assert at(torch.tensor([1.1])).detach().numpy() == pytest.approx(
        ratio.log_ratio(fresh, 1.1), abs=1e-5
    )
    # d/ds of the sum: the slope of a secant of 2% differs by its third derivative alone.
    theta = torch.tensor([1.1], requires_grad=True)
    (slope,) = torch.autograd.grad(at(theta).mean(), theta)
    secant = (at(torch.tensor([1.11])) - at(torch.tensor([1.09]))).mean() / 0.02
    assert float(slope) == pytest.approx(float(secant), rel=0.02)
    again = load(ratio.save(tmp_path / "ratio"))
    assert np.array_equal(again.log_ratio(fresh, 1.1), ratio.log_ratio(fresh, 1.1))
    with pytest.raises(InputError, match=r"scale = 2 is outside the trained range"):
        ratio.log_ratio(fresh, 2.0)


@pytest.mark.parametrize("network", [None, "mlp"])
def test_a_table_is_bound_for_a_fit(network: str | None) -> None:
    random = np.random.default_rng(8)
    mu = random.uniform(-1, 1, (90_000, 1))
    ratio = Ratio(
        network=network,
        options=None if network is None else {"hidden": (32,)},
        parameters=["mu"],
        training=SHORT,
    )
    ratio.fit(random.normal(mu, 1), random.normal(0, 1, (90_000, 1)), theta=mu, progress=False)
    x = np.linspace(-2, 2, 21)[:, None]
    assert np.abs(ratio.log_ratio(x, 0.7) - (0.7 * x[:, 0] - 0.245)).mean() < 0.1
    at = ratio.log_ratio_of(x)
    assert at(torch.tensor([0.7])).detach().numpy() == pytest.approx(
        ratio.log_ratio(x, 0.7), abs=1e-5
    )
    # A network of kinks has no one slope: those between two points sum to the difference.
    slopes = []
    for value in np.linspace(0.69, 0.71, 201):
        theta = torch.tensor([value], dtype=torch.float32, requires_grad=True)
        slopes.append(float(torch.autograd.grad(at(theta).mean(), theta)[0]))
    secant = (at(torch.tensor([0.71])) - at(torch.tensor([0.69]))).mean() / 0.02
    # float32 sums near 1 over a step of 0.02.
    assert np.mean(slopes) == pytest.approx(float(secant), rel=0.003, abs=1e-3)


def test_two_weights_of_one_event_cost_as_two_copies() -> None:
    random = np.random.default_rng(1)
    x = torch.from_numpy(random.normal(size=(400, 2))).float()
    w1, w0 = random.uniform(0.5, 2, (2, 400))
    event = np.arange(400)
    once, _ = same_events(x, (w1, w0), event, 0.25, 3)
    twice, _ = two_samples((x, x), (w1, w0), (event, event), 0.25, 3)
    for loss in ("bce", "mlc", "exponential-sqr"):
        each = ratio_loss(loss).each
        z = [data.inputs.sum(1) for data in (once, twice)]  # type: ignore[union-attr]
        sums = [
            float((each(a, data.target) * data.weight).mean())
            for a, data in zip(z, (once, twice), strict=True)
        ]
        assert sums[0] == pytest.approx(sums[1], rel=1e-5)


def test_a_classifier_test_finds_what_is_left() -> None:
    random = np.random.default_rng(4)
    x, y = random.normal(0.5, 1, (20_000, 1)), random.normal(0, 1, (20_000, 1))
    one = np.ones(20_000)
    # Of two normals at a distance d the best AUC is Phi(d / sqrt 2) = 0.638.
    assert classifier_test(x, y, one, one).value == pytest.approx(0.638, abs=0.015)
    exact = np.exp(0.5 * y[:, 0] - 0.125)
    found = classifier_test(x, y, one, exact)
    assert found.value == pytest.approx(0.5, abs=4 * found.error)


def test_errors_say_what_a_network_takes() -> None:
    sample = exponential_jets(100, 1.0, 1)
    with pytest.raises(InputError, match="the numerator: is no jet array, which network 'pfn'"):
        Ratio(network="pfn").fit(np.zeros((10, 3)), sample)
    with pytest.raises(InputError, match="network 'boosted-trees' is grown on classes"):
        Ratio(network="boosted-trees").fit(
            np.random.default_rng(0).normal(size=(400, 2)),
            np.random.default_rng(1).normal(size=(400, 2)),
        )
    with pytest.raises(InputError, match="no parameters; name them"):
        Ratio().log_ratio_of(np.zeros((3, 1)))
    with pytest.raises(InputError, match="calibrate is for a ratio without parameters"):
        Ratio(calibrate=True, parameters=["mu"]).fit(np.zeros((3, 1)), np.zeros((3, 1)))
