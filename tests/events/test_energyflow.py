"""Energy-flow polynomials against their definition, published identities and invariances."""

import math
from itertools import permutations, product

import pytest
import torch

from colliderkit.errors import InputError
from colliderkit.events.energyflow import Contraction, EnergyFlow, hadronic_measure
from colliderkit.events.multigraphs import Multigraph, canonical, connected, order


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def jets(batch=3, particles=6, seed=0, spread=0.4, dtype=torch.float64):
    """Massless particles around (0.3, 3.0), so that phi wraps within the jet."""
    random = torch.Generator().manual_seed(seed)
    pt, y, phi = torch.rand(3, batch, particles, generator=random, dtype=torch.float64)
    values = fourvectors(10 * pt + 0.5, 0.3 + spread * y, 3.0 + spread * phi)
    return values.to(dtype), torch.ones(batch, particles, dtype=torch.bool)


def fourvectors(pt, y, phi):
    return torch.stack([pt * phi.cos(), pt * phi.sin(), pt * y.sinh(), pt * y.cosh()], -1)


def plane(batch=2, particles=7, seed=1):
    """z and theta = |x_i - x_j|^2 of points in a plane, exact."""
    random = torch.Generator().manual_seed(seed)
    z = torch.rand(batch, particles, generator=random, dtype=torch.float64)
    x = torch.randn(batch, particles, 2, generator=random, dtype=torch.float64)
    return z, (x[:, :, None] - x[:, None]).square().sum(-1), x


def definition(graph: Multigraph, z, theta):
    """sum over all particles for all vertices, in Python."""
    n = order(graph)
    total = torch.zeros(len(z), dtype=z.dtype)
    for chosen in product(range(z.shape[1]), repeat=n):
        term = torch.ones(len(z), dtype=z.dtype)
        for i in chosen:
            term = term * z[:, i]
        for j, k in graph:
            term = term * theta[:, chosen[j], chosen[k]]
        total += term
    return total


@pytest.mark.parametrize("degree", [0, 1, 2, 3, 4])
def test_every_graph_matches_its_definition(degree):
    values, mask = jets(batch=2, particles=4)
    z, theta = hadronic_measure(values, mask, beta=1.3)
    graphs = connected(degree)
    for graph, value in zip(graphs, Contraction(graphs)(z, theta).T, strict=True):
        torch.testing.assert_close(value, definition(graph, z, theta), rtol=1e-12, atol=0)


@pytest.mark.parametrize("degree", [5, 6, 7])
def test_every_larger_graph_matches_a_plain_einsum(degree):
    values, mask = jets(batch=2, particles=3)
    z, theta = hadronic_measure(values, mask, beta=0.7)
    graphs = connected(degree)
    for graph, value in zip(graphs, Contraction(graphs)(z, theta).T, strict=True):
        n = order(graph)
        # Letter 25 is the jet; 3^8 terms are summed without any order of elimination.
        operands = [x for v in range(n) for x in (z, [25, v])]
        operands += [x for j, k in graph for x in (theta, [25, j, k])]
        truth = torch.einsum(*operands, [25])
        torch.testing.assert_close(value, truth, rtol=1e-12, atol=0)


def test_sizes_are_those_of_the_paper():
    assert [EnergyFlow(d).size for d in range(8)] == [1, 2, 5, 13, 36, 102, 314, 1000]
    assert EnergyFlow(5, connected=True).size == 1 + 1 + 2 + 5 + 12 + 33
    with pytest.raises(InputError, match="degree 8"):
        EnergyFlow(8)


def test_products_multiply_their_components():
    values, mask = jets()
    flow = EnergyFlow(4).double()
    results = dict(zip(flow.graphs, flow.polynomials(values, mask).T, strict=True))
    for parts, result in results.items():
        expected = torch.ones(len(values), dtype=torch.float64)
        for part in parts:
            expected = expected * results[part,]
        torch.testing.assert_close(result, expected, rtol=1e-12, atol=0)


def test_dot_is_one():
    values, mask = jets()
    torch.testing.assert_close(
        EnergyFlow(2).double().polynomials(values, mask)[:, 0], torch.ones(3).double()
    )


def test_edge_is_twice_the_width():
    # sum_ij z_i z_j (x_i - x_j)^2 = 2 sum_i z_i (x_i - <x>)^2 for sum z = 1.
    z, theta, x = plane()
    z = z / z.sum(1, keepdim=True)
    (edge,) = Contraction([((0, 1),)])(z, theta).T
    centre = (z[..., None] * x).sum(1, keepdim=True)
    width = (z * (x - centre).square().sum(-1)).sum(1)
    torch.testing.assert_close(edge, 2 * width)


def test_edge_is_the_mass_of_a_narrow_jet():
    # m^2 = sum_ij pt_i pt_j (cosh dy - cos dphi) -> pt^2/2 sum_ij z_i z_j theta_ij at beta = 2.
    values, mask = jets(spread=1e-3)
    edge = EnergyFlow(1, beta=2).double().polynomials(values, mask)[:, 1]
    jet = values.sum(1)
    pt = values[..., :2].norm(dim=-1).sum(1)
    mass_squared = jet[:, 3].square() - jet[:, :3].square().sum(-1)
    torch.testing.assert_close(mass_squared / pt.square(), edge / 2, rtol=1e-6, atol=0)


