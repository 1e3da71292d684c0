"""From a training run's weights to the engine's checkpoint, which the command line and the Slicer module load.

While a run goes on :class:`EngineCheckpoint` does it. Afterwards, or after an interruption::

    python -m training.export --checkpoint lightning_logs/version_0/checkpoints/last.ckpt --out weights.pt
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from LungDeepRegLib.checkpoint import Checkpoint, CheckpointError, Provenance, save_checkpoint
from LungDeepRegLib.network import NetworkError, RegistrationNetwork

from .learner import Learner
from .provenance import of_run
from .training_checkpoint import ENTRY, ExportError, trained_network

BEST, LAST = "weights_best.pt", "weights.pt"
FAILED = 3


class EngineCheckpoint(Callback):
    """Writes the engine's checkpoints into a run's log folder.

    ``weights_best.pt`` are the weights that were best in a validation so far, ``weights.pt`` those at the end of
    training. Both are the averaged ones where weights are averaged: what is validated is what is exported.

    Args:
        monitor: The metric of validation that says which weights are best.
        mode: ``min`` or ``max``: whether a low or a high value is good.
    """

    def __init__(self, monitor: str = "val/loss", mode: Literal["min", "max"] = "min") -> None:
        self.monitor, self.mode = monitor, mode
        self.folder = Path()
        self.best: float | None = None
        self.seconds, self._since = 0.0, 0.0
        self._validated: RegistrationNetwork | None = None
        self._metrics: Provenance = {}

    @property
    def state_key(self) -> str:
        """Tells the states of several of these in one checkpoint apart."""
        return self._generate_state_key(monitor=self.monitor, mode=self.mode)

    def state_dict(self) -> dict[str, Any]:
        """What goes on in a resumed run."""
        return {"best": self.best, "seconds": self._seconds()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on; a best value counts where its weights are, so that the log folder of a resumed run gets its own."""
        self.seconds, self._since = state_dict["seconds"], time.monotonic()
        self.best = state_dict["best"] if (self.folder / BEST).exists() else None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Find the log folder while all processes are here: Lightning sends it to them."""
        self.folder, self._since = Path(trainer.log_dir or trainer.default_root_dir), time.monotonic()

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Copy the weights that are being validated: by now averaged ones are in place, whatever the callbacks' order.

        When the epoch ends, they may have been taken out again.
        """
        if _fitting(trainer) and trainer.is_global_zero and batch_idx == 0 and dataloader_idx == 0:
            self._validated = _plain_network(pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the weights that were validated, if they are the best so far."""
        if not _fitting(trainer):
            return
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        if self.monitor not in metrics:
            msg = f"found no metric {self.monitor!r} in validation, expected one of {', '.join(sorted(metrics))}"
            raise ExportError(msg)
        value = metrics[self.monitor]
        measured = {name: found for name, found in metrics.items() if name.startswith("val/")}
        self._metrics = {"validated_at_step": trainer.global_step, **measured, self.monitor: value}
        network, self._validated = self._validated, None
        if network is not None and self._is_best(value):
            self.best = value
            self._write(BEST, network, trainer)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the last weights. Averaged ones have been put in place when training ended, just before."""
        if trainer.is_global_zero:
            self._write(LAST, _plain_network(pl_module), trainer)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add what the network is and where its weights come from."""
        network: RegistrationNetwork = pl_module.network  # type: ignore[assignment]
        checkpoint[ENTRY] = {"network": network.config.to_dict(), "provenance": self._provenance(trainer)}

    def _is_best(self, value: float) -> bool:
        if self.best is None:
            return math.isfinite(value)
        return value < self.best if self.mode == "min" else value > self.best

    def _seconds(self) -> float:
        return round(self.seconds + time.monotonic() - self._since, 1)

    def _provenance(self, trainer: pl.Trainer) -> Provenance:
        return {**of_run(trainer, self.folder), "seconds": self._seconds(), **self._metrics}

    def _write(self, name: str, network: RegistrationNetwork, trainer: pl.Trainer) -> None:
        path = self.folder / name
        broken = not_finite(network)
        if broken:
            rank_zero_warn(f"{path} was not written: found NaN or infinite numbers in {broken}, training has diverged")
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        save_checkpoint(path, network, self._provenance(trainer))


def _fitting(trainer: pl.Trainer) -> bool:
    return trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking


def _plain_network(pl_module: pl.LightningModule) -> RegistrationNetwork:
    assert isinstance(pl_module, Learner)
    return pl_module.plain_network()


def not_finite(network: RegistrationNetwork) -> str:
    """The name of the first weights with NaN or infinite numbers; empty if there are none."""
    return next((name for name, weights in network.state_dict().items() if not bool(weights.isfinite().all())), "")


def export(
    path: Path,
    out: Path,
    *,
    half: bool = False,
    spacing_mm: float | None = None,
    passes: Sequence[float] | None = None,
) -> Checkpoint:
    """Write the engine's checkpoint of a Lightning checkpoint.

    Args:
        path: Lightning's.
        out: The engine's.
        half: Store 16 bits a number, with 11 significant ones, in half the space.
        spacing_mm: Of the lattice that registrations use, which covers what the training's does; None for that one.
        passes: How often and on which multiples of it registrations run the network; None for the training's.

    Raises:
        ExportError: See :func:`trained_network`; also weights that are not finite, or too large for 16 bits.
        CheckpointError: A file that cannot be written.
    """
    found = trained_network(path)
    network = placed(found.network, spacing_mm, passes)
    network = network.half() if half else network
    broken = not_finite(network)
    if broken:
        why = " or beyond what 16 bits hold" if half else ""
        msg = f"{path}: found numbers that are NaN or infinite{why} in {broken}, expected finite weights"
        raise ExportError(msg)
    save_checkpoint(out, network, {**found.provenance, "half": half})
    return found


def placed(
    network: RegistrationNetwork, spacing_mm: float | None, passes: Sequence[float] | None
) -> RegistrationNetwork:
    """The same weights for registrations on another lattice of the same extent, or in other passes.

    Raises:
        NetworkError: Spacings or passes that no network can have.
    """
    config = network.config
    if spacing_mm is not None:
        # lattice_shape is (K, J, I), the spacing along (i, j, k)
        extents = zip(config.lattice_shape, config.lattice_spacing_mm[::-1], strict=True)
        k, j, i = (config.stride * max(2, round(n * mm / spacing_mm / config.stride)) for n, mm in extents)
        config = replace(config, lattice_shape=(k, j, i), lattice_spacing_mm=(spacing_mm,) * 3)
    if passes is not None:
        config = replace(config, passes=tuple(passes))
    elsewhere = RegistrationNetwork(config)
    elsewhere.load_state_dict(network.state_dict())
    return elsewhere


def main(arguments: list[str] | None = None) -> int:
    """Export a checkpoint; 3 if that can't be done, with the reason on standard error."""
    parser = argparse.ArgumentParser(
        prog="python -m training.export",
        description="Make weights for register --weights of a training run's checkpoint.",
    )
    parser.add_argument("--checkpoint", type=Path, required=True, help="of a training run, such as last.ckpt")
    parser.add_argument("--out", type=Path, required=True, help="the file to write, such as weights.pt")
    parser.add_argument(
        "--spacing", type=float, metavar="MM", help="of the lattice to register on (default: trained on)"
    )
    parser.add_argument("--passes", type=float, nargs="+", metavar="N", help="to register in (default: trained in)")
    parser.add_argument("--half", action="store_true", help="store 16 bits a number: half the size")
    parser.add_argument("--overwrite", action="store_true", help="replace the file that is there")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.out.exists() and not chosen.overwrite:
            msg = f"{chosen.out}: exists already; choose another name or use --overwrite"
            raise ExportError(msg)
        found = export(chosen.checkpoint, chosen.out, half=chosen.half, spacing_mm=chosen.spacing, passes=chosen.passes)
    except (ExportError, CheckpointError, NetworkError) as error:
        sys.stderr.write(f"error: {error}\n")
        return FAILED
    kind = "averaged weights" if found.provenance["averaged"] else "weights"
    sys.stdout.write(f"{chosen.out}: {kind} after {found.provenance['steps']} steps\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
