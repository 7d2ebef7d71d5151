"""Certification: what is flagged, where and when, and what is refused, on made runs."""

from dataclasses import replace

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.monitors import MonitorRuns
from colliderkit.methods.operations.certification import Certification
from colliderkit.methods.operations.measured import products, robust_total
from colliderkit.methods.operations.run_scores import RunScores
from colliderkit.sources.monitors.calorimeter import made_runs
from colliderkit.training.settings import Training
from contracts.cases.data_quality import small_runs


@pytest.fixture(scope="module")
def method() -> Certification:
    return Certification(components=2).fit(made_runs(75, sections=6, seed=1).runs, progress=False)


LARGE = {"module": 1.0, "hot": 120.0, "gain": 0.4, "timing": 1.5, "scale": 0.1}


@pytest.mark.parametrize("kind", LARGE)
def test_large_faults_are_found_where_they_are(method, kind):
    made = made_runs(4, fault=kind, size=LARGE[kind], sections=6, first=100, seed=7)
    found = method.certify(made.runs)
    assert found.flagged.all()
    if kind == "scale":
        assert set(found.monitor) == {"energy"}
        return
    truth = made.towers.reshape(4, -1)
    assert truth[np.arange(4), found.place].all()
    statistic = "time: mean" if kind == "timing" else "occupancy: pca"
    named = found.bins[statistic]
    assert (named & truth).sum() > 0.9 * truth.sum()
    # A dead module must not make others look hot.
    assert (named & ~truth).sum() < 0.3 * truth.sum() + 4


def test_sections_of_a_module_are_lost_and_no_others(method):
    made = made_runs(6, fault="module", size=1.0, sections=6, first=100, seed=8)
    found = method.certify(made.runs)
    lost = found.lost.reshape(6, 6)
    for r in range(6):
        assert lost[r, made.begin[r] : made.end[r]].all()
        # A stretch of three reaches two sections back at most.
        assert not lost[r, : max(made.begin[r] - 2, 0)].any()
    golden = found.golden()
    for r, run in enumerate(found.run):
        good = [s for a, b in golden.get(str(run), []) for s in range(a, b + 1)]
        assert good == (1 + np.flatnonzero(~lost[r])).tolist()
    total = (made.runs.luminosity * found.lost).sum()
    assert found.lost_luminosity().sum() == pytest.approx(total)


def test_the_network_finds_a_dead_module():
    method = Certification(
        tests=("autoencoder",), latent=2, training=Training(epochs=2, batch_size=32)
    ).fit(made_runs(45, sections=4, seed=1).runs, progress=False)
    made = made_runs(3, fault="module", size=1.0, sections=4, first=100, seed=2)
    found = method.certify(made.runs)
    assert found.names == ["occupancy: autoencoder"]
    assert found.flagged.all()
    assert made.towers.reshape(3, -1)[np.arange(3), found.place].all()


def test_the_answer_does_not_depend_on_the_other_runs(method):
    made = made_runs(5, sections=6, first=100, seed=9).runs
    whole, alone = method.certify(made), method.certify(made.at([2]))
    assert alone.p[0] == whole.p[2]
    np.testing.assert_array_equal(alone.statistics[0], whole.statistics[2])


def test_a_run_of_one_section_is_a_stretch(method):
    made = made_runs(1, fault="module", size=1.0, sections=1, first=100, seed=3)
    found = method.certify(made.runs)
    assert np.isfinite(found.statistics).all()


def test_an_empty_monitor_is_flagged():
    method = Certification(components=2).fit(small_runs(60, 1), progress=False)
    new = small_runs(2, 2, first=100)
    dark = new.counts["occupancy"].copy()
    dark[:4] = 0
    found = method.certify(replace(new, counts={**new.counts, "occupancy": dark}))
    assert found.flagged[0]
    assert found.monitor[0] in ("occupancy", "time")
    assert list(found.golden()) == ["101"] or found.flagged[1]


def test_products_are_geometric_means_over_sections_of_one_run():
    loss = np.array([[1.0], [8.0], [8.0], [27.0], [5.0], [7.0]])
    largest, worst = products(loss, np.array([0, 4, 6]), 3)
    np.testing.assert_allclose(worst, [0, 0, 4, 12, 0, 35**0.5])
    np.testing.assert_allclose(largest[:, 0], [12, 35**0.5])


def test_a_dead_module_leaves_the_total():
    shape = np.full(100, 0.01)
    entries = np.full((1, 100), 400.0)
    entries[0, :10] = 0
    assert robust_total(entries, shape)[0, 0] == pytest.approx(40_000)
    assert robust_total(np.zeros((1, 100)), shape)[0, 0] == 0


