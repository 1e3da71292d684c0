"""Pictures of validation: the right way up, true to the pair, and without any effect on the training."""

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging
from matplotlib.image import imread

from Testing.training.tiny_runs import NETWORK, STEPS_PER_EPOCH, fit, tiny_batch, tiny_data, tiny_learner
from training.pair_figure import draw_pairs, pair_picture
from training.pairs import Pair, PairSource, batch_of
from training.pictures import FOLDER, PicturesError, ValidationPictures

SPACING_MM = (4.0, 6.0, 5.0)
SHAPE = (24, 18, 30)


def at(i, j, k):
    """An image that is bright at one voxel."""
    image = torch.zeros(1, *SHAPE)
    image[0, k, j, i] = 1
    return image


def box(low, high):
    """Lungs from one voxel (i, j, k) to another, both included."""
    mask = torch.zeros(1, *SHAPE)
    mask[0, low[2] : high[2] + 1, low[1] : high[1] + 1, low[0] : high[0] + 1] = 1
    return mask


def shown(found=None, **parts):
    batch = batch_of([Pair.of_images(**parts)])
    found = torch.zeros(3, *SHAPE) if found is None else found
    return pair_picture(batch, found[None], SPACING_MM, {})


def brightest(row, values):
    """Where a cut is brightest: to the right and down from the top left, as fractions of its size."""
    y, x = np.unravel_index(np.nanargmax(values), values.shape)
    return x / values.shape[1], y / values.shape[0]


class TestCuts:
    def test_right_is_on_the_left_and_superior_and_anterior_as_radiologists_have_them(self):
        bright = at(i=24, j=14, k=20)  # far to the right, anterior, superior
        lungs = box((24, 14, 1), (24, 14, 22)) + box((5, 14, 1), (5, 14, 9)) + box((24, 2, 1), (24, 2, 9))
        coronal, sagittal = shown(fixed=bright, moving=bright, fixed_lungs=lungs).cuts
        assert coronal.cut.letters == ("R", "L", "S", "I")
        assert sagittal.cut.letters == ("A", "P", "S", "I")
        x, y = brightest(coronal, coronal.fixed)
        assert x < 0.3
        assert y < 0.3
        x, y = brightest(sagittal, sagittal.fixed)
        assert x < 0.4
        assert y < 0.3

    def test_lengths_are_in_mm(self):
        image = at(i=15, j=9, k=12)
        coronal, sagittal = shown(fixed=image, moving=image).cuts
        assert coronal.cut.size_mm == pytest.approx((30 * 4, 24 * 5), rel=0.01)
        assert sagittal.cut.size_mm == pytest.approx((18 * 6, 24 * 5), rel=0.01)

    def test_the_displacement_that_is_right_leaves_no_difference(self):
        moved = torch.zeros(3, *SHAPE)
        moved[0], moved[2] = 2, -3  # voxels along i and k: 8 mm to the right, 15 mm down
        fixed, moving = at(i=14, j=9, k=14), at(i=16, j=9, k=11)
        lungs = box((14, 9, 5), (14, 9, 19))
        parts = {"fixed": fixed, "moving": moving, "fixed_lungs": lungs, "displacement": moved}
        right = shown(moved, **parts, certainty=torch.ones_like(fixed)).cuts[0]
        wrong = shown(None, **parts).cuts[0]
        assert np.nanmax(abs(wrong.difference_after)) > 0.5
        assert np.nanmax(abs(right.difference_before)) > 0.5
        assert np.nanmax(abs(right.difference_after)) < 1e-4
        inside = np.isfinite(right.known[..., 0])
        assert inside.mean() > 0.5
        assert right.known[inside] == pytest.approx(np.tile([8, 0, -15], (inside.sum(), 1)), abs=1e-4)
        assert right.deformation == pytest.approx(np.broadcast_to([8, 0, -15], right.deformation.shape), abs=1e-4)
        assert np.isnan(wrong.known).all()


@pytest.fixture(scope="module")
def pair():
    batch = tiny_batch()
    errors = {"error_mm": 3.21, "error_before_mm": 6.5, "dice": 0.95}
    return pair_picture(batch, torch.zeros_like(batch.displacement), NETWORK.lattice_spacing_mm, errors)


class TestFigure:
    def test_words(self, pair):
        figure = draw_pairs([pair, pair], 250)
        words = "\n".join(text.get_text() for text in figure.texts)
        for expected in (
            "Validation after 250 steps: mean error in the lungs 6.5 mm before, 3.2 mm after",
            "lattice of 6 x 7 x 8 mm, 0 black to 1 white", "Pair 1 coronal", "Pair 2 sagittal",
            "error 6.5 to 3.2 mm", "Dice 0.950", "found over known",
        ):  # fmt: skip
            assert expected in words
        panels = [axes for axes in figure.axes if axes.images]
        assert len(panels) == 4 * 6

    def test_a_pair_of_which_nothing_is_known(self, pair):
        image = tiny_batch().fixed[0]
        batch = batch_of([Pair.of_images(image, image)])
        nothing = pair_picture(batch, torch.zeros_like(batch.displacement), NETWORK.lattice_spacing_mm, {})
        words = [text.get_text() for text in draw_pairs([nothing], 1).texts]
        assert words[0] == "Validation after 1 step"
        assert "found" in words


