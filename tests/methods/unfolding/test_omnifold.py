"""OmniFold on Gaussian toys, whose truth is known."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.methods.method import load
from colliderkit.methods.unfolding.omnifold import OmniFold
from colliderkit.methods.unfolding.sample import UnfoldingSample
from colliderkit.methods.unfolding.uncertainty import replicate, resampled
from colliderkit.sources.toys.jets import exponential_jets, smeared_jets
from colliderkit.sources.toys.unfolding import turn_on, unfolding_toy
from colliderkit.training.settings import Training

SHORT = Training(epochs=4, batch_size=1000, learning_rate=3e-3, schedule="cosine")


def moments(values: NDArray, weight: NDArray) -> tuple[float, float]:
    mean = np.average(values, weights=weight)
    return float(mean), float(np.sqrt(np.average((values - mean) ** 2, weights=weight)))


def test_shifted_data_are_found_from_a_wrong_prior() -> None:
    simulation = unfolding_toy(40_000, mean=0, sigma=1, smear=0.5, seed=1)
    nature = unfolding_toy(40_000, mean=0.5, sigma=0.8, smear=0.5, seed=2)
    method = OmniFold(iterations=6, family=True, training=SHORT)
    method.fit(nature.seen, simulation.reco, simulation.truth, seed=1)
    mean, width = moments(simulation.truth[:, 0], method.weights())
    # Six steps of the exact iteration leave (0.2)^6 of the shift, less than the statistics.
    assert mean == pytest.approx(0.5, abs=0.025)
    assert width == pytest.approx(0.8, abs=0.03)
    # Weights hold the normalisation.
    assert method.weights().sum() == pytest.approx(40_000, rel=0.02)


def test_each_iteration_moves_as_the_exact_one_does() -> None:
    # For Gaussians E[pull | truth] of the first iteration is known: the mean moves by
    # k = s^2 / (s^2 + e^2) twice: to k (mu_data) of the response's regression.
    simulation = unfolding_toy(60_000, mean=0, sigma=1, smear=1.0, seed=3)
    nature = unfolding_toy(60_000, mean=0.5, sigma=1, smear=1.0, seed=4)
    method = OmniFold(iterations=1, family=True, training=SHORT)
    method.fit(nature.seen, simulation.reco, simulation.truth, seed=1)
    mean, _ = moments(simulation.truth[:, 0], method.weights())
    # IBU after one step: the posterior mean z = x / 2 under data x ~ N(0.5, 2) has mean 0.25.
    assert mean == pytest.approx(0.25, abs=0.02)


def test_misses_fakes_and_background_are_accounted_for() -> None:
    curve = turn_on(threshold=-1.0, width=0.5, plateau=0.9)
    simulation = unfolding_toy(60_000, smear=0.5, efficiency=curve, fakes=0.1, seed=15)
    nature = unfolding_toy(60_000, mean=0.4, smear=0.5, efficiency=curve, fakes=0.1, seed=16)
    random = np.random.default_rng(17)
    background = random.uniform(-3, 3, (6000, 1)), random.uniform(-3, 3, (6000, 1))
    data = np.concatenate([nature.seen, background[0]])
    # With fakes and a turn-on the ratio at detector level is in no exponential family.
    method = OmniFold(iterations=6, training=SHORT)
    method.fit(
        data,
        simulation.reco,
        simulation.truth,
        pass_reco=simulation.pass_reco,
        pass_truth=simulation.pass_truth,
        background=background[1],
        seed=1,
    )
    weight = method.weights()
    assert (weight[~simulation.pass_truth] == 0).all()
    true = simulation.pass_truth
    mean, width = moments(simulation.truth[true, 0], weight[true])
    # Over data samples the mean spreads by 0.012 (measured with seeds 5, 15, 25 and 35).
    assert mean == pytest.approx(0.4, abs=0.035)
    assert width == pytest.approx(1.0, abs=0.035)
    assert weight.sum() == pytest.approx(60_000, rel=0.03)


def test_all_particles_are_unfolded() -> None:
    # The detector loses a tenth of the particles and smears the others by a fifth.
    truth, nature = exponential_jets(12_000, 1.0, 1), exponential_jets(12_000, 1.15, 2)
    reco, data = smeared_jets(truth, 3), smeared_jets(nature, 4)
    # At twice this rate one network in eight dies at its first steps.
    method = OmniFold(
        iterations=3,
        options={"phi": (32, 32), "f": (32,)},
        features=("log_pt",),
        training=Training(epochs=5, batch_size=250, learning_rate=5e-3, schedule="cosine"),
    )
    weight = method.fit(data, reco, truth, seed=1).weights()
    pt = np.asarray(truth["jet_pt"])
    # Eight particles of mean 1 + 1.15: the prior's mean is 16 GeV, the truth's 17.2.
    mean, width = moments(pt, weight)
    assert mean == pytest.approx(17.2, abs=0.15)
    assert width == pytest.approx(1.15 * np.sqrt(8), abs=0.15)
    # Nothing but pt has changed.
    eta = np.asarray(
        np.arcsinh(
            truth["constituents"]["pz"][:, 0]
            / np.hypot(truth["constituents"]["px"][:, 0], truth["constituents"]["py"][:, 0])
        )
    )
    assert moments(eta, weight)[0] == pytest.approx(0, abs=0.01)


def test_one_level_may_be_particles_and_the_other_a_table() -> None:
    truth, nature = exponential_jets(6000, 1.0, 1), exponential_jets(6000, 1.15, 2)
    training = Training(epochs=5, batch_size=250, learning_rate=5e-3, schedule="cosine")
    options: dict = {"phi": (32, 32), "f": (32,)}
    method = OmniFold(
        iterations=2, options=options, features=("log_pt",), family=True, training=training
    )
    table = np.asarray(truth["jet_pt"])
    weight = method.fit(smeared_jets(nature, 4), smeared_jets(truth, 3), table, seed=1).weights()
    # The data are of these events, whose mean is 17.16; the simulation's is 16, and two iterations
    # go most of the way, not all of it.
    prior, target = (float(np.mean(events["jet_pt"])) for events in (truth, nature))
    assert abs(moments(table, weight)[0] - target) < 0.4 * abs(prior - target)
    with pytest.raises(InputError, match="of data and reco one is jets and one a table"):
        method.fit(smeared_jets(nature, 4), table, table)


def test_an_interrupted_unfolding_goes_on(tmp_path: Path) -> None:
    simulation = unfolding_toy(4000, seed=1)
    nature = unfolding_toy(4000, mean=0.3, seed=2)
    tables = nature.seen, simulation.reco, simulation.truth
    whole = OmniFold(iterations=3, training=SHORT).fit(*tables, seed=5)
    OmniFold(iterations=1, training=SHORT).fit(*tables, seed=5, folder=tmp_path)
    method = OmniFold(iterations=3, training=SHORT)
    again = method.fit(*tables, seed=5, folder=tmp_path, resume=True)
    assert np.array_equal(whole.pushes_, again.pushes_)
    # The history is of all iterations, those of before included.
    assert list(again.history_) == list(whole.history_)
    with pytest.raises(InputError, match=r"another request \(other: seed\)"):
        method.fit(*tables, seed=6, folder=tmp_path, resume=True)
    # Without resume what was there is dropped.
    other = method.fit(*tables, seed=6, folder=tmp_path)
    assert not np.array_equal(whole.pushes_, other.pushes_)


def test_replicas_are_the_same_with_one_worker_and_with_two(tmp_path: Path) -> None:
    simulation = unfolding_toy(2000, seed=1)
    nature = unfolding_toy(2000, mean=0.3, seed=2)
    sample = UnfoldingSample.checked(nature.seen, simulation.reco, simulation.truth)
    shifted = UnfoldingSample.checked(nature.seen, simulation.reco + 0.1, simulation.truth)
    method = OmniFold(iterations=2, family=True, training=SHORT)
    options: dict = {"bootstraps": 2, "members": 2, "systematics": {"scale": shifted}, "seed": 3}
    one = replicate(method, sample, **options, workers=1, folder=tmp_path)
    two = replicate(method, sample, **options, workers=2)
    assert np.array_equal(one.weights, two.weights)
    assert one.kinds == ["member", "member", "bootstrap", "bootstrap", "systematic:scale"]
    # All five differ, and what is kept is read again.
    assert len(np.unique(one.weights[:, -1, 0])) == 5
    kept = replicate(method, sample, **options, folder=tmp_path, resume=True)
    assert np.array_equal(one.weights, kept.weights)
    assert kept.method.history_ == one.method.history_
    # The mean of the members is a fitted unfolding, which is saved as any other.
    assert np.array_equal(one.method.weights(), one.weights[:2, -1].mean(0))
    again = load(one.method.save(tmp_path / "mean"))
    assert np.array_equal(again.pushes_, one.nominal)
    assert {key.partition(",")[0] for key in again.history_} == {"member 0", "member 1"}


def test_a_mean_is_of_fits_to_one_sample() -> None:
    simulation = unfolding_toy(1000, seed=1)
    tables = simulation.seen, simulation.reco, simulation.truth
    one = OmniFold(iterations=1, training=SHORT).fit(*tables, seed=1)
    two = OmniFold(iterations=2, training=SHORT).fit(*tables, seed=1)
    with pytest.raises(InputError, match="of the shapes"):
        OmniFold().fit_mean([one, two])
    with pytest.raises(InputError, match="members is empty"):
        OmniFold().fit_mean([])
    with pytest.raises(InputError, match="OmniFold is not fitted"):
        OmniFold().fit_mean([OmniFold()])


def test_bootstrap_weights_are_poisson_and_fixed_by_the_seed() -> None:
    sample = UnfoldingSample.checked(
        np.zeros((50_000, 1)), np.zeros((50_000, 1)), np.zeros((50_000, 1))
    )
    one, same, other = (resampled(sample, 1, n) for n in (0, 0, 1))
    assert np.array_equal(one.weight, same.weight)
    assert not np.array_equal(one.weight, other.weight)
    assert one.weight.mean() == pytest.approx(1, abs=4 / np.sqrt(50_000))
    assert one.weight.var() == pytest.approx(1, abs=0.05)
    assert abs(np.corrcoef(one.weight, one.data_weight)[0, 1]) < 0.02


def test_a_saved_unfolding_gives_the_same(tmp_path: Path) -> None:
    simulation = unfolding_toy(2000, seed=1)
    method = OmniFold(iterations=1, training=SHORT)
    method.fit(simulation.seen, simulation.reco, simulation.truth)
    assert np.array_equal(load(method.save(tmp_path / "x")).weights(), method.weights())


def test_errors_name_what_is_wrong() -> None:
    x = np.random.default_rng(0).normal(size=(100, 2))
    spoiled = x.copy()
    spoiled[3, 1] = np.inf
    with pytest.raises(InputError, match="truth: column 1 is inf in event 3"):
        UnfoldingSample.checked(x, x, spoiled)
    with pytest.raises(InputError, match="100 events at truth level and 90 at detector"):
        UnfoldingSample.checked(x, x[:90], x)
    with pytest.raises(InputError, match="data has 1 observables, reco 2"):
        UnfoldingSample.checked(x[:, :1], x, x)
    with pytest.raises(InputError, match="the weights sum to -100"):
        UnfoldingSample.checked(x, x, x, weight=-np.ones(100))
    with pytest.raises(InputError, match="nothing is left to unfold"):
        UnfoldingSample.checked(x, x, x, background=x)
    with pytest.raises(InputError, match="nothing links the two"):
        UnfoldingSample.checked(x, x, x, pass_truth=np.zeros(100))
    most = np.arange(100) < 5
    with pytest.raises(InputError, match="the fakes, 95, are as many as the events seen, 90"):
        UnfoldingSample.checked(x, x, x, pass_truth=most, weight=np.where(most, -1.0, 1.0))
    # More than there are data: the simulation's norm is its own.
    UnfoldingSample.checked(x[:10], x, x, pass_truth=most)
    # What does not pass may be anything.
    UnfoldingSample.checked(x, x, spoiled, pass_truth=np.arange(100) != 3)


def test_a_truth_that_is_never_seen_is_named() -> None:
    simulation = unfolding_toy(20_000, efficiency=lambda z: np.where(z < -1, 0.0, 0.9), seed=1)
    nature = unfolding_toy(5_000, seed=2)
    tables = nature.seen, simulation.reco, simulation.truth
    flags = {"pass_reco": simulation.pass_reco, "pass_truth": simulation.pass_truth}
    method = OmniFold(iterations=1, family=True, training=SHORT)
    with pytest.raises(InputError, match=r"efficiency is zero for the truth's observable 0 in \[-"):
        method.fit(*tables, **flags)
    # Left out of the truth, they are what nothing is claimed of.
    flags["pass_truth"] = simulation.truth[:, 0] >= -1
    method.fit(*tables, **flags)


def test_data_beyond_the_simulation_are_refused_or_named() -> None:
    simulation = unfolding_toy(5_000, seed=1)
    far = unfolding_toy(5_000, mean=40, seed=2)
    method = OmniFold(iterations=1, family=True, training=SHORT)
    with pytest.raises(InputError, match="do not overlap in observable 0: where the data are, 3"):
        method.fit(far.seen, simulation.reco, simulation.truth)
    some = np.concatenate([simulation.seen, far.seen[:500]])
    with pytest.warns(UserWarning, match=r"no events where data are: observable 0 in \["):
        method.fit(some, simulation.reco, simulation.truth)


def test_networks_alone_unfold_what_is_not_normal() -> None:
    # z = exp(latent), smeared by a factor; the median of nature is e^0.4.
    def bent(toy: NDArray) -> NDArray:
        return np.exp(np.concatenate([toy, -0.5 * toy], 1))

    simulation, nature = (unfolding_toy(20_000, mean=m, seed=s) for m, s in ((0, 1), (0.4, 2)))
    training = Training(epochs=5, batch_size=512, learning_rate=3e-3, schedule="cosine")
    method = OmniFold(iterations=3, training=training)
    truth = bent(simulation.truth)
    method.fit(bent(nature.seen), bent(simulation.reco), truth, seed=1)
    mean, width = moments(np.log(truth[:, 0]), method.weights())
    # The error of the mean of data is 0.008; three exact iterations leave 0.2^3 of the shift.
    assert mean == pytest.approx(0.4, abs=0.03)
    assert width == pytest.approx(1.0, abs=0.04)
    # Data once, by three networks, and two steps an iteration that share its ratio.
    steps = [f"iteration {i}, step {s}" for i, s in ((1, 2), (2, 1), (2, 2), (3, 1), (3, 2))]
    assert list(method.history_) == [*(f"data, member {m}" for m in range(3)), *steps]
