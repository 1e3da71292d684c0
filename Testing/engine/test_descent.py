"""Adam, by value against torch's own."""

import torch
from LungDeepRegLib.descent import Adam

RATES = [0.1, 0.1, 0.3, 0.05, 0.2, 0.01] * 5


def loss_of(parameter):
    """Neither quadratic nor of one scale."""
    scales = torch.tensor([1e-4, 1.0, 300.0], dtype=parameter.dtype)
    return (parameter.square() * scales).sum() + torch.sin(3 * parameter).sum()


def test_steps_equal_those_of_torch_while_the_rate_changes():
    start = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, -0.2]], dtype=torch.float64)
    ours, theirs = (start.clone().requires_grad_() for _ in range(2))
    reference = torch.optim.Adam([theirs], lr=1.0)
    adam = Adam(ours)
    for rate in RATES:
        adam.step(loss_of(ours), rate)
        reference.param_groups[0]["lr"] = rate
        reference.zero_grad()
        loss_of(theirs).backward()
        reference.step()
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)
    assert (ours - start).abs().min() > 0.1


def test_the_first_step_is_as_long_as_the_rate_whatever_the_gradient():
    parameter = torch.tensor([1.0, -1.0, 5.0], requires_grad=True)
    Adam(parameter).step((parameter * torch.tensor([1e-3, 1.0, -1e3])).sum(), 0.25)
    torch.testing.assert_close(parameter.detach(), torch.tensor([0.75, -1.25, 5.25]), rtol=0, atol=1e-4)


def test_no_gradient_is_left_and_none_leaks_into_the_graph():
    parameter = torch.ones(2, requires_grad=True)
    adam = Adam(parameter)
    adam.step(parameter.square().sum(), 0.1)
    assert parameter.grad is None
    assert parameter.is_leaf
    assert parameter.requires_grad
    assert not adam.mean.requires_grad
