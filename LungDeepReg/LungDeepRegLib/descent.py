"""Gradient descent on one tensor."""

from __future__ import annotations

import torch
from torch import Tensor

DECAYS = (0.9, 0.999)


class Adam:
    """Adam (Kingma and Ba 2015) on one tensor that requires a gradient.

    Using ``torch.optim`` for the first time imports torch's compiler, which takes as long as a whole alignment.
    """

    def __init__(self, parameter: Tensor) -> None:
        self.parameter = parameter
        self.mean = torch.zeros_like(parameter)
        self.square = torch.zeros_like(parameter)
        self.steps = 0

    @torch.no_grad()
    def step(self, loss: Tensor, rate: float) -> None:
        """Move the parameter by about ``rate`` against the gradient of ``loss``."""
        (gradient,) = torch.autograd.grad(loss, self.parameter)
        self.steps += 1
        first, second = DECAYS
        self.mean.lerp_(gradient, 1 - first)
        self.square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        scale = (self.square / (1 - second**self.steps)).sqrt_().add_(1e-8)
        self.parameter.addcdiv_(self.mean, scale, value=-rate / (1 - first**self.steps))