def test_pentagon_is_five_sixths_of_triangle_times_double_edge():
    # Five points of a plane: det theta = 0 (1911.04491), as theta_ij = -2 X_i.X_j for
    # X = (x, (1 + x^2)/2, (1 - x^2)/2) of four components; only derangements are without loops.
    z, theta, _ = plane()
    pentagon = canonical(((0, 1), (1, 2), (2, 3), (3, 4), (0, 4)))
    triangle, double = canonical(((0, 1), (1, 2), (0, 2))), ((0, 1), (0, 1))
    a, b, c = Contraction([pentagon, triangle, double])(z, theta).T
    torch.testing.assert_close(a, 5 / 6 * b * c, rtol=1e-12, atol=0)


def test_square_is_half_the_squared_double_edge_on_a_line():
    z, _, x = plane()
    theta = (x[:, :, None, 0] - x[:, None, :, 0]).square()
    square = canonical(((0, 1), (1, 2), (2, 3), (0, 3)))
    a, b = Contraction([square, ((0, 1), (0, 1))])(z, theta).T
    torch.testing.assert_close(a, b.square() / 2, rtol=1e-12, atol=0)


# Columns of the determinant and edges beside it: any such combination vanishes in a plane.
@pytest.mark.parametrize(
    ("columns", "beside"),
    [
        ((0, 1, 2, 3, 5), ()),
        ((0, 1, 2, 3, 5), ((0, 5),)),
        ((0, 1, 2, 3, 4), ((0, 1),)),
        ((0, 1, 2, 3, 4), ((0, 1), (2, 3))),
        ((0, 1, 2, 3, 5), ((0, 5), (1, 2))),
        ((0, 1, 2, 5, 6), ((5, 6), (3, 5))),
    ],
)
def test_determinants_of_five_rows_vanish_in_a_plane(columns, beside):
    z, theta, _ = plane()
    terms: dict[tuple[Multigraph, ...], int] = {}
    for choice in permutations(range(5)):
        pairs = [(row, columns[i]) for row, i in enumerate(choice)]
        if all(j != k for j, k in pairs):
            inversions = sum(choice[i] > choice[j] for i in range(5) for j in range(i + 1, 5))
            parts = components([*pairs, *beside])
            terms[parts] = terms.get(parts, 0) + (-1) ** inversions
    graphs = sorted({part for parts in terms for part in parts})
    values = dict(zip(graphs, Contraction(graphs)(z, theta).T, strict=True))
    summands = []
    for parts, sign in terms.items():
        summand = torch.full((len(z),), float(sign), dtype=z.dtype)
        for part in parts:
            summand = summand * values[part]
        summands.append(summand)
    stacked = torch.stack(summands)
    assert sum(sign != 0 for sign in terms.values()) > 1
    assert (stacked.sum(0).abs() < 1e-12 * stacked.abs().sum(0)).all()


def components(edges) -> tuple[Multigraph, ...]:
    """The connected parts of a graph, canonical and sorted."""
    parts: list[list[tuple[int, int]]] = []
    for edge in edges:
        touching = [p for p in parts if {v for e in p for v in e} & set(edge)]
        parts = [p for p in parts if p not in touching] + [
            [edge, *(e for p in touching for e in p)]
        ]
    graphs = []
    for part in parts:
        names = sorted({v for edge in part for v in edge})
        renamed = [sorted((names.index(j), names.index(k))) for j, k in part]
        graphs.append(canonical(tuple((j, k) for j, k in renamed)))
    return tuple(sorted(graphs))


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_collinear_safety(beta):
    values, mask = jets(particles=5)
    first, more = values[:, :1], torch.ones(3, 6, dtype=torch.bool)
    split = torch.cat([0.25 * first, 0.75 * first, values[:, 1:]], dim=1)
    flow = EnergyFlow(6, beta=beta).double()
    before, after = flow.polynomials(values, mask), flow.polynomials(split, more)
    # Directions are rounded to 1e-16, and the twins stand (1e-16)^beta apart.
    torch.testing.assert_close(after, before, rtol=1e-9 if beta >= 1 else 1e-6, atol=0)
    unsafe = EnergyFlow(0, kappa=2).double()
    change = unsafe.polynomials(split, more) / unsafe.polynomials(values, mask) - 1
    assert (change.abs() > 1e-3).all()


@pytest.mark.parametrize("beta", [0.5, 2.0])
def test_infrared_safety(beta):
    values, mask = jets(particles=5)
    flow, more = EnergyFlow(6, beta=beta).double(), torch.ones(3, 6, dtype=torch.bool)
    before = flow.polynomials(values, mask)

    def change(energy):
        soft = energy * fourvectors(*torch.tensor([1.0, 0.4, 3.3], dtype=torch.float64))
        added = torch.cat([values, soft.expand(3, 1, 4)], dim=1)
        return flow.polynomials(added, more)[:, 1:] / before[:, 1:] - 1

    assert (change(0.0).abs() < 1e-12).all()
    torch.testing.assert_close(
        change(2e-6) / change(1e-6), torch.full((3, 313), 2.0).double(), rtol=1e-3, atol=0
    )


