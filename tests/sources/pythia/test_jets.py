"""Generated jets: exact bookkeeping, and the physics that they must show."""

import sys

import awkward as ak
import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.schema import check_jets
from colliderkit.sources.detector.response import Detector
from colliderkit.sources.pythia import jets as pythia
from colliderkit.sources.pythia.jets import charge_of, jets
from colliderkit.sources.pythia.matching import Directions, delta_r, open_flavour, outgoing
from colliderkit.sources.pythia.processes import PROCESSES, SAMPLES

generate = pytest.mark.generate


def same(one: ak.Array, two: ak.Array) -> bool:
    """Compare two jet arrays bit for bit."""
    return str(one.type) == str(two.type) and ak.almost_equal(one, two, rtol=0, atol=0)


def pt_of(constituents):
    return np.hypot(constituents.px, constituents.py)


# What needs no generator.


def test_samples_are_made_of_processes():
    for sample in SAMPLES.values():
        assert [label for _, label in sample] == list(range(len(sample)))
        for name, _ in sample:
            assert PROCESSES[name].radius is not None


@pytest.mark.parametrize("name", sorted(PROCESSES))
def test_seeds_of_shards_are_distinct_and_in_range(name):
    seeds = [pythia.generator_seed(name, 3, shard) for shard in range(5000)]
    assert len(set(seeds)) == 5000
    assert min(seeds) >= 1
    assert max(seeds) <= 900_000_000
    assert pythia.generator_seed(name, 4, 0) not in seeds


def test_event_numbers_are_apart():
    parts = [pythia.event_numbers(seed, shard, 0, 100) for seed in range(3) for shard in range(3)]
    assert len(np.unique(np.concatenate(parts))) == 900
    assert pythia.event_numbers(0, 0, 100, 2).tolist() == [100, 101]


def test_open_flavour_reads_pdg_codes():
    b = [511, 521, 531, 541, 513, 10511, 5122, 5132, 5232, 5332, 5222]
    c = [411, 421, 431, 413, 10411, 4122, 4132, 4232, 4332, 4422]
    neither = [553, 443, 5, 4, 5101, 5203, 4103, 211, 310, 3122, 2212, 22, 100443, 9940003]
    for codes, truth in ((b, (True, False)), (c, (False, True)), (neither, (False, False))):
        for quark, answer in zip((5, 4), truth, strict=True):
            assert open_flavour(np.array(codes), quark).tolist() == [answer] * len(codes)


def test_delta_r_goes_the_shorter_way_around():
    assert delta_r(0.3, 3.1, 0.0, -3.1) == pytest.approx(np.hypot(0.3, 2 * np.pi - 6.2))
    assert delta_r(0.0, 0.5, 0.0, -0.5) == pytest.approx(1.0)


def test_matches_are_counted_within_the_event():
    axes = Directions(np.array([0, 0, 2, 3]), np.array([0.0, 1.0, 0.0, 0.0]), np.zeros(4))
    others = Directions(
        np.array([0, 0, 0, 1, 2]), np.array([0.1, 0.2, 1.2, 0.0, 0.0]), np.array([0, 0, 0, 0, 1.0])
    )
    assert axes.count_near(others, 0.5).tolist() == [2, 1, 0, 0]
    nothing = Directions(np.zeros(0, dtype=int), np.zeros(0), np.zeros(0))
    assert axes.count_near(nothing, 0.5).tolist() == [0, 0, 0, 0]


def test_the_parton_of_a_jet_is_the_nearest_outgoing_one():
    def particle(event_of, pid, status, eta, phi):
        momentum = {"px": 100 * np.cos(phi), "py": 100 * np.sin(phi), "pz": 100 * np.sinh(eta)}
        return event_of.append({"id": pid, "status": status, "p": momentum})

    first, second = [], []
    for event, *given in (
        (first, 21, -23, 0.1, 0.0),
        (first, -2, -23, 0.3, 0.0),
        (first, 4, -51, 0.0, 0.0),  # radiated: not of the hard process
        (first, 23, -22, 0.0, 0.0),
        (second, 1, -23, 2.0, 0.0),
    ):
        particle(event, *given)
    axes = Directions(np.array([0, 0, 1]), np.array([0.0, 0.3, 0.0]), np.zeros(3))
    found = outgoing(axes, ak.Array([first, second]), PROCESSES["z-mixed"])
    assert found.tolist() == [21, -2, 0]


