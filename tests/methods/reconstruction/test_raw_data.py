"""Raw data end to end: what the heads learn, what is known of events, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.objects import CalorimeterObjects, kinds_of
from colliderkit.losses.cell_heads import CellHeadsLoss, gaussian
from colliderkit.methods.reconstruction.neutral_energy import neutral_energy
from colliderkit.methods.reconstruction.raw_data import RawData, cells
from colliderkit.methods.reconstruction.shape_trees import ShapeTrees, shape_table
from colliderkit.networks.cell_heads import CellHeads
from colliderkit.sources.datasets.calorimeter_objects import invariant_mass
from colliderkit.tasks.raw_data import ENTROPY, MERITS, values_of
from colliderkit.training.settings import Training
from contracts.cases.neutral_energy import DEPTHS
from contracts.cases.raw_data import QUICK, small_objects


@pytest.mark.statistical
def test_all_heads_learn_from_the_cells(seed: int) -> None:
    train, test = small_objects(180, 10 + seed), small_objects(120, 2000 + seed)
    training = Training(epochs=14, batch_size=16, learning_rate=1e-2)
    found = [
        RawData(width=16, training=training).fit(train, seed=start, progress=False)
        for start in (seed, seed + 1, seed + 2)
    ]
    truth = found[0].true(test)
    values = [values_of(each.predict(test), truth, test) for each in found]
    # Without any learning: ln 3; the spread of 1 / response; of masses; of neutral shares.
    middle = {name: float(np.median([v[name].value for v in values])) for name in values[0]}
    assert middle[ENTROPY] < 0.5 * np.log(3)
    assert middle[MERITS["energy"]] < 0.11  # what is seen of a pi+ fluctuates by 0.1 / 0.8
    assert middle[MERITS["mass"]] < 0.25  # they spread by 0.4
    assert middle[MERITS["share"]] < 0.15  # by 0.3, of pairs


def test_kinds_are_the_particles_of_an_event() -> None:
    events = small_objects(6, 1)
    names, kind = kinds_of(events.hits)
    assert names == ("pi+", "pi+ pi0", "pi0")
    assert kind.tolist() == [0, 2, 1, 0, 2, 1]
    assert kinds_of(events.hits.at([1, 2]))[1].tolist() == [1, 0]


def test_the_mass_of_two_is_that_of_their_momenta() -> None:
    # Two photons of 3 and 4 GeV, 1.5 m away and 100 mm apart: m^2 = 2 E E' (1 - cos).
    place = np.array([[0.0, 0.0], [100.0, 0.0], [5.0, 5.0]])
    energy = np.array([3.0, 4.0, 7.0])
    mass = invariant_mass([0, 0, 1], 2, energy, energy, place, 1500.0)
    cosine = 1500.0 / np.hypot(1500.0, 100.0)
    assert mass[0] == pytest.approx(np.sqrt(2 * 3 * 4 * (1 - cosine)))
    assert np.isnan(mass[1])


def test_the_energy_of_each_kind_of_particle_is_summed_and_seen() -> None:
    events = small_objects(6, 1)
    pairs = events.hits.particle_energy
    assert events.energy[2] == pytest.approx(pairs[2] + pairs[3])
    np.testing.assert_allclose(events.seen, np.add.reduceat(events.hits.energy,
                                                            events.hits.offsets[:-1]))  # fmt: skip


def test_the_network_does_not_depend_on_the_order_of_cells_or_the_place_of_the_event() -> None:
    torch.manual_seed(0)
    network = CellHeads(depths=DEPTHS, classes=3, width=8).eval()
    events = small_objects(3, 2)
    values, mask = cells(events).padded(torch.arange(3))
    share, out = network(values, mask)
    order = torch.randperm(values.shape[1])
    turned_share, turned = network(values[:, order], mask[:, order])
    torch.testing.assert_close(turned, out, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(turned_share, share[:, order], rtol=1e-4, atol=1e-5)
    moved = values.clone()
    moved[..., :2] += 40.0
    moved[..., 4:6] += 40.0
    torch.testing.assert_close(network(moved, mask)[1], out, rtol=1e-3, atol=1e-4)


def test_the_loss_is_the_sum_of_its_heads() -> None:
    # One event of two cells: logits of two classes, energy, mass, and shares.
    event = torch.tensor([[0.0, 0.0, 1.0, 0.0, 0.5, np.log(2.0)]])
    of_cell = torch.tensor([[[0.0, 3.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]]])
    outputs = torch.cat([of_cell, event[:, None].expand(-1, 2, -1)], dim=2).float()
    target = torch.tensor([[1.0, 0.0, 1.5]])
    loss = CellHeadsLoss(("class", "energy", "mass", "share"), 2, pairs=3.0)
    # ln 2, (0 - 1)^2 / 2, (1 / 2)^2 / 2 + ln 2, and a square error of 1/4.
    expected = np.log(2) + 0.5 + 3 * (0.125 + np.log(2)) + 30 * 0.25
    assert float(loss(outputs, target, torch.ones(1))) == pytest.approx(expected, rel=1e-4)
    assert float(gaussian(event[:, 2:4], torch.tensor([float("nan")]))) == 0.0


def test_shapes_of_two_cells() -> None:
    events = small_objects(3, 1)
    table = shape_table(events, DEPTHS)
    assert table["layer 0"] + table["layer 1"] == pytest.approx(1.0)
    assert table["track"].tolist() == [1, 0, 1]
    assert table["E / p"][1] == 0
    assert (table["longer width"] >= table["shorter width"]).all()


def test_an_event_without_cells_has_an_answer() -> None:
    events = small_objects(24, 1)
    method = RawData(width=8, training=QUICK).fit(events, progress=False)
    hits = replace(events.hits.at([]), offsets=np.zeros(2, np.int64),
                   particle_offsets=np.zeros(2, np.int64))  # fmt: skip
    found = method.predict(CalorimeterObjects.checked(hits, np.zeros((1, 3))))
    assert found.probability is not None
    assert np.isfinite(found.probability).all()
    assert found.neutral is not None
    assert found.neutral.tolist() == [0.0]


def test_a_head_alone_is_its_own_network() -> None:
    events = small_objects(24, 1)
    method = RawData(heads=("share",), width=8, training=QUICK).fit(events, progress=False)
    found = method.predict(events)
    assert found.probability is found.energy is found.mass is None
    assert found.share is not None
    assert found.neutral == pytest.approx(neutral_energy(events.hits, found.share))


@pytest.mark.parametrize("kind", [RawData, ShapeTrees])
def test_what_is_wrong_is_said(kind: type[RawData] | type[ShapeTrees]) -> None:
    events = small_objects(24, 1)
    with pytest.raises(InputError, match="heads are spin; choose each once"):
        kind(heads=("spin",)).fit(events)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="all events are pi0; give several kinds"):
        kind(heads=("class",)).fit(events.at(np.arange(24) % 3 == 1), progress=False)
    with pytest.raises(InputError, match="no event has a mass"):
        kind().fit(replace(events, mass=np.full(24, np.nan)), progress=False)
    with pytest.raises(InputError, match=r"event 2 .* has a track with a momentum below 0"):
        track = events.track.copy()
        track[2, 2] = -1
        kind().fit(replace(events, track=track))
    with pytest.raises(InputError, match=r"track of event 0 .* far outside of the hits"):
        kind().fit(replace(events, track=events.track + np.array([500.0, 0, 0])))
    fitted = kind(heads=("energy",)).fit(events.at(np.arange(24) % 3 == 1), progress=False)
    with pytest.raises(InputError, match=r"there are events of 'pi\+'"):
        fitted.true(events)
