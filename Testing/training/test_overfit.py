"""A tiny network learns one pair by heart: all parts work together."""

import lightning.pytorch as pl
import numpy as np
import torch
from LungDeepRegLib.geometry import Lattice
from LungDeepRegLib.network import NetworkConfig

from training.data_module import PairData
from training.learner import Learner, measures
from training.losses import Loss
from training.pairs import PairSource, batch_of
from training.phantom_pairs import PhantomPairs

SHAPE, SPACING = (24, 20, 24), (14.0, 14.0, 14.0)
NETWORK = NetworkConfig(
    (8, 8, 8), (1, 2, 3), (8, 8), squeeze_reduction=8, lattice_shape=SHAPE, lattice_spacing_mm=SPACING
)


class OnePair(PairSource):
    """The same phantom, breathing by 30 mm, every time."""

    def __init__(self):
        lattice = Lattice(SHAPE, np.diag([*SPACING, 1.0]))
        source = PhantomPairs(contrasts=("ct",), motion_mm=(30.0, 30.0), spacing_mm=7.0, alignment="none")
        self.pair = source.draw(lattice, np.random.default_rng(0))

    def draw(self, lattice, random):
        return self.pair


def error_mm(learner, pair):
    with torch.no_grad():
        output = learner.plain_network()(pair.fixed, pair.moving)
    return measures(pair, output, SPACING)


def test_a_tiny_network_learns_one_pair_by_heart(tmp_path):
    source = OnePair()
    learner = Learner(
        NETWORK,
        Loss(similarity="", affine=0, spatial_gradients=0, reduction="mean", known_displacement=1.0),
        optimizer=lambda parameters: torch.optim.Adam(parameters, lr=1e-2),
        local_gradients=True,
    )
    pair = batch_of([source.pair])
    before = error_mm(learner, pair)
    assert before["landmark_error_mm"] == before["landmark_error_before_mm"] > 8
    trainer = pl.Trainer(
        max_steps=150, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=tmp_path, gradient_clip_val=1.0,
    )  # fmt: skip
    trainer.fit(learner, PairData(source, None, SHAPE, SPACING, batch_size=1, steps_per_epoch=150))
    after = error_mm(learner, pair)
    # How far 150 steps come depends on rounding, that is on the number of threads: to a quarter, more or less.
    assert after["landmark_error_mm"] < before["landmark_error_mm"] / 3
    assert after["error_mm"] < before["error_mm"] / 3
