"""Object detection: blobs at known places, rotations, events with nothing, and what is wrong."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from colliderkit.errors import InputError
from colliderkit.events.angles import turned
from colliderkit.events.event_objects import EventObjects, EventTowers
from colliderkit.losses.centers import CenterLoss, splat
from colliderkit.methods.reconstruction.clustered_objects import ClusteredObjects
from colliderkit.metrics.detection import match_objects
from colliderkit.networks.center_map import CenterMap
from colliderkit.sources.files.event_objects import read_event_objects, write_event_objects
from colliderkit.training.settings import Training
from contracts.cases.object_detection import COLUMNS, ETA, ROWS, blobs, detector, empty

LONG = Training(epochs=2, batch_size=16, learning_rate=1e-2, devices=1)


@pytest.mark.statistical
def test_blobs_are_found_with_place_pt_mass_and_kind(seed: int) -> None:
    train, test = blobs(300, 10 + seed), blobs(150, 2000 + seed)
    kinds, found, places, widths, masses = [], [], [], [], []
    for start in (seed, seed + 1, seed + 2):
        method = detector(width=12, training=LONG).fit(*train, seed=start, progress=False)
        detection = match_objects(test[1], method.predict(test[0]))
        true, taken = detection.confusion()
        kinds.append(float((true == taken).mean()))
        found.append(detection.found_share().value)
        seen = detection.best >= 0
        other = detection.found.where(np.arange(len(detection.found.pt)) >= 0)
        best = detection.best[seen]
        away = np.hypot(
            test[1].eta[seen] - other.eta[best], turned(test[1].phi[seen] - other.phi[best])
        )
        places.append(float(np.median(away)))
        widths.append(abs(float(np.median(np.log(detection.ratios("pt")[0])))))
        masses.append(abs(float(np.median(np.log(detection.ratios("mass", 2)[0])))))
    # A guess of the kind is right in 40%; a cell is 0.2 x 0.2, its middle 0.077 from a place in it.
    assert np.median(kinds) > 0.8
    assert np.median(found) > 0.95
    assert np.median(places) < 0.07
    assert np.median(widths) < 0.03
    assert np.median(masses) < 0.1


@pytest.fixture(scope="module")
def fitted() -> object:
    return detector().fit(*blobs(60, 1), progress=False)


def test_an_event_that_is_turned_has_its_objects_turned(fitted) -> None:
    towers, _ = blobs(20, 3)
    cells = 5
    angle = 2 * np.pi / (ROWS // 2) * cells
    # Towers at the middles of theirs, so that rounding moves none over an edge.
    step = 2 * np.pi / ROWS
    towers = replace(towers, phi=(np.floor(towers.phi / step) + 0.5) * step)
    images = fitted.images(towers)
    turned_images = fitted.images(replace(towers, phi=turned(towers.phi + angle)))
    assert torch.equal(images.roll(2 * cells, dims=2), turned_images)
    with torch.no_grad():
        maps, other = (fitted.network_.eval()(i) for i in (images, turned_images))
    # The same sums in another order of memory: float32 alone.
    torch.testing.assert_close(maps.roll(cells, dims=2), other, rtol=1e-4, atol=1e-4)
    one = fitted.read(maps)
    two = fitted.read(maps.roll(cells, dims=2))
    assert len(one.pt)
    order, order_two = (np.lexsort((each.pt, each.event)) for each in (one, two))
    np.testing.assert_array_equal(one.pt[order], two.pt[order_two])
    away = turned(one.phi[order] + angle - two.phi[order_two])
    np.testing.assert_allclose(away, 0.0, atol=1e-9)


def test_an_event_with_nothing_in_it_has_a_finite_loss_and_no_object(fitted) -> None:
    towers, objects = empty(2)
    assert len(fitted.predict(towers).pt) == 0
    images = fitted.images(towers)
    network = copy.deepcopy(fitted.network_).train()
    maps = network(images)
    loss = CenterLoss(3)(maps, fitted.targets(objects), torch.ones(2))
    loss.backward()
    assert torch.isfinite(loss)
    assert 0 <= float(loss) < 1e-3
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in network.parameters())


def test_the_maps_know_the_sum_and_the_mass_within_the_radius() -> None:
    network = CenterMap(rows=ROWS, columns=COLUMNS, eta=ETA, radius=1.0, width=4)
    with torch.no_grad():
        network.heads[-1].weight.zero_()
        network.heads[-1].bias.zero_()
    image = torch.zeros(1, 3, ROWS, COLUMNS)
    image[0, 0, 0, 12], image[0, 1, ROWS - 2, 13] = 40.0, 60.0
    with torch.no_grad():
        maps = network.eval()(image)[0]
    # Two towers two rows and a column apart, across the end of the azimuth: m^2 = p1 p2 d^2.
    distance = np.hypot(2 * 2 * np.pi / ROWS, 2 * ETA / COLUMNS)
    row, column = 0, 6
    assert maps[5, row, column] == pytest.approx(np.log(101.0), abs=1e-4)
    assert maps[6, row, column] == pytest.approx(np.log(1 + (2400**0.5) * distance), abs=1e-3)
    assert (maps[:3, ROWS // 4] == -20.0).all()  # nothing is there


def test_the_loss_is_least_at_the_truth_and_counts_places_around_the_end() -> None:
    target = torch.tensor([[1.0, 0.25, 4.75, 5.0, 4.0, -1, 0, 0, 0, 0]])
    near, (down, along) = splat(target.reshape(1, 2, 5), 8, 10)
    assert near[0, 0, 0, 4] == 1.0
    assert near[0, 0, 7, 4] == pytest.approx(np.exp(-0.5))
    assert float(near[0, 1].max()) == 0.0
    assert down[0, 0, 0, 4] == pytest.approx(-0.25)
    assert down[0, 0, 7, 4] == pytest.approx(0.75)
    assert along[0, 0, 0, 4] == pytest.approx(0.25)
    maps = torch.zeros(1, 7, 8, 10)
    maps[:, :3] = -20.0
    maps[0, 1, 0, 4] = 20.0
    maps[0, 3], maps[0, 4] = down[0, 0], along[0, 0]
    maps[0, 5], maps[0, 6] = 5.0, 4.0
    loss = CenterLoss(3)
    best = float(loss(maps, target, torch.ones(1)))
    assert best < 1e-6
    for change in ((1, 0, 4, 0.0), (0, 0, 4, 0.0), (5, 0, 4, 5.3), (3, 0, 4, 0.5)):
        other = maps.clone()
        other[0, change[0], change[1], change[2]] = change[3]
        assert float(loss(other, target, torch.ones(1))) > best + 0.01
    # A mass that is not known counts nothing.
    unknown = target.clone()
    unknown[0, 4] = float("nan")
    other = maps.clone()
    other[0, 6] = 9.0
    assert float(loss(other, unknown, torch.ones(1))) < 1e-6


def test_average_precision_of_a_ranking_by_hand() -> None:
    ends = np.array([0, 1, 2])
    true = EventObjects.true(
        ends, np.full(2, 100.0), np.zeros(2), np.zeros(2), np.full(2, 80.0), np.array([1, 1])
    )
    # In the first event the right one and, better, one that is nowhere near; in the second two of
    # the same true one: the second of these is false.
    score = np.zeros((4, 3))
    score[:, 1] = [0.8, 0.9, 0.7, 0.6]
    found = EventObjects(
        np.array([0, 2, 4]), np.full(4, 110.0), np.array([0.1, 1.5, 0.2, 0.3]), np.zeros(4),
        np.full(4, 88.0), np.ones(4, np.int64), score,
    )  # fmt: skip
    detection = match_objects(true, found)
    assert detection.partner.tolist() == [0, -1, 1, 1]
    # Ranked: false, right, right, false. Precisions at the right ones: 1/2 and 2/3.
    assert detection.average_precision(1).value == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert detection.efficiency_at(1, 0.4).value == 0.0
    assert detection.efficiency_at(1, 0.5).value == 1.0
    assert detection.found_share().value == 1.0
    assert detection.response("mass", 1)[0].value == pytest.approx(1.1)


def test_clustering_finds_blobs_and_their_pt() -> None:
    method = ClusteredObjects(cut=20.0, rounds=40).fit(*blobs(300, 1))
    towers, true = blobs(150, 2)
    detection = match_objects(true, method.predict(towers))
    assert detection.found_share().value > 0.98
    kind, taken = detection.confusion()
    assert (kind == taken).mean() > 0.9
    middle, width = detection.response("pt")
    assert abs(middle.value - 1) < 0.02
    assert width.value < 0.05


def test_events_are_read_as_written(tmp_path) -> None:
    towers, objects = blobs(4, 1)
    path = write_event_objects(tmp_path / "events.parquet", towers, objects)
    for again, given in zip(read_event_objects(path), (towers, objects), strict=True):
        for name, column in vars(given).items():
            np.testing.assert_array_equal(getattr(again, name), column)
    assert len(read_event_objects(path, true=False)[1].pt) == 0
    both = EventTowers.joined([towers.at([1]), towers.at([3])])
    np.testing.assert_array_equal(both.em, towers.at([1, 3]).em)


def test_what_is_wrong_is_said() -> None:
    towers, objects = blobs(30, 1)
    with pytest.raises(InputError, match="no object is a top; give events"):
        detector().fit(towers, objects.where(objects.kind < 2))
    with pytest.raises(InputError, match="give two even numbers"):
        detector().set_params(towers=(31, 26)).fit(towers, objects)
    with pytest.raises(InputError, match="29 events of towers and 30 of objects"):
        detector().fit(towers.at(slice(1, None)), objects)
    with pytest.raises(InputError, match="em is negative in event 0"):
        detector().fit(replace(towers, em=towers.em - 5), objects)
    with pytest.raises(InputError, match="no jet of 4000 GeV or more is a jet"):
        ClusteredObjects(cut=4000.0).fit(towers, objects)
