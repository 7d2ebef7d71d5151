"""Autoencoders against densities that are known."""

import awkward as ak
import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from colliderkit.errors import InputError
from colliderkit.methods.search.autoencoder import Autoencoder
from colliderkit.metrics.roc import auc
from colliderkit.networks.autoencoders import SetCoder, TableCoder
from colliderkit.seeds import derive
from colliderkit.training.settings import Training
from samples import make_jets

QUIET = {"progress": False}


def line(count: int, seed: int, off: float = 0.0) -> np.ndarray:
    """Rows near a line in three dimensions; `off` moves them away from it."""
    random = np.random.default_rng(seed)
    x = random.normal(size=count)
    noise = random.normal(0, 0.1, (3, count))
    return np.stack([x, 2 * x + off, -x], 1) + noise.T


@pytest.mark.statistical
@pytest.mark.parametrize("kind", ["plain", "variational", "contrastive"])
def test_what_leaves_the_surface_of_the_events_is_anomalous(kind, seed):
    method = Autoencoder(
        kind=kind, latent=1, training=Training(epochs=8, batch_size=128, learning_rate=5e-3)
    )
    areas = []
    for i in range(3):
        method.fit(line(3000, derive(seed, i)), seed=derive(seed, "fit", i), **QUIET)
        rows = [line(1000, derive(seed, name, i), off) for name, off in (("b", 0.0), ("s", 2.0))]
        areas.append(auc(method.score(np.concatenate(rows)), np.repeat([0, 1], 1000)).value)
    # The signal is 9 widths away, 2 / (0.1 sqrt(5)), and an exact density has an area of 1.
    assert np.median(areas) > 0.8


@pytest.mark.statistical
def test_contrast_with_a_known_density_gives_the_density(seed):
    """Of a normal distribution s E - b is -ln p, whose rank is that of the radius."""
    random = np.random.default_rng(seed)
    settings = Training(epochs=15, batch_size=256, learning_rate=5e-3)
    method = Autoencoder(kind="contrastive", latent=1, training=settings)
    method.fit(random.normal(size=(10_000, 2)), seed=derive(seed, "fit"), **QUIET)
    x = random.normal(size=(2000, 2))
    exact = 0.5 * (x**2).sum(1) + np.log(2 * np.pi)
    score = method.score(x)
    assert spearmanr(score, exact).statistic > 0.95
    assert np.mean(score - exact) == pytest.approx(0, abs=0.1)


def ring(count: int, seed: int) -> np.ndarray:
    """Rows at a distance of about 2 from the origin, where there is none."""
    random = np.random.default_rng(seed)
    angle, radius = random.uniform(0, 2 * np.pi, count), random.normal(2, 0.2, count)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)


@pytest.mark.statistical
def test_a_normalised_one_finds_what_a_plain_one_reproduces_without_having_seen_it(seed):
    """The middle of a ring is what a narrow network gives where it knows nothing better."""
    settings = Training(epochs=12, batch_size=128, learning_rate=5e-3)
    hidden = {"plain": [16], "normalised": [32, 16]}
    areas: dict[str, list[float]] = {kind: [] for kind in hidden}
    for i in range(3):
        data, test = ring(2000, derive(seed, i)), ring(500, derive(seed, "test", i))
        middle = np.random.default_rng(derive(seed, "middle", i)).normal(0, 0.1, (500, 2))
        events, label = np.concatenate([test, middle]), np.repeat([0, 1], 500)
        for kind, widths in hidden.items():
            method = Autoencoder(kind=kind, latent=1, options={"hidden": widths}, training=settings)
            method.fit(data, seed=derive(seed, "fit", i), **QUIET)
            areas[kind].append(auc(method.score(events), label).value)
    assert np.median(areas["plain"]) < 0.7
    assert np.median(areas["normalised"]) > 0.9


@pytest.mark.statistical
def test_samples_of_a_normalised_one_are_like_its_events(seed):
    """Of a normal distribution histograms agree within errors, and s E is -ln p in rank."""
    settings = Training(epochs=5, batch_size=128, learning_rate=5e-3)
    chi2, ranks = [], []
    for i in range(3):
        random = np.random.default_rng(derive(seed, i))
        x = random.normal(size=(2000, 2)) @ np.array([[2.0, 0.0], [1.0, 1.0]]) + [5.0, -3.0]
        method = Autoencoder(
            kind="normalised", latent=1, options={"hidden": [32, 16]}, training=settings
        ).fit(x, seed=derive(seed, "fit", i), **QUIET)
        drawn = method.sample(300, steps=50, seed=derive(seed, "draw", i))
        edges = np.quantile(x[:, 0], np.linspace(0, 1, 9)[1:-1])
        counts = np.bincount(np.searchsorted(edges, drawn[:, 0]), minlength=8)
        expected = len(drawn) / 8
        chi2.append(((counts - expected) ** 2 / expected).sum() / (1 + len(drawn) / len(x)))
        whitened = np.linalg.solve(np.linalg.cholesky(np.cov(x.T)), (x - x.mean(0)).T)
        ranks.append(spearmanr(method.score(x), (whitened**2).sum(0)).statistic)
    assert np.median(chi2) < 30  # of 7 degrees of freedom: one in 10,000
    assert np.median(ranks) > 0.8