def test_tracks_are_signed_by_the_side_of_the_jet():
    """A decay 2 mm along the jet (phi 0.1) whose track leaves at phi 0.4 passes in front."""
    flight, jet_phi, phi = 2.0, 0.1, 0.4
    for track_phi, charge in ((phi, 1), (2 * jet_phi - phi, -1)):
        own = {"px": np.array([5 * np.cos(track_phi)]), "py": np.array([5 * np.sin(track_phi)])}
        own |= {"pz": np.array([0.0]), "charge": np.array([charge])}
        x, y = flight * np.cos(jet_phi), flight * np.sin(jet_phi)
        d0 = (x * own["py"] - y * own["px"]) / 5
        own |= {"d0": d0, "z0": np.array([0.5])}
        kept, jet = pythia.signed_tracks(own, np.array([0]), np.array([0.2]), np.array([jet_phi]))
        assert kept["d0"] == pytest.approx([flight * np.sin(phi - jet_phi)])
        assert kept["z0"] == pytest.approx([0.5])
        assert jet.tolist() == [0]
    # Behind the collision: the same track from a decay on the other side.
    own["d0"], own["charge"] = -d0, np.array([1])
    kept, _ = pythia.signed_tracks(own, np.array([0]), np.array([-0.2]), np.array([jet_phi]))
    assert kept["d0"] == pytest.approx([-flight * np.sin(phi - jet_phi)])
    assert kept["z0"] == pytest.approx([-0.5])
    # Neutral, soft, forward or far from the beams: not read.
    for change in ({"charge": 0}, {"px": 0.1, "py": 0.1}, {"pz": 60.0}, {"d0": 4.0}, {"z0": 6.0}):
        changed = own | {name: np.array([value]) for name, value in change.items()}
        assert len(pythia.signed_tracks(changed, np.array([0]), np.zeros(1), np.zeros(1))[1]) == 0


def test_the_longest_jets_keep_their_hardest_200():
    random = np.random.default_rng(0)
    own = {name: random.normal(size=260) for name in ("px", "py", "pz", "E")}
    own |= {"pid": np.full(260, 211), "charge": np.ones(260)}
    jet = np.repeat([0, 2], [10, 250])
    made = pythia.ordered(own, jet, 3, tracks=False)
    assert ak.num(made).tolist() == [10, 0, 200]
    expected = np.sort(np.hypot(own["px"], own["py"])[10:])[::-1][:200]
    assert np.allclose(pt_of(made[2]), expected)


def test_what_cannot_be_generated_is_refused(monkeypatch):
    with pytest.raises(InputError, match=r"'higgs' is unknown; choose one of top, qcd.*flavour"):
        jets("higgs", 10)
    with pytest.raises(InputError, match="count is 0; it must be at least 1"):
        jets("top", 0)
    with pytest.raises(InputError, match="'minimum-bias' has no jets"):
        jets("minimum-bias", 10)
    with pytest.raises(InputError, match="seed is -1"):
        jets("top", 1, seed=-1)
    with pytest.raises(InputError, match=r"pileup is -2\.0"):
        jets("top", 1, pileup=-2.0)
    pythia.imported.cache_clear()
    monkeypatch.setitem(sys.modules, "pythia8mc", None)
    with pytest.raises(InputError, match=r"pythia8mc; run: pip install 'colliderkit\[generate\]'"):
        jets("top", 1)


# What needs Pythia and FastJet.


@pytest.fixture(scope="module")
def few():
    """Forty top jets and forty QCD jets."""
    return {name: jets(name, 40, seed=5) for name in ("top", "qcd")}


@generate
def test_jets_follow_the_schema(few):
    for made in few.values():
        check_jets(made, "jets")
        assert len(made) == 40
        fields = made.constituents.fields
        assert fields == ["px", "py", "pz", "E", "pid", "charge"]
        assert str(made.constituents.px.type) == "40 * var * float32"
        assert str(made.event.type) == "40 * int64"
        pt = pt_of(made.constituents)
        assert ak.all(pt[:, 1:] <= pt[:, :-1])
        pid = np.asarray(ak.flatten(made.constituents.pid))
        assert not np.isin(np.abs(pid), (12, 14, 16)).any()
        assert np.all((made.jet_pt > 550) & (made.jet_pt < 650) & (np.abs(made.jet_eta) < 2))


