"""What each process sees at each step."""

import numpy as np
import pytest
import torch
from LungDeepRegLib.geometry import Lattice

from training.data_module import Drawn, Numbered, Steps
from training.pairs import Pair, PairSource

LATTICE = Lattice((2, 2, 2), np.eye(4))


class Numbers(PairSource):
    def draw(self, lattice, random):
        return Pair.of_images(*torch.full((2, 1, *lattice.shape), float(random.random())))


def seen(steps, batch_size, rank=0, world_size=1, done=0):
    return list(Steps(steps, batch_size, rank, world_size, lambda: done))


@pytest.mark.parametrize("done", [0, 5, 7])
def test_processes_together_see_what_one_sees_with_all_their_batches(done):
    alone = seen(5, 6, done=done)
    for processes in (2, 3):
        shared = [seen(5, 6 // processes, rank, processes, done) for rank in range(processes)]
        assert [[number for part in parts for number in part] for parts in zip(*shared, strict=True)] == alone


def test_no_pair_is_seen_twice():
    numbers = [number for done in (0, 4, 8) for batch in seen(4, 3, done=done) for number in batch]
    assert numbers == list(range(36))


@pytest.mark.parametrize("done", range(1, 9))
def test_a_resumed_epoch_yields_its_rest(done):
    whole = seen(4, 2, done=done - done % 4)
    assert seen(4, 2, done=done) == whole[done % 4 :]
    assert len(Steps(4, 2, 0, 1, lambda: done)) == 4


def test_where_the_run_stands_is_asked_at_the_start_of_each_epoch():
    done = 0
    steps = Steps(3, 1, 0, 1, lambda: done)
    assert list(steps) == [[0], [1], [2]]
    done = 3
    assert list(steps) == [[3], [4], [5]]


def test_a_pair_is_a_function_of_seed_and_number():
    drawn = {(seed, n): float(Drawn(Numbers(), LATTICE, seed)[n].fixed.mean()) for seed in range(4) for n in range(6)}
    assert len(set(drawn.values())) == 24
    assert drawn[2, 3] == float(Drawn(Numbers(), LATTICE, 2)[3].fixed.mean())


def test_validation_pairs_are_those_of_the_sources_series():
    pairs = Numbered(Numbers(), LATTICE, 3)
    assert len(pairs) == 3
    assert torch.equal(pairs[1].fixed, Numbers().numbered(LATTICE, 1).fixed)
