"""Tunes: what Pythia is told beyond the process, and that it does what it is told."""

import awkward as ak
import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.sources.pythia import jets as pythia
from colliderkit.sources.pythia.jets import jets
from colliderkit.sources.pythia.processes import PROCESSES
from colliderkit.sources.pythia.tunes import BLOCK, BLOCKS, PARAMETERS, Tune, generator_seed, start

generate = pytest.mark.generate
RANGES = {"alphaS": (0.10, 0.18), "aLund": (0.5, 0.9), "probStoUD": (0.10, 0.30)}


# What needs no generator.


def test_settings_come_as_a_text_or_as_lines():
    lines = ("TimeShower:alphaSvalue = 0.16", "23:onIfAny = 1 2 3")
    assert Tune.of(lines) == Tune.of(" ; ".join(lines) + ";") == Tune(lines)
    assert Tune.of() == Tune.of("") == Tune.of([], {}) == Tune()


@pytest.mark.parametrize(
    ("settings", "parameters", "message"),
    [
        ("fast", None, "setting 'fast' is not of the form 'Name:key = value'"),
        ("TimeShower:alphaSvalue", None, "is not of the form"),
        (["Random:seed = 3"], None, "random numbers follow the seed"),
        ((), {"alpha": (0.1, 0.2)}, "parameter 'alpha' is none of alphaS, aLund, probStoUD"),
        ((), {"alphaS": (0.2, 0.1)}, r"'alphaS': \[0\.2, 0\.1\] is no range"),
        ((), {"alphaS": (0.1, float("nan"))}, "is no range"),
        ((), {"alphaS": (0.1,)}, "is no range"),
        ("timeshower:ALPHASVALUE=0.12", {"alphaS": (0.1, 0.2)}, "also in the settings"),
        ("PartonShowers:model = 2", {"alphaS": (0.1, 0.2)}, "of Pythia's own shower"),
    ],
)
def test_what_is_no_tune_is_refused(settings, parameters, message):
    with pytest.raises(InputError, match=message):
        Tune.of(settings, parameters)


def test_the_plain_tune_keeps_the_stream_and_every_other_has_its_own():
    tunes = [Tune(), Tune.of("A:b=1"), Tune.of("A:b=2"), Tune.of((), {"alphaS": (0.1, 0.2)})]
    streams = [tune.stream("top") for tune in tunes]
    assert streams[0] == "top"
    assert len({generator_seed(stream, 0, 0) for stream in streams}) == 4


def test_parameters_are_uniform_and_independent():
    tune = Tune.of((), RANGES)
    drawn = [tune.drawn("ee-dijets", 3, shard, block) for shard in range(40) for block in range(50)]
    assert drawn[7] == tune.drawn("ee-dijets", 3, 0, 7)
    table = np.array([list(row.values()) for row in drawn])
    assert list(drawn[0]) == list(RANGES)
    # 2000 draws among the 1e7 numbers of float32 in the range meet 0.2 times: above 5 once in 1e7.
    assert len(np.unique(table[:, 0])) >= 1995
    # What a column of float32 holds is what Pythia is given.
    assert np.array_equal(table, table.astype(np.float32))
    low, high = np.array(list(RANGES.values())).T
    uniform = (table - low) / (high - low)
    # The largest distance to the uniform distribution is above 1.95 / sqrt(n) once in 1000.
    rank = np.arange(1, 2001) / 2000
    assert np.all(np.abs(np.sort(uniform, axis=0) - rank[:, None]).max(0) < 1.95 / np.sqrt(2000))
    correlation = np.corrcoef(uniform.T)[np.triu_indices(3, 1)]
    assert np.all(np.abs(correlation) < 4 / np.sqrt(2000))


# What needs Pythia and FastJet.


@generate
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("TimeShower:alfa = 0.1", "Pythia knows no 'TimeShower:alfa'"),
        ("99999999:m0 = 3", "Pythia knows no '99999999:m0'"),
        ("TimeShower:alphaSvalue = much", "Pythia refuses the value"),
        ("TimeShower:alphaSvalue = 5", "Pythia refuses the value"),
        ("PartonShowers:model = 9", "Pythia refuses the value"),
        ("PartonLevel:MPI = maybe", "Pythia refuses the value"),
        ("WeakSingleBoson:ffbar2gmZ = off", "does not start 'the hardest jet of a Z.* with the"),
    ],
)
def test_what_pythia_refuses_is_one_sentence(settings, message, capfd):
    with pytest.raises(InputError, match=message) as caught:
        Tune.of(settings).check("ee-dijets")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().out == ""


