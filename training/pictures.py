"""Pictures of validation pairs while a network learns: what it is shown, and what it makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
import numpy as np
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from LungDeepRegLib.displacement_field import FieldError
from LungDeepRegLib.results.staging import OutputError, staged_file

from .errors import TrainingError
from .learner import Learner, measures
from .pair_figure import PairPicture, draw_pairs, pair_picture
from .pairs import Pair

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = "pictures"


class PicturesError(TrainingError):
    """Settings that make no pictures."""


class ValidationPictures(Callback):
    """Draws the first pairs of a validation into ``pictures/step_000250.png`` in the run's log folder.

    TensorBoard shows the same pictures, if it is among the run's loggers. They are drawn with the weights that are
    validated, averaged ones where weights are averaged, and without any random numbers.

    Args:
        pairs: How many pairs to draw, each in a coronal and a sagittal cut; more than three get small.
        every_n_epochs: Draw after every n-th validation epoch.

    Raises:
        PicturesError: Numbers below 1.
    """

    def __init__(self, pairs: int = 2, every_n_epochs: int = 1) -> None:
        for name, number in (("pairs", pairs), ("every_n_epochs", every_n_epochs)):
            if number < 1:
                msg = f"found {name} {number}, expected a whole number from 1"
                raise PicturesError(msg)
        self.pairs, self.every_n_epochs = pairs, every_n_epochs
        self.folder = Path()
        self._shown: list[PairPicture] = []

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Find the log folder while all processes are here, and miss a library before training, not after an epoch."""
        import matplotlib  # noqa: F401

        self.folder = Path(trainer.log_dir or trainer.default_root_dir) / FOLDER

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Nothing is shown yet."""
        self._shown = []

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Pair,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the cuts of the first pairs, as the network with its weights of now sees them."""
        if not self._due(trainer):
            return
        assert isinstance(pl_module, Learner)
        spacing_mm = pl_module.network.config.lattice_spacing_mm
        for row in range(len(batch.fixed)):
            if len(self._shown) < self.pairs:
                one = Pair(*(part[row : row + 1] for part in batch))
                with trainer.precision_plugin.val_step_context():
                    output = pl_module(one)
                errors = {name: float(value) for name, value in measures(one, output, spacing_mm).items()}
                try:
                    self._shown.append(pair_picture(one, output.displacement(), spacing_mm, errors))
                except FieldError:
                    rank_zero_warn("no picture of a validation pair: the network found no finite displacement")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw what was kept. A picture that can't be written doesn't stop the training."""
        if not self._shown:
            return
        figure = draw_pairs(self._shown, trainer.global_step)
        self._shown = []
        pixels = rendered(figure)
        path = self.folder / f"step_{trainer.global_step:06d}.png"
        try:
            write_png(path, pixels)
        except OutputError as error:
            rank_zero_warn(f"no picture of the validation: {error}")
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image("validation", pixels, trainer.global_step, dataformats="HWC")

    def _due(self, trainer: pl.Trainer) -> bool:
        due = (trainer.current_epoch + 1) % self.every_n_epochs == 0
        return due and trainer.is_global_zero and not trainer.sanity_checking


def rendered(figure: Figure) -> np.ndarray:
    """A figure's pixels, uint8 ``(H, W, 3)``, without matplotlib's global state, where figures would stay open."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Write a picture that appears whole or not at all, in place of one that is there.

    Raises:
        OutputError: A full disk or a place that isn't writable.
    """
    from matplotlib.image import imsave

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{path}: the picture can't be written ({error.strerror})"
        raise OutputError(msg) from error
    with staged_file(path, overwrite=True) as unfinished:
        imsave(unfinished, pixels)
