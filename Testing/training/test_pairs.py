"""Pairs, batches of them, and the numbers by which they are drawn."""

import numpy as np
import pytest
import torch
from LungDeepRegLib.geometry import Lattice

from training.pairs import Pair, PairSource, batch_of

SHAPE = (4, 5, 6)
LATTICE = Lattice(SHAPE, np.eye(4))


class Numbers(PairSource):
    """Images of one random number each."""

    def draw(self, lattice, random):
        return Pair.of_images(*torch.full((2, 1, *lattice.shape), float(random.random())))


def test_what_is_unknown_counts_nowhere():
    pair = Pair.of_images(torch.ones(1, *SHAPE), torch.zeros(1, *SHAPE))
    assert pair.displacement.shape == (3, *SHAPE)
    assert pair.landmarks.shape == (0, 2, 3)
    for part in pair[2:]:
        assert float(part.abs().sum()) == 0


def test_a_batch_stacks_pairs_and_fills_up_landmarks():
    one, two = (Numbers().draw(LATTICE, np.random.default_rng(n)) for n in range(2))
    marks = torch.arange(12.0).reshape(2, 2, 3)
    batch = batch_of([one._replace(landmarks=marks), two])
    assert batch.fixed.shape == (2, 1, *SHAPE)
    assert batch.displacement.shape == (2, 3, *SHAPE)
    assert torch.equal(batch.landmarks[0], marks)
    assert torch.isnan(batch.landmarks[1]).all()
    assert batch_of([one, two]).landmarks.shape == (2, 0, 2, 3)


def test_validation_has_a_series_of_its_own():
    source = Numbers()
    series = [float(source.numbered(LATTICE, n).fixed.mean()) for n in range(5)]
    assert series == [float(source.numbered(LATTICE, n).fixed.mean()) for n in range(5)]
    assert len(set(series)) == 5
    drawn = [
        float(source.draw(LATTICE, np.random.default_rng([s, n])).fixed.mean()) for s in range(5) for n in range(5)
    ]
    assert not set(series) & set(drawn)


def test_a_source_must_say_how_it_draws():
    with pytest.raises(TypeError, match="draw"):
        PairSource()