def test_invariance_under_rotation_boost_and_permutation():
    values, mask = jets()
    flow = EnergyFlow(5).double()
    before = flow.polynomials(values, mask)
    permuted = values[:, [3, 1, 5, 0, 4, 2]]
    torch.testing.assert_close(flow.polynomials(permuted, mask), before, rtol=1e-10, atol=0)
    pt = values[..., :2].norm(dim=-1)
    y, phi = torch.asinh(values[..., 2] / pt), torch.atan2(values[..., 1], values[..., 0])
    y, phi = y - 0.5, torch.remainder(phi, 2 * math.pi) - 3.2
    c, s = math.cos(0.7), math.sin(0.7)
    turned = fourvectors(pt, y * c - phi * s + 1.0, y * s + phi * c + 2.0)
    torch.testing.assert_close(flow.polynomials(turned, mask), before, rtol=1e-9, atol=0)


def test_padding_and_batch_mates_change_nothing():
    values, mask = jets(batch=4, particles=6, dtype=torch.float32)
    mask[1, 4:] = False
    mask[2] = False
    values = torch.where(mask[..., None], values, 7.0)
    flow = EnergyFlow(7)
    together = flow.polynomials(values, mask)
    assert together.isfinite().all()
    assert (together[2] == 0).all()
    alone = flow.polynomials(values[1:2, :4], mask[1:2, :4])
    torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=0)


def test_chunks_change_nothing(monkeypatch):
    values, mask = jets(batch=9)
    flow = EnergyFlow(6).double()
    whole = flow.polynomials(values, mask)
    monkeypatch.setattr("colliderkit.events.energyflow.NUMBERS_PER_CHUNK", 100)
    torch.testing.assert_close(flow.polynomials(values, mask), whole, rtol=1e-12, atol=0)


@pytest.mark.parametrize(("beta", "kappa", "degree"), [(1.0, 1.0, 6), (0.5, 2.0, 3), (2.0, 0.5, 3)])
def test_gradients(beta, kappa, degree):
    values, mask = jets(batch=2, particles=4)
    mask[1, 3] = False
    values = (values * mask[..., None]).requires_grad_()
    flow = EnergyFlow(degree, beta=beta, kappa=kappa, connected=True).double()

    def polynomials(v):
        # The measure sees massless particles, so that E alone does not move the rapidity.
        energy = v[..., :3].square().sum(-1, keepdim=True).clamp(min=1e-30).sqrt()
        return flow.polynomials(torch.cat([v[..., :3], 1.1 * energy], -1), mask)

    assert torch.autograd.gradcheck(
        polynomials, (values,), eps=1e-7, rtol=1e-4, atol=1e-6, fast_mode=True
    )


def test_single_precision_agrees_with_double():
    values, mask = jets(batch=20, particles=40, seed=5)
    double = EnergyFlow(7).double().polynomials(values, mask)
    single = EnergyFlow(7).polynomials(values.float(), mask)
    torch.testing.assert_close(single.double(), double, rtol=2e-4, atol=0)


def test_standardisation_is_fitted_once_and_saved():
    values, mask = jets(batch=200, dtype=torch.float32)
    flow = EnergyFlow(4, beta=1.0).fit(values, mask)
    scaled = flow(values, mask)
    torch.testing.assert_close(scaled[:, 1:].mean(0), torch.zeros(35), rtol=0, atol=2e-3)
    torch.testing.assert_close(scaled[:, 1:].std(0), torch.ones(35), rtol=0.1, atol=0)
    again = EnergyFlow(4, beta=1.0)
    again.load_state_dict(flow.state_dict())
    torch.testing.assert_close(again(values, mask), scaled, rtol=0, atol=0)


def test_standardisation_keeps_small_values_and_leaves_the_dot():
    # At beta = 2 the values of degree 7 are far below 1e-8; the dot varies by rounding alone.
    values, mask = jets(batch=200, particles=20, dtype=torch.float32)
    flow = EnergyFlow(7, beta=2.0).fit(values, mask)
    assert flow.polynomials(values, mask)[:, -1].max() < 1e-5
    scaled = flow(values, mask)
    assert scaled[:, 0].abs().max() < 1e-5
    assert (scaled[:, 1:].std(0) > 0.3).all()


def test_every_graph_can_be_traced_for_any_batch_and_length():
    class Polynomials(torch.nn.Module):
        def __init__(self):
            super().__init__()
            # The complete graph of four takes a path of its own.
            self.contraction = Contraction([((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))])

        def forward(self, z, theta):
            return self.contraction(z, theta)

    batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
    traced = torch.export.export(
        Polynomials(),
        plane(batch=4, particles=5)[:2],
        dynamic_shapes=({0: batch, 1: length}, {0: batch, 1: length, 2: length}),
    )
    z, theta, _ = plane(batch=3, particles=9)
    torch.testing.assert_close(traced.module()(z, theta), Polynomials()(z, theta))
