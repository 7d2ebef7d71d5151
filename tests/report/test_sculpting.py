"""What the page of decorrelated taggers computes."""

from colliderkit.metrics.value import Value
from colliderkit.report.results import Result
from colliderkit.report.sculpting import THOUSAND, at_targets, frontier, representatives

FAMILIES = {"plain": ["plain"], "DisCo": ["DisCo, strength 1", "DisCo, strength 9"]}
MEASURED = {
    "plain": (160.0, 400.0),
    "DisCo, strength 1": (60.0, 20.0),
    "DisCo, strength 9": (30.0, 5.0),
}
RESULTS = [
    result
    for name, (rejection, thousand) in MEASURED.items()
    for result in (
        Result(name, "AUC", 0.9),
        Result(name, "R50", rejection, 2.0),
        Result(name, THOUSAND, thousand, 1.0),
    )
]


def test_targets_beyond_a_method_are_left_out():
    points = {"DisCo": [(Value(16, 0.1), Value(0.1, 0)), (Value(4, 0.1), Value(0.006, 0))]}
    results = at_targets(points)
    assert [r.quantity for r in results] == ["R50 at 1/JSD >= 30", "R50 at 1/JSD >= 100"]
    assert all(isinstance(r, Result) for r in results)


def test_the_frontier_takes_rejection_and_divergence_of_each_member():
    points = frontier(RESULTS, FAMILIES)
    assert points["plain"] == [(Value(160.0, 2.0), Value(0.4, 0.001))]
    assert [point[1].value for point in points["DisCo"]] == [0.02, 0.005]


def test_the_best_member_beyond_the_target_stands_for_its_family_or_the_nearest():
    points = frontier(RESULTS, FAMILIES)
    # 1 / JSD is 50 and 200: the second alone is beyond 100. The plain one never is.
    assert representatives(points, FAMILIES) == {"plain": "plain", "DisCo": "DisCo, strength 9"}