REFUSED = {
    "labelled bad": lambda r: replace(r, good=np.arange(60) != 7),
    r"run 3 .*|'occupancy' is -1": lambda r: replace(
        r, counts={**r.counts, "occupancy": np.where(r.counts["occupancy"] == 0, 1, -1)}
    ),
    r"'energy' has no entries in run 1, which": lambda r: replace(
        r, counts={**r.counts, "energy": 0 * r.counts["energy"]}
    ),
    "leave .* to learn from": lambda r: r.at(slice(0, 3)),
    "good runs calibrate": lambda r: r.at(slice(0, 20)),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_is_refused_in_a_fit(words):
    runs = REFUSED[words](small_runs(60, 1))
    with pytest.raises(InputError, match=words) as error:
        Certification(components=2).fit(runs, progress=False)
    assert str(error.value).endswith(".")


def test_what_is_refused_in_certifying():
    method = Certification(components=2).fit(small_runs(60, 1), progress=False)
    new = small_runs(3, 2, first=100)
    with pytest.raises(InputError, match="run 58 is not later than run 60"):
        method.certify(small_runs(3, 2, first=58))
    other = replace(new, counts={**new.counts, "energy": np.ones((12, 7), int)})
    with pytest.raises(InputError, match=r"'energy' has 7 bins in run 100, and 5 in the runs"):
        method.certify(other)
    lacking = replace(new, counts={"energy": new.counts["energy"]}, means={})
    with pytest.raises(InputError, match="no monitor 'occupancy'"):
        method.certify(lacking)
    with pytest.raises(InputError, match="test 'magic' is unknown"):
        Certification(tests=("magic",)).fit(new, progress=False)


def test_runs_are_in_the_order_of_time():
    counts = {"h": np.ones((3, 2), int)}
    with pytest.raises(InputError, match=r"run 2 is of 1970-01-02, before run 1 of 1970-01-03"):
        MonitorRuns.checked([1, 2, 3], [1, 1, 1], counts, day=[2, 1, 3])
    with pytest.raises(InputError, match="section 1 of run 1 is there twice"):
        MonitorRuns.checked([1, 1, 3], [1, 1, 1], counts)
    with pytest.raises(InputError, match="name it among the means"):
        MonitorRuns.checked([1, 2, 3], [1, 1, 1], {"h": np.full((3, 2), 0.5)})
    shuffled = MonitorRuns.checked([3, 1, 2], [1, 1, 1], {"h": np.array([[3], [1], [2]])})
    assert shuffled.counts["h"][:, 0].tolist() == [1, 2, 3]
    one, two = shuffled.at([0]), shuffled.at([1, 2])
    np.testing.assert_array_equal(one.joined(two).counts["h"], shuffled.counts["h"])
    other = MonitorRuns.checked([9], [1], {"h": np.ones((1, 4), int)})
    with pytest.raises(InputError, match=r"'h' has 1 bins until run 3 and has 4 bins from run 9"):
        shuffled.joined(other)


@pytest.mark.statistical
def test_good_runs_are_flagged_at_the_joint_rate(seed):
    runs = [small_runs(100, 1000 * seed + s) for s in range(3)]
    rates = []
    for s, each in enumerate(runs):
        method = Certification(components=2, rate=0.1).fit(each, progress=False)
        new = small_runs(150, 1000 * seed + 10 + s, first=1000)
        rates.append(method.certify(new).flagged.sum())
    # 60 calibrate each: 6 of 61; a beta-binomial of 150, three times.
    n, a, b = 150, 6, 55
    mean = n * a / (a + b)
    variance = n * a * b * (a + b + n) / ((a + b) ** 2 * (a + b + 1))
    assert abs(sum(rates) - 3 * mean) < 4.5 * (3 * variance) ** 0.5


def test_scores_from_both_sides():
    good = np.random.default_rng(0).normal(size=(400, 2))
    method = RunScores(scores=["a", "b"]).fit(good)
    assert method.joint_.names == ["a high", "a low", "b high", "b low"]
    found = method.tests([[0.0, -9.0], [9.0, 0.0]])
    assert np.array(method.joint_.names)[found.argmin(1)].tolist() == ["b low", "a high"]
    assert method.flags([[0.0, -9.0], [9.0, 0.0], [0.0, 0.0]]).tolist() == [True, True, False]
    # A monotone change of a score changes no test, and another unit not the joint p-value.
    new = good[:20] + 0.1
    scaled = RunScores(scores=["a", "b"]).fit(4 * good + 1)
    np.testing.assert_array_equal(method.p_values(new), scaled.p_values(4 * new + 1))
    curved = RunScores(scores=["a", "b"]).fit(np.exp(good))
    np.testing.assert_array_equal(method.tests(new), curved.tests(np.exp(new)))
    one = RunScores(sides="high").fit(good)
    assert one.joint_.names == ["score 0 high", "score 1 high"]
    with pytest.raises(InputError, match="sides is 'up'"):
        RunScores(sides="up").fit(good)