@generate
def test_the_constituents_sum_to_the_jet(few):
    for made in few.values():
        total = {name: ak.sum(made.constituents[name], axis=1) for name in ("px", "py", "pz", "E")}
        pt = np.hypot(total["px"], total["py"])
        assert np.allclose(pt, made.jet_pt, rtol=1e-5)
        assert np.allclose(np.arcsinh(total["pz"] / pt), made.jet_eta, atol=1e-5)
        assert np.allclose(np.arctan2(total["py"], total["px"]), made.jet_phi, atol=1e-5)
        square = total["E"] ** 2 - pt**2 - total["pz"] ** 2
        assert np.allclose(np.sqrt(square), made.jet_mass, atol=0.05)


@generate
def test_every_constituent_is_nearer_than_twice_the_radius(few):
    made = few["top"]
    p = made.constituents
    # In rapidity, as the jets are clustered: that of a slow proton is far from its eta.
    y, phi = np.arctanh(p.pz / p.E), np.arctan2(p.py, p.px)
    jet_y = np.arctanh(ak.sum(p.pz, axis=1) / ak.sum(p.E, axis=1))
    away = delta_r(y, phi, jet_y, made.jet_phi)
    assert ak.max(away) < 1.6
    assert ak.mean(away < 0.85) > 0.98


@generate
def test_the_seed_and_shard_give_every_bit(few):
    assert same(jets("qcd", 40, seed=5), few["qcd"])
    # Asking for fewer gives the first of them.
    assert same(jets("qcd", 15, seed=5), few["qcd"][:15])
    for other in (jets("qcd", 15, seed=6), jets("qcd", 15, seed=5, shard=1)):
        assert other.jet_pt.tolist() != few["qcd"].jet_pt[:15].tolist()


@generate
def test_charges_are_those_of_pythia():
    generator = pythia.start(PROCESSES["qcd"], 1)
    made = generator.nextBatch(20).prt
    pid = np.unique(np.asarray(ak.flatten(made.id[made.status > 0])))
    assert len(pid) > 10
    expected = [round(generator.particleData.charge(int(code))) for code in pid]
    assert charge_of(pid).tolist() == expected


@generate
def test_the_detector_acts_on_the_same_events(few):
    clean, seen = few["qcd"], jets("qcd", 20, seed=5, detector=True)
    assert len(set(clean.event.tolist()) & set(seen.event.tolist())) > 10
    assert ak.mean(ak.num(seen.constituents)) < ak.mean(ak.num(clean.constituents))
    neutral = seen.constituents.pid[seen.constituents.charge == 0]
    assert set(np.asarray(ak.flatten(neutral)).tolist()) == {22, 130}
    assert same(seen, jets("qcd", 20, seed=5, detector=True))


@generate
@pytest.mark.slow
def test_jets_lose_little_energy_in_the_detector():
    """The energy that energy flow sees of QCD events is close to what went in."""
    record = pythia.start(PROCESSES["qcd"], 7).nextBatch(200).prt
    went_in = pythia.final_state(record, vertices=True)
    central = np.abs(np.arcsinh(went_in.pz / pt_of(went_in))) < 2.5
    seen = Detector().reconstruct(went_in, 1)
    inside = np.abs(np.arcsinh(seen.pz / pt_of(seen))) < 2.5
    response = ak.sum(pt_of(seen[inside])) / ak.sum(pt_of(went_in[central]))
    # Untracked charged hadrons below 9 GeV are within twice the HCAL's resolution: lost.
    assert 0.92 < response < 1.02