def test_the_density_of_counterparts_is_the_one_that_they_are_drawn_from():
    values = torch.randn(5000, 2, generator=torch.Generator().manual_seed(1)) @ torch.tensor(
        [[1.0, 0.5], [0.0, 2.0]]
    )
    coder = TableCoder(2, 1, 1)
    coder.fit(values)
    parts = coder.represent(values.double(), None)
    drawn = coder.counterpart(parts, torch.Generator().manual_seed(2))
    # Half of them have the covariance of the data, half the variances alone.
    covariance, own = torch.cov(drawn[0].t()), torch.cov(parts[0].t())
    expected = TableCoder.WIDER**2 * (own + torch.eye(2)) / 2
    assert (covariance - expected).abs().max() < 6 * float(expected.max()) * (2 / 5000) ** 0.5
    zero = torch.zeros(2)
    densities = [
        torch.distributions.MultivariateNormal(zero, covariance)
        for covariance in (coder.root @ coder.root.t(), TableCoder.WIDER**2 * torch.eye(2))
    ]
    exact = torch.stack([each.log_prob(drawn[0]).exp() for each in densities]).mean(0).log()
    torch.testing.assert_close(coder.log_counterpart(drawn), exact, rtol=1e-4, atol=1e-4)


def test_the_distance_of_sets_is_that_of_flows():
    """It is 0 for equal flows, does not see an order or a splitting, and is 2 d for two points."""
    coder = SetCoder(2, 2, particles=3).double()
    one = torch.tensor([[[0.5, 0.0, 0.0], [0.3, 0.1, 0.0], [0.2, 0.0, 0.3]]]).double()
    real = torch.ones(1, 3, dtype=torch.bool)
    parts = (one[..., 0], one[..., 1:], real)
    assert float(coder.distance(parts, one)) == pytest.approx(0, abs=1e-5)
    assert float(coder.distance(parts, one[:, [2, 0, 1]])) == pytest.approx(0, abs=1e-5)
    split = torch.tensor([[[0.5, 0.0, 0.0], [0.3, 0.1, 0.0], [0.1, 0.0, 0.3], [0.1, 0.0, 0.3]]])
    assert float(coder.distance(parts, split.double())) == pytest.approx(0, abs=1e-5)
    apart = torch.tensor([[[1.0, 0.3, 0.4]]]).double()
    at_zero = (torch.ones(1, 1).double(), torch.zeros(1, 1, 2).double(), real[:, :1])
    assert float(coder.distance(at_zero, apart)) == pytest.approx(2 * 0.5, abs=1e-3)


@pytest.mark.parametrize("representation", ["image", "set"])
@pytest.mark.parametrize("kind", ["plain", "variational", "contrastive"])
def test_jets_are_scored(representation, kind):
    options = {"pixels": 16} if representation == "image" else {"particles": 5}
    jets = make_jets(120, 1)
    method = Autoencoder(
        kind=kind,
        representation=representation,
        options=options,
        training=Training(epochs=2, batch_size=32),
    ).fit(jets, **QUIET)
    score = method.score(jets)
    assert score.shape == (120,)
    assert np.isfinite(score).all()
    # The order of particles is nothing, and batch mates neither.
    backwards = ak.with_field(jets, jets.constituents[:, ::-1], "constituents")
    np.testing.assert_allclose(method.score(backwards[::-1])[::-1], score, rtol=1e-3, atol=1e-4)


def test_shares_of_a_dirichlet_prior_sum_to_one():
    method = Autoencoder(
        kind="variational", prior="dirichlet", latent=3, training=Training(epochs=2, batch_size=64)
    ).fit(line(300, 1), **QUIET)
    shares = method.latent_numbers(line(50, 2))
    assert shares.shape == (50, 3)
    np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-6)


@pytest.mark.statistical
def test_the_classes_of_a_mixture_are_those_of_the_events(seed):
    """The posterior of a class tells two blobs apart; which class is whose, nobody has said."""
    areas = []
    for i in range(3):
        label = np.random.default_rng(derive(seed, i)).random(3000) < 0.2
        x = np.random.default_rng(derive(seed, "rows", i)).normal(0, 0.3, (3000, 2))
        x[:, 0] += np.where(label, 2.0, -1.0)
        method = Autoencoder(
            kind="variational",
            prior="mixture",
            latent=1,
            options={"hidden": [16]},
            training=Training(epochs=8, batch_size=128, learning_rate=1e-2),
        ).fit(x, seed=derive(seed, "fit", i), **QUIET)
        posterior = method.class_shares(x)
        area = auc(posterior[:, 0], label).value
        areas.append(max(area, 1 - area))
        np.testing.assert_allclose(posterior.sum(1), 1, rtol=1e-6)
    # They are ten widths apart; a class of both has an area of 1/2.
    assert np.median(areas) > 0.95


