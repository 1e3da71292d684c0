"""The network while it learns: loss, optimiser, and what is measured on validation pairs."""

from __future__ import annotations

from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from LungDeepRegLib.checkpoint import load_checkpoint
from LungDeepRegLib.network import NetworkConfig, NetworkOutput, RegistrationNetwork
from LungDeepRegLib.warp import warp
from torch import Tensor

from .both_ways import both_ways
from .cascade import check_passes, found_together, passes_of
from .errors import TrainingError
from .local_gradients import border, learn_differences, local_output, plain_weights
from .losses import Loss, soft_dice
from .pairs import Pair

BORDER_WEIGHT = 1.0
PLACE = ("lattice_shape", "lattice_spacing_mm", "passes", "both_ways")
"""What a network may be used on other than it was trained on."""
PAPER_NETWORK, PAPER_LOSS = NetworkConfig(), Loss()


class LearnerError(TrainingError):
    """Settings that make no network to train."""


class Learner(pl.LightningModule):
    """Trains a registration network.

    Args:
        network: How the network is built, and the lattice that it learns for.
        loss: What is made small.
        optimizer: By class path and arguments, for the weights.
        lr_scheduler: By class path and arguments, or null for a constant rate.
        scheduler_interval: ``epoch`` or ``step``: when the scheduler moves on.
        monitor: What a plateau is looked for in.
        linear_branch_rate: Learning rate of the linear branch relative to the rest.
        use_linear: Whether the linear branch takes part.
        both_ways: Learn from each pair in both directions, see :mod:`both_ways`; doubles the batch.
        local_gradients: Learn the sum of spatial gradients by local derivatives, see :mod:`local_gradients`.
        start_from: A checkpoint of the engine to go on from; its network must be the one described here.
        seed: Of the first weights.

    Raises:
        LearnerError: ``start_from`` of another architecture, or losses that ``local_gradients`` can't lower.
        CascadeError: Passes that aren't whole multiples of the lattice.
    """

    def __init__(
        self,
        network: NetworkConfig = PAPER_NETWORK,
        loss: Loss = PAPER_LOSS,
        optimizer: OptimizerCallable = torch.optim.Adam,
        lr_scheduler: LRSchedulerCallable | None = None,
        scheduler_interval: str = "epoch",
        monitor: str = "val/loss",
        linear_branch_rate: float = 1.0,
        use_linear: bool = True,
        both_ways: bool = False,
        local_gradients: bool = False,
        start_from: Path | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.network = RegistrationNetwork(network, seed=seed)
        if start_from is not None:
            self.network.load_state_dict(weights_like(self.network, start_from))
        if local_gradients:
            learn_differences(self.network)
        check_passes(network)
        if local_gradients and max(loss.spatial_gradients, loss.known_spatial_gradients) > 0:
            msg = "found local_gradients and a loss of the spatial gradients, which have no derivative then; expected"
            msg += " spatial_gradients: 0 and known_spatial_gradients: 0"
            raise LearnerError(msg)
        self.loss, self.both_ways, self.local_gradients = loss, both_ways, local_gradients
        self.optimizer, self.lr_scheduler = optimizer, lr_scheduler
        self.scheduler_interval, self.monitor = scheduler_interval, monitor
        self.linear_branch_rate, self.use_linear = linear_branch_rate, use_linear

    def forward(self, pair: Pair) -> NetworkOutput:
        """What the network finds for a batch in all its passes."""
        scales = self.network.config.passes
        return found_together([output for _, output in passes_of(self._output, pair, scales)], scales)

    def _output(self, pair: Pair) -> NetworkOutput:
        return self.network(pair.fixed, pair.moving, use_linear=self.use_linear)

    def training_step(self, batch: Pair, batch_idx: int) -> Tensor:
        """The loss of a batch, summed over the passes, and the last pass' terms in the log."""
        batch = both_ways(batch) if self.both_ways else batch
        borders: list[Tensor] = []

        def run(pair: Pair) -> NetworkOutput:
            if not self.local_gradients:
                return self._output(pair)
            output, h = local_output(self.network, pair.fixed, pair.moving, use_linear=self.use_linear)
            borders.append(BORDER_WEIGHT * border(h))
            return output

        found = [self.loss(seen, output) for seen, output in passes_of(run, batch, self.network.config.passes)]
        loss = torch.stack([*(terms["loss"] for terms in found), *borders]).sum()
        self._log("train", {**found[-1], "loss": loss}, batch)
        self.log("loss", loss.detach(), prog_bar=True, logger=False)
        return loss

    def validation_step(self, batch: Pair, batch_idx: int) -> None:
        """The loss of a batch after all passes, and the errors that users judge by."""
        output = self(batch)
        terms = self.loss(batch, output) | measures(batch, output, self.network.config.lattice_spacing_mm)
        self._log("val", terms, batch)

    def _log(self, stage: str, terms: dict[str, Tensor], batch: Pair) -> None:
        values = {f"{stage}/{name}": value.detach() for name, value in terms.items()}
        self.log_dict(values, batch_size=len(batch.fixed), sync_dist=True)

    def plain_network(self) -> RegistrationNetwork:
        """The network as the engine knows it, with the weights of now."""
        network = RegistrationNetwork(self.network.config)
        network.load_state_dict(plain_weights(self.network))
        return network

    def configure_optimizers(self) -> dict:
        """The optimiser, with a rate of its own for the linear branch, and the scheduler if there is one."""
        linear = list(self.network.linear_branch.parameters()) if self.network.linear_branch is not None else []
        slow = {id(parameter) for parameter in linear}
        rest = [p for p in self.network.parameters() if p.requires_grad and id(p) not in slow]
        groups: list[dict] = [{"params": rest}]
        optimizer = self.optimizer(groups)
        if linear:
            rate = optimizer.param_groups[0]["lr"] * self.linear_branch_rate
            optimizer.add_param_group({"params": linear, "lr": rate})
        if self.lr_scheduler is None:
            return {"optimizer": optimizer}
        scheduler = self.lr_scheduler(optimizer)
        monitor = getattr(scheduler, "monitor", self.monitor)
        found = {"scheduler": scheduler, "interval": self.scheduler_interval, "monitor": monitor}
        return {"optimizer": optimizer, "lr_scheduler": found}


def weights_like(network: RegistrationNetwork, path: Path) -> dict[str, Tensor]:
    """The weights of an engine's checkpoint for a network of the same build (lattice and passes may be others).

    Raises:
        LearnerError: A checkpoint of another architecture.
    """
    stored = load_checkpoint(path)
    found, expected = stored.config.to_dict(), network.config.to_dict()
    different = [k for k in expected if k not in PLACE and found[k] != expected[k]]
    if different:
        name = different[0]
        msg = f"{path}: found a network with {name} {found[name]}, expected {expected[name]} as configured"
        raise LearnerError(msg)
    return stored.network.state_dict()


def measures(pair: Pair, output: NetworkOutput, spacing_mm: tuple[float, float, float]) -> dict[str, Tensor]:
    """Errors of what the network found, beside those of finding nothing; only those that a batch has data for.

    ``error_mm`` is the mean distance to the known map in the fixed lungs, ``landmark_error_mm`` that of corresponding
    points, ``dice`` that of the lung masks.
    """
    found: dict[str, Tensor] = {}
    displacement = output.displacement()
    mm = torch.tensor(spacing_mm).to(displacement)
    weight = pair.certainty * pair.fixed_lungs
    for name, guess in (("", displacement), ("_before", torch.zeros_like(displacement))):
        if bool(weight.any()):
            off = ((guess - pair.displacement) * mm.reshape(1, 3, 1, 1, 1)).norm(dim=1, keepdim=True)
            found[f"error{name}_mm"] = (off * weight).sum() / weight.sum()
        if pair.landmarks.shape[1] > 0:
            found[f"landmark_error{name}_mm"] = (landmark_misses(pair.landmarks, guess) * mm).norm(dim=-1).nanmean()
    if "error_mm" in found:
        found["error_ratio"] = found["error_mm"] / found["error_before_mm"].clamp(min=1e-6)
    if bool((pair.fixed_lungs.amax() > 0) & (pair.moving_lungs.amax() > 0)):
        found["dice"] = soft_dice(pair.fixed_lungs, warp(pair.moving_lungs, output.grid))
    return found


def landmark_misses(landmarks: Tensor, displacement: Tensor) -> Tensor:
    """``x + u(x) - y`` in voxels, ``(B, N, 3)``, of pairs of points ``(B, N, 2, 3)``; NaN where they are NaN."""
    x, y = landmarks[:, :, 0], landmarks[:, :, 1]
    sizes = torch.tensor(displacement.shape[:1:-1]).to(displacement)
    grid = (2 * x / (sizes - 1) - 1)[:, None, None]
    u = warp(displacement, grid.nan_to_num())[:, :, 0, 0].movedim(1, -1)
    return x + u - y
