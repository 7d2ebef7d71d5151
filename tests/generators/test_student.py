"""The student goes where its teacher does, in one pass, and leaves it alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from colliderkit.generators.flow import ConditionalFlow
from colliderkit.generators.generator import own_loss
from colliderkit.generators.student import StudentFlow
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit
from colliderkit.training.settings import Training

pytest.importorskip("zuko")


class Whiten(nn.Module):
    """Of (x, y) normal around (c, -c) with variance 1 and correlation .8 c, to noise: exact."""

    def forward(self, c):
        def transform(x):
            u, v = (x - torch.cat([c, -c], 1)).unbind(1)
            r = 0.8 * c[:, 0]
            return torch.stack([u, (v - r * u) / (1 - r**2).sqrt()], 1)

        return transform


def exact(z, c):
    u, v = z.unbind(1)
    r = 0.8 * c[:, 0]
    return torch.stack([u, r * u + (1 - r**2).sqrt() * v], 1) + torch.cat([c, -c], 1)


def sample(count, seed=0):
    random = torch.Generator().manual_seed(seed)
    c = 2 * torch.rand(count, 1, generator=random) - 1
    return exact(torch.randn(count, 2, generator=random), c), c


def trained(student, folder, epochs):
    x, c = sample(10_000)
    data = Dataset(x, torch.zeros(len(x)), torch.ones(len(x)), c)
    held = torch.arange(len(x)) % 20 == 0
    parts = data.at(torch.nonzero(~held)[:, 0]), data.at(torch.nonzero(held)[:, 0])
    settings = Training(epochs=epochs, batch_size=250, learning_rate=1e-2, schedule="cosine")
    fit(student, own_loss, *parts, settings, folder=folder, progress=False)
    return student.eval()


def closed() -> ConditionalFlow:
    """Return a teacher whose one step is exact."""
    teacher = ConditionalFlow(2, 1, transforms=1)
    teacher.flow.transform.transforms = nn.ModuleList([Whiten()])
    return teacher


def test_a_student_of_a_known_gaussian_makes_its_samples(tmp_path: Path) -> None:
    torch.manual_seed(0)
    student = trained(StudentFlow(2, 1, teacher=closed(), hidden=(32, 32)), tmp_path, 10)
    count = 20_000
    for place in (-0.7, 0.2, 0.9):
        c = torch.full((count, 1), place)
        z = torch.randn(count, 2, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            x = student.decode(z, c)
        apart = float((x - exact(z, c)).square().mean().sqrt())
        print("APART", apart)
        assert apart < 0.05
        drawn = x.double().numpy()
        # Four errors of the sample's mean and covariance, and what the student is apart.
        np.testing.assert_allclose(drawn.mean(0), [place, -place], atol=4 / count**0.5 + apart)
        truth = [[1, 0.8 * place], [0.8 * place, 1]]
        limit = 4 * (2 / count) ** 0.5 + 2 * apart
        np.testing.assert_allclose(np.cov(drawn.T), truth, atol=limit)


@pytest.mark.slow
def test_both_are_learned_together_where_there_is_no_teacher(tmp_path: Path) -> None:
    torch.manual_seed(0)
    student = trained(
        StudentFlow(2, 1, transforms=2, hidden=(32, 32)).fit_scaling(*sample(10_000)), tmp_path, 10
    )
    x, c = sample(20_000, seed=5)
    r = 0.8 * c[:, 0].double().numpy()
    # <ln p> of the true density: -ln(2 pi e) - 1/2 <ln(1 - r^2)>, known to 1 / sqrt(N).
    best = float(-np.log(2 * np.pi * np.e) - 0.5 * np.log(1 - r**2).mean())
    with torch.no_grad():
        found = float(student.log_prob(x, c).mean())
        made = student.sample(c, seed=1)
        of_samples = float(student.log_prob(made, c).mean())
    assert best - 0.05 < found < best + 3 / 20_000**0.5
    print("LNP", best, found, of_samples)
    # Samples of the teacher's own density have its mean ln p.
    assert of_samples == pytest.approx(found, abs=0.05)
    at = torch.full((20_000, 1), 0.8)
    np.testing.assert_allclose(
        np.cov(student.sample(at, seed=2).double().numpy().T), [[1, 0.64], [0.64, 1]], atol=0.1
    )


def test_the_student_can_be_the_inverse() -> None:
    torch.manual_seed(0)
    model = StudentFlow(1, 2, transforms=3)
    # Of one feature the knots depend on the condition alone, and may be those of the teacher.
    for back, step in zip(model.student, reversed(model.teacher.transform.transforms), strict=True):
        back.load_state_dict(step.state_dict())
    model.fitted = True
    x, c = torch.randn(50, 1), torch.randn(50, 2)
    assert float(model(x, None, c).detach().max()) < 1e-8
    torch.testing.assert_close(
        model.decode(x, c).float(), model.teacher(c).transform.inv(x), rtol=1e-5, atol=1e-5
    )


def test_a_sample_takes_one_call_of_each_network() -> None:
    model = StudentFlow(6, 1, transforms=3)
    calls = [0] * 3
    for k, step in enumerate(model.student):

        def counted(*_: object, k: int = k) -> None:
            calls[k] += 1

        step.hyper.register_forward_hook(counted)
    model.decode(torch.randn(5, 6), torch.randn(5, 1))
    assert calls == [1, 1, 1]


def test_the_teacher_learns_from_the_data_alone() -> None:
    torch.manual_seed(0)
    x, c = sample(64)
    model = StudentFlow(2, 1, transforms=2)
    model(x, None, c).mean().backward()
    both = [p.grad.clone() for p in model.teacher.parameters()]
    model.zero_grad()
    (-model.log_prob(x, c)).mean().backward()
    for one, other in zip(both, model.teacher.parameters(), strict=True):
        torch.testing.assert_close(one, other.grad)
    teacher = ConditionalFlow(2, 1, transforms=2).fit_scaling(3 * x + 1, c)
    taught = StudentFlow(2, 1, teacher=teacher)
    assert taught.fit_scaling(x, c) is taught
    assert torch.equal(taught.scaling.mean, teacher.scaling.mean)
    taught(x, None, c).mean().backward()
    assert all(p.grad is None for p in taught.teacher.parameters())
    assert all(bool(p.grad.any()) for p in taught.student.parameters())
    torch.testing.assert_close(taught.log_prob(x, c), teacher.log_prob(x, c))
