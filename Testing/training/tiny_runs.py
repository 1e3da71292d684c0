"""Runs of a tiny network for a few steps, inside the test's process."""

import lightning.pytorch as pl
import torch
from LungDeepRegLib.network import NetworkConfig

from Testing.training.tiny_pairs import TinyPairs
from training.data_module import PairData
from training.learner import Learner
from training.losses import Loss
from training.pairs import batch_of

NETWORK = NetworkConfig(
    encoder_channels=(4,), dilations=(1,), decoder_channels=(4,), squeeze_reduction=2,
    lattice_shape=(10, 8, 9), lattice_spacing_mm=(6.0, 7.0, 8.0),
)  # fmt: skip
STEPS_PER_EPOCH = 3


def tiny_learner(**settings):
    loss = Loss(similarity="mse", spatial_gradients=0.0, reduction="mean", known_displacement=1.0)
    return Learner(NETWORK, loss, lambda parameters: torch.optim.Adam(parameters, lr=0.01), **settings)


def tiny_data(source=None, validation_pairs=2):
    source = source or TinyPairs()
    shape, spacing_mm = NETWORK.lattice_shape, NETWORK.lattice_spacing_mm
    return PairData(source, source, shape, spacing_mm, 1, STEPS_PER_EPOCH, validation_pairs)


def fit(learner, folder, callbacks, data=None, steps=2 * STEPS_PER_EPOCH, logger=None, **trainer):
    """Train; the trainer."""
    logger = logger or pl.loggers.CSVLogger(folder, name="", version="")
    trainer = {"num_sanity_val_steps": 0, "enable_checkpointing": False, "log_every_n_steps": 1, **trainer}
    run = pl.Trainer(
        max_steps=steps, accelerator="cpu", devices=1, logger=logger, callbacks=callbacks,
        enable_progress_bar=False, enable_model_summary=False, **trainer,
    )  # fmt: skip
    run.fit(learner, datamodule=data or tiny_data())
    return run


def tiny_batch(number=0):
    return batch_of([TinyPairs().numbered(tiny_data().lattice, number)])