@generate
def test_a_range_beyond_what_pythia_takes_is_refused():
    for pair, end in (((0.1, 0.5), 0.5), ((0.01, 0.1), 0.01)):
        with pytest.raises(InputError, match=f"alphaSvalue = {end}': Pythia refuses the value"):
            Tune.of((), {"alphaS": pair}).check("ee-dijets")
    Tune.of((), RANGES).check("ee-dijets")


@generate
def test_pythia_started_again_makes_the_events_of_a_new_one():
    process, tune = PROCESSES["ee-dijets"], ["TimeShower:alphaSvalue = 0.17", "StringZ:aLund = 0.9"]
    again = start(process, 5, ["TimeShower:alphaSvalue = 0.12"])
    again.nextBatch(10)
    parts = [start(process, 9, tune, generator).nextBatch(20).prt for generator in (again, None)]
    one, two = (np.asarray(ak.flatten(part.p.px)) for part in parts)
    assert np.array_equal(one, two)


@generate
def test_drawn_parameters_stand_beside_the_jets_made_with_them():
    tune = Tune.of((), RANGES)
    made = jets("ee-dijets", BLOCK + 20, seed=4, shard=2, parameters=RANGES)
    for block, part in enumerate((made[:BLOCK], made[BLOCK:])):
        drawn = tune.drawn("ee-dijets", 4, 2, block)
        for name, value in drawn.items():
            assert str(part[name].type) == f"{len(part)} * float32"
            assert set(part[name].tolist()) == {value}
        # The same jets as with the drawn values as settings, from the block's own seed.
        lines = [f"{PARAMETERS[name]} = {value!r}" for name, value in drawn.items()]
        seed = generator_seed(tune.stream("ee-dijets"), 4, 2 * BLOCKS + block)
        record = start(PROCESSES["ee-dijets"], seed, lines).nextBatch(10).prt
        number = np.arange(10)
        particles = pythia.final_state(record, vertices=False)
        expected = pythia.clustered(particles, record, PROCESSES["ee-dijets"], number)
        assert part.jet_pt[: len(expected)].tolist() == expected.jet_pt.tolist()
    assert len(np.unique(made.event)) == len(made)


@generate
def test_settings_change_the_jets_and_more_coupling_makes_more_particles():
    """As published: 36.9 particles an event at alphaS = 0.10, 54.0 at 0.18 (all of the event)."""
    counts = []
    for value in (0.10, 0.18):
        lines = [f"TimeShower:alphaSvalue = {value}"]
        record = start(PROCESSES["ee-dijets"], 3, lines).nextBatch(400).prt
        counts.append(np.asarray(ak.num(pythia.final_state(record, vertices=False))))
    for number, expected in zip(counts, (36.9, 54.0), strict=True):
        # Some per cent leave within |eta| > 5 or as neutrinos.
        assert number.mean() == pytest.approx(expected, rel=0.05)


@generate
def test_jets_at_the_z_pole_have_half_its_mass_as_energy():
    made = jets("ee-dijets", 300, seed=1)
    energy = np.asarray(ak.sum(made.constituents.E, axis=1))
    assert np.max(energy) < 91.2
    # Two jets share 91.2 GeV; what a third one takes is missing.
    assert np.median(energy) == pytest.approx(42, abs=2)
    assert np.all(np.abs(made.jet_eta) < 2)
    assert len(np.unique(made.event)) == 300


@generate
@pytest.mark.slow
def test_another_parton_shower_is_a_setting(capfd):
    vincia = jets("z-jets", 60, seed=1, settings="PartonShowers:model = 2")
    assert len(vincia) == 60
    assert np.all(vincia.jet_pt > 100)
    # Vincia's page of greetings is not shown.
    assert capfd.readouterr().out == ""
