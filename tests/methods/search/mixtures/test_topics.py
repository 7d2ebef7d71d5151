"""Jet topics: exact on expected spectra, unbiased on mixtures, and wrong answers refused."""

import numpy as np
import pytest
from scipy.stats import norm, poisson

from colliderkit.errors import InputError
from colliderkit.methods.search.mixtures.topics import Topics

FRACTIONS = np.array([0.3, 0.8])


def expected(background, signal, fractions=FRACTIONS):
    """The densities of both samples, (2, B)."""
    f = np.asarray(fractions)[:, None]
    return f * signal + (1 - f) * background


def fitted(densities, middles, events, **options):
    """Fit spectra without fluctuations."""
    width = np.diff(middles)[0] / 2
    edges = np.append(middles - width, middles[-1] + width)
    counts = np.round(events * densities).astype(int)
    observable = np.concatenate([np.repeat(middles, row) for row in counts])
    sample = np.repeat([0, 1], counts.sum(1))
    return Topics(edges=edges.tolist(), **options).fit(observable, sample)


def test_exponential_families_are_parted_exactly():
    counts = np.arange(0.0, 71.0)
    # The samples are cut where hardly an event lies; what is lost is 1e-9.
    spectra = expected(poisson.pmf(counts, 30), poisson.pmf(counts, 18))
    topics = fitted(spectra, counts, 1e5)
    np.testing.assert_allclose(topics.kappa_, [0.2 / 0.7, 0.3 / 0.8], rtol=1e-3)
    np.testing.assert_allclose(topics.fractions_, FRACTIONS, rtol=1e-3)
    np.testing.assert_allclose(topics.topics_[1], poisson.pmf(counts, 18), atol=1e-4)
    assert topics.p_value_ > 0.999


def test_gaussians_of_two_widths_need_the_second_order():
    x = np.linspace(-8, 8, 81)
    background, signal = (norm.pdf(x, *p) * 0.2 for p in ((-1, 1), (1, 1.6)))
    spectra = expected(background, signal)
    wrong = fitted(spectra, x, 1e6, orders=(1, 1))
    assert wrong.p_value_ < 1e-3
    assert wrong.fractions_[1] < 0.7
    right = fitted(spectra, x, 1e6)
    assert right.order_ == 2
    assert right.p_value_ > 0.999
    # p_B / p_S has a largest value where it is not infinite: kappa of the curve, not of the events.
    np.testing.assert_allclose(right.fractions_, FRACTIONS, rtol=0.01)


@pytest.mark.statistical
@pytest.mark.parametrize("infimum", ["asymptote", "anchor"])
def test_fractions_are_unbiased_and_their_errors_right(infimum, seed):
    toys, count, pulls = 200, 10_000, []
    for i in range(toys):
        random = np.random.default_rng([seed, i])
        sample = np.repeat([0, 1], count)
        truth = random.random(2 * count) < np.repeat(FRACTIONS, count)
        if infimum == "asymptote":
            edges, x = np.linspace(-5, 5, 41), random.normal(np.where(truth, 1.2, -1.2))
        else:  # one class is truly absent at either end
            edges, x = np.linspace(0, 1, 11), 0.7 * random.random(2 * count) + 0.3 * truth
        topics = Topics(edges=edges.tolist(), infimum=infimum).fit(x, sample, seed=i)
        pulls.append((topics.fractions_ - FRACTIONS) / np.sqrt(np.diag(topics.covariance_)))
    pulls = np.array(pulls)
    # Four standard errors of the mean and of the width of 200 pulls, and .1 for ratios of counts.
    np.testing.assert_allclose(pulls.mean(0), 0, atol=4 / np.sqrt(toys) + 0.1)
    np.testing.assert_allclose(pulls.std(0, ddof=1), 1, atol=4 / np.sqrt(2 * toys) + 0.1)


def test_topics_have_errors_and_add_up():
    random = np.random.default_rng(3)
    sample = np.repeat([0, 1], 20_000)
    truth = random.random(40_000) < np.repeat(FRACTIONS, 20_000)
    x = random.normal(np.where(truth, 1.0, -1.0))
    edges = np.linspace(-5, 5, 21)
    topics = Topics(edges=edges.tolist()).fit(x, sample)
    np.testing.assert_allclose(topics.topics_.sum(1), 1, atol=1e-9)
    exact = np.diff(norm.cdf(edges[:, None], [-1, 1]), axis=0).T
    used = topics.counts_.min(0) > 20
    pulls = (topics.topics_ - exact)[:, used] / topics.topic_error_[:, used]
    assert np.abs(pulls).max() < 5
    first, second = topics.fractions
    assert abs(first.value - 0.3) < 4 * first.error
    assert abs(second.value - 0.8) < 4 * second.error


RANDOM = np.random.default_rng(1)
SAMPLE = np.repeat([0, 1], 500)


@pytest.mark.parametrize(
    ("options", "observable", "sample", "sentence"),
    [
        ({}, RANDOM.normal(size=1000), SAMPLE, "same spectrum"),
        ({}, RANDOM.normal(size=1000), 0 * SAMPLE, r"samples are \[0.0\]"),
        ({}, RANDOM.normal(size=1000), 2 * SAMPLE, r"samples are \[0.0, 2.0\]"),
        ({}, SAMPLE, SAMPLE, "give edges"),
        ({"edges": [3.0, 4.0]}, SAMPLE, SAMPLE, "has no events between the edges"),
        ({"orders": (2, 1)}, SAMPLE, SAMPLE, "least, most"),
        ({"bins": 8}, SAMPLE + RANDOM.random(1000), SAMPLE, "did not converge|bins have events"),
    ],
)
def test_what_cannot_be_parted_is_one_sentence(options, observable, sample, sentence):
    with pytest.raises(InputError, match=sentence):
        Topics(**options).fit(observable, sample)