class Witness(Callback):
    """The metrics of the last validation."""

    def on_validation_end(self, trainer, pl_module):
        self.metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}


class Unknown(PairSource):
    """Pairs of which nothing is known but the images."""

    def draw(self, lattice, random):
        return Pair.of_images(*(torch.from_numpy(random.random((1, *lattice.shape), np.float32)) for _ in range(2)))


class TestRuns:
    def test_every_other_validation_in_files_and_in_tensorboard(self, tmp_path):
        from matplotlib import pyplot
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        loggers = [pl.loggers.TensorBoardLogger(tmp_path, "", ""), pl.loggers.CSVLogger(tmp_path / "csv")]
        pictures = ValidationPictures(pairs=1, every_n_epochs=2)
        fit(tiny_learner(), tmp_path, [pictures], steps=3 * STEPS_PER_EPOCH, logger=loggers, num_sanity_val_steps=1)
        assert sorted(path.name for path in (tmp_path / FOLDER).iterdir()) == ["step_000006.png"]
        pixels = imread(tmp_path / FOLDER / "step_000006.png")
        assert pixels.shape[2] >= 3
        assert pixels[..., :3].std() > 0.1
        events = EventAccumulator(str(tmp_path)).Reload().Images("validation")
        assert [event.step for event in events] == [6]
        assert (events[0].height, events[0].width) == pixels.shape[:2]
        assert pyplot.get_fignums() == []

    def test_training_is_the_same_as_without(self, tmp_path):
        weights, states = [], []
        for callbacks in ([], [ValidationPictures(pairs=1)]):
            torch.manual_seed(3)
            np.random.seed(3)
            learner = tiny_learner()
            fit(learner, tmp_path / str(len(callbacks)), callbacks, steps=2 * STEPS_PER_EPOCH)
            weights.append(learner.plain_network().state_dict())
            states.append((torch.get_rng_state(), np.random.get_state()[1]))
        assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
        assert torch.equal(states[0][0], states[1][0])
        assert np.array_equal(states[0][1], states[1][1])

    @pytest.mark.parametrize("first", [True, False])
    def test_what_is_drawn_is_what_is_validated_also_with_averaged_weights(self, tmp_path, first, monkeypatch):
        drawn, witness = [], Witness()
        spy = lambda pairs, step: drawn.append(pairs) or draw_pairs(pairs, step)  # noqa: E731
        monkeypatch.setattr("training.pictures.draw_pairs", spy)
        callbacks = [ValidationPictures(), EMAWeightAveraging(decay=0.9)]
        callbacks = [*(callbacks if first else callbacks[::-1]), witness]
        fit(tiny_learner(), tmp_path, callbacks, tiny_data(validation_pairs=1), steps=STEPS_PER_EPOCH)
        for name in ("error_mm", "error_before_mm", "dice"):
            mean = np.mean([pair.errors[name] for pair in drawn[0]])
            assert mean == pytest.approx(witness.metrics[f"val/{name}"], rel=1e-5)

    def test_a_picture_that_cannot_be_written_does_not_stop_the_training(self, tmp_path):
        (tmp_path / FOLDER).write_text("a file where the folder should be")
        with pytest.warns(UserWarning, match=r"no picture of the validation: .*step_000003.png"):
            run = fit(tiny_learner(), tmp_path, [ValidationPictures(pairs=1)], steps=STEPS_PER_EPOCH)
        assert run.global_step == STEPS_PER_EPOCH

    def test_a_network_that_finds_nothing_finite_is_not_drawn(self, tmp_path):
        learner = tiny_learner()
        with torch.no_grad():
            learner.network.linear_branch.matrix.bias.fill_(torch.nan)
        with pytest.warns(UserWarning, match="no picture of a validation pair: the network found no finite"):
            fit(learner, tmp_path, [ValidationPictures()], tiny_data(Unknown()), steps=STEPS_PER_EPOCH)
        assert not (tmp_path / FOLDER).exists()

    @pytest.mark.parametrize("settings", [{"pairs": 0}, {"every_n_epochs": 0}])
    def test_settings_that_make_no_pictures(self, settings):
        with pytest.raises(PicturesError, match=f"found {next(iter(settings))} 0, expected a whole number from 1"):
            ValidationPictures(**settings)
