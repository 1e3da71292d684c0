"""Averaged weights that survive an interruption during validation."""

from __future__ import annotations

import lightning.pytorch as pl
from lightning.pytorch.callbacks import EMAWeightAveraging


class AveragedWeights(EMAWeightAveraging):
    """An exponential moving average of the weights, in their place while validating.

    Lightning's own callback leaves the two swapped when a run is interrupted during validation, and a checkpoint saved
    then would hold each in the other's place. This one puts them back first: Lightning calls the callbacks that save
    checkpoints last.
    """

    _validating = False

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The averaged weights take their place."""
        super().on_validation_epoch_start(trainer, pl_module)
        self._validating = True

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """And leave it."""
        super().on_validation_epoch_end(trainer, pl_module)
        self._validating = False

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """They leave it now, if they are still there."""
        if self._validating:
            self.on_validation_epoch_end(trainer, pl_module)
