import torch

from colliderkit.events.ragged import Ragged
from colliderkit.training.batches import Batches, Dataset
from colliderkit.training.settings import Training
from samples import make_jets

COLUMNS = ("px", "py", "pz", "E")


def dataset(count: int) -> Dataset:
    ragged = Ragged.from_awkward(make_jets(count).constituents, COLUMNS)
    return Dataset(ragged, torch.arange(count), torch.ones(count))


def test_every_event_comes_once_an_epoch() -> None:
    batches = Batches(dataset(103), 10, pool=4, seed=5)
    seen = torch.cat([batch.target for batch in batches])
    assert sorted(seen.tolist()) == list(range(103))
    assert len(batches) == 11 == sum(1 for _ in batches)


def test_held_events_are_apart_and_none_is_lost() -> None:
    data, held = dataset(20), torch.arange(20) % 3 == 0
    for given in (held, held.numpy()):
        train, validation = data.split(given)
        assert validation.target.tolist() == list(range(0, 20, 3))
        assert train.target.tolist() == [i for i in range(20) if i % 3]
        assert torch.equal(
            validation.batch(torch.arange(7)).values,
            data.batch(torch.arange(0, 20, 3)).values,
        )


def test_epochs_shuffle_repeatably() -> None:
    batches = Batches(dataset(50), 10, seed=5)
    first = torch.cat([batch.target for batch in batches]).tolist()
    batches.set_epoch(1)
    second = torch.cat([batch.target for batch in batches]).tolist()
    again = Batches(dataset(50), 10, seed=5)
    assert first != second
    assert torch.cat([batch.target for batch in again]).tolist() == first


def test_pools_save_padding() -> None:
    data = dataset(640)
    share = {}
    for pool in (1, 20):
        masks = [batch.mask for batch in Batches(data, 32, pool=pool)]
        share[pool] = sum(int((~m).sum()) for m in masks) / sum(m.numel() for m in masks)
    assert share[1] > 0.3
    assert share[20] < 0.06


def test_batches_are_random_draws_if_nothing_is_said() -> None:
    """Sorted ones hold the jets of one class where the multiplicity tells the classes apart."""
    data = dataset(640)
    assert isinstance(data.inputs, Ragged)
    lengths = data.inputs.lengths.double()
    spread = {}
    for pool in (Training().pool, 20):
        means = [batch.mask.sum(1).double().mean() for batch in Batches(data, 32, pool=pool)]
        spread[pool] = float(torch.stack(means).std() / (lengths.std() / 32**0.5))
    assert spread[Training().pool] < 1.5
    assert spread[20] > 4


def test_without_shuffle_events_keep_their_order() -> None:
    batches = Batches(dataset(25), 10, shuffle=False)
    assert torch.cat([batch.target for batch in batches]).tolist() == list(range(25))


def test_ranks_share_the_epoch_evenly() -> None:
    parts = [Batches(dataset(100), 8, seed=2, rank=rank, world=2) for rank in range(2)]
    seen = [torch.cat([batch.target for batch in part]).tolist() for part in parts]
    assert len(parts[0]) == len(parts[1]) == 6
    assert not set(seen[0]) & set(seen[1])


def test_tables_have_no_mask() -> None:
    data = Dataset(torch.randn(9, 3), torch.zeros(9), torch.ones(9)).at(torch.tensor([8, 0]))
    (batch,) = Batches(data, 4)
    assert batch.mask is None
    assert batch.values.shape == (2, 3)