@generate
@pytest.mark.slow
def test_pileup_comes_on_top(few, monkeypatch):
    """Pythia takes 10 s to start minimum bias, hence one test for all of it."""
    pythia.minimum_bias.cache_clear()
    monkeypatch.setattr(pythia, "POOL", 100)
    clean, crowded = few["qcd"], jets("qcd", 40, seed=5, pileup=20.0)
    both = sorted(set(clean.event.tolist()) & set(crowded.event.tolist()))
    assert len(both) > 10
    pool = pythia.minimum_bias(5)
    assert len(pool) == 100
    # Neutrinos and what goes down the beam pipe are missing, nothing is there twice.
    assert ak.max(ak.sum(pool.E, axis=1)) < 14_000
    assert ak.all(np.abs(np.arcsinh(pool.pz / pt_of(pool))) < 5.0)
    # Charges balance but for what leaves forward.
    assert abs(float(ak.mean(ak.sum(pool.charge, axis=1)))) < 2
    # Particles per area times that of the jet, for 20 collisions within |eta| < 5.
    expected = 20 * ak.mean(ak.num(pool)) * 0.8**2 * np.pi / (10 * 2 * np.pi)
    more = ak.mean(ak.num(crowded.constituents)) - ak.mean(ak.num(clean.constituents))
    assert more == pytest.approx(expected, rel=0.35)
    pythia.minimum_bias.cache_clear()


@generate
@pytest.mark.slow
def test_top_and_qcd_look_as_published():
    """Median top mass, constituents and the mass window of the public benchmark's kind of jets."""
    count = 1500
    top, qcd = jets("top", count, seed=11), jets("qcd", count, seed=11)
    mass = {"top": np.asarray(top.jet_mass), "qcd": np.asarray(qcd.jet_mass)}
    assert np.median(mass["top"]) == pytest.approx(174.8, abs=1.5)
    assert ak.mean(ak.num(top.constituents)) == pytest.approx(74, abs=2)
    assert ak.mean(ak.num(qcd.constituents)) == pytest.approx(58, abs=2)
    passed = {name: np.mean((m > 165) & (m < 185)) for name, m in mass.items()}
    for name, expected in (("top", 0.63), ("qcd", 1 / 34)):
        error = np.sqrt(expected * (1 - expected) / count)
        assert passed[name] == pytest.approx(expected, abs=3 * error)


@generate
@pytest.mark.slow
def test_w_jets_have_the_mass_of_the_w():
    made = jets("w", 300, seed=3)
    mass = np.asarray(made.jet_mass)
    # Ungroomed, R = 1.0 and multiple interactions: some GeV above 80.4.
    assert 80.4 < np.median(mass) < 100
    assert np.mean((mass > 60) & (mass < 130)) > 0.75


@generate
@pytest.mark.slow
def test_gluon_jets_have_more_constituents_than_quark_jets():
    count = 150
    for name, expected in (("quark", 33), ("gluon", 52)):
        number = np.asarray(ak.num(jets(name, count, seed=3).constituents))
        assert number.mean() == pytest.approx(expected, abs=4 * number.std() / np.sqrt(count))


@generate
@pytest.mark.slow
def test_tracks_of_b_jets_are_displaced():
    count = 200
    tail, third, tracks = {}, {}, {}
    for name in ("b", "c", "light"):
        made = jets(name, count, seed=4)
        check_jets(made, name, ["px", "py", "pz", "E", "d0", "z0", "d0_error", "z0_error"])
        p = made.constituents
        assert ak.all(p.charge != 0)
        significance = p.d0 / p.d0_error
        tail[name] = ak.mean(np.abs(significance) > 3)
        # The third largest significance of a jet: the classic track-counting tagger.
        ranked = ak.sort(significance, ascending=False)
        third[name] = np.asarray(ak.fill_none(ak.firsts(ranked[:, 2:]), -10.0))
        tracks[name] = np.asarray(ak.flatten(significance))
    assert tail["b"] > 2 * tail["light"]
    assert tail["b"] > tail["c"] > tail["light"]
    assert np.mean(third["b"] > 2) > 4 * np.mean(third["light"] > 2)
    # In b jets the tail is in front of the collision; the core of light jets is the resolution.
    assert np.mean(tracks["b"] > 3) > 5 * np.mean(tracks["b"] < -3)
    low, high = np.percentile(tracks["light"], [15.87, 84.13])
    assert (high - low) / 2 == pytest.approx(1.0, abs=0.15)