def test_the_radius_is_that_of_the_latent_mean():
    settings = Training(epochs=2, batch_size=64)
    method = Autoencoder(kind="variational", measure="radius", latent=2, training=settings)
    method.fit(line(300, 1), **QUIET)
    x = line(50, 2)
    np.testing.assert_allclose(method.score(x), (method.latent_numbers(x) ** 2).sum(1), rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            {"kind": "deep"},
            "kind is 'deep'; choose one of plain, variational, contrastive, normalised",
        ),
        ({"measure": "radius"}, "are of a variational autoencoder, and kind is 'plain'"),
        ({"representation": "set"}, "no jets with constituents"),
        ({"kind": "variational", "prior": "mixture", "measure": "radius"}, "has no one mean"),
        ({"kind": "normalised", "representation": "set"}, "samples rows of numbers"),
        ({"representation": "image", "options": {"pixels": 10}}, "multiple of 4"),
        ({"kind": "variational", "prior": "dirichlet", "latent": 1}, "latent is 1"),
        ({"options": {"pixels": 8}}, "'table' has no option 'pixels'; it has hidden"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments, sentence):
    events = make_jets(40, 1) if arguments.get("representation") == "image" else line(40, 1)
    with pytest.raises(InputError, match=sentence):
        Autoencoder(**arguments).fit(events, **QUIET)


def test_samples_repeat_and_survive_a_save(tmp_path):
    method = Autoencoder(
        kind="normalised", latent=1, training=Training(epochs=1, batch_size=64)
    ).fit(line(200, 1), **QUIET)
    drawn = method.sample(20, steps=10, seed=3)
    assert drawn.shape == (20, 3)
    method.save(tmp_path / "saved")
    again = Autoencoder.load(tmp_path / "saved")
    np.testing.assert_array_equal(again.sample(20, steps=10, seed=3), drawn)
    assert not np.array_equal(again.sample(20, steps=10, seed=4), drawn)
    assert list(method.history_) == ["reproduction", "network"]
    with pytest.raises(InputError, match="kind is 'plain', and only a normalised autoencoder"):
        Autoencoder().fit(line(100, 1), **QUIET).sample(5)


def test_a_normalised_training_that_stopped_goes_on_as_if_it_had_not(tmp_path):
    """The chains are part of what is kept."""
    x = line(200, 1)
    whole, part = (
        Autoencoder(
            kind="normalised",
            latent=1,
            training=Training(epochs=2, batch_size=64, schedule="constant"),
        )
        for _ in range(2)
    )
    whole.fit(x, folder=tmp_path / "whole", **QUIET)
    part.fit(x, folder=tmp_path / "part", **QUIET)
    (tmp_path / "part" / "network" / "last.ckpt").unlink()
    part.fit(x, folder=tmp_path / "part", resume=True, **QUIET)
    np.testing.assert_array_equal(part.score(x), whole.score(x))


def test_negative_weights_are_refused():
    weight = np.ones(40)
    weight[3] = -1
    with pytest.raises(InputError, match=r"weight of event 3 .* is -1"):
        Autoencoder().fit(line(40, 1), weight=weight, **QUIET)


def test_other_columns_than_those_of_the_fit_are_refused():
    method = Autoencoder(training=Training(epochs=1, batch_size=64)).fit(line(100, 1), **QUIET)
    with pytest.raises(InputError, match="has 2 columns for the 3 names"):
        method.score(line(10, 2)[:, :2])


@pytest.mark.parametrize("kind", ["plain", "contrastive"])
def test_a_dead_stretch_of_a_map_is_not_reproduced(kind):
    random = np.random.default_rng(3)
    height = random.normal(1, 0.2, (300, 1))
    maps = height * np.linspace(1, 2, 40) + random.normal(0, 0.05, (300, 40))
    method = Autoencoder(
        kind=kind,
        representation="map",
        latent=1,
        options={"hidden": [16]},
        training=Training(epochs=20, batch_size=32, learning_rate=5e-3),
    ).fit(maps, progress=False)
    dead = maps[:20].copy()
    dead[:, 10:14] = 0
    assert np.median(method.score(dead)) > np.quantile(method.score(maps), 0.9)
    found = method.differences(dead)
    assert found.shape == (20, 40)
    assert np.isin(np.abs(found).argmax(1), [10, 11, 12, 13]).mean() > 0.7
    with pytest.raises(InputError, match="differences are of the numbers of a table or a map"):
        Autoencoder(representation="set").differences(maps)
