"""A checkpoint saved in the middle of a validation holds averaged and current weights in their own places."""

import pytest
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from Testing.training.tiny_runs import STEPS_PER_EPOCH, fit, tiny_learner
from training.averaging import AveragedWeights


class InterruptedRunError(Exception):
    """Whatever ends a run."""


class StopInValidation(Callback):
    def on_validation_batch_start(self, *rest):
        raise InterruptedRunError


def saved(folder, *callbacks):
    keep = ModelCheckpoint(folder, save_last=True, save_on_exception=True, every_n_epochs=1)
    callbacks = [AveragedWeights(decay=0.5), *callbacks, keep]
    fit(tiny_learner(), folder, callbacks, steps=STEPS_PER_EPOCH, enable_checkpointing=True)


def test_an_interrupted_validation_leaves_both_in_their_places(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    saved(whole)
    with pytest.raises(InterruptedRunError):
        saved(broken, StopInValidation())
    found, expected = (torch.load(path / "last.ckpt", weights_only=False) for path in (broken, whole))
    for part in ("state_dict", "current_model_state"):
        assert all(torch.equal(found[part][name], expected[part][name]) for name in expected[part])
    name = "network.encoder.blocks.0.0.weight"
    assert not torch.equal(expected["state_dict"][name], expected["current_model_state"][name])
