"""Batches for training and validation. What is seen is a function of seed and step, also after an interruption."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sized

import lightning.pytorch as pl
import numpy as np
import torch
from LungDeepRegLib.geometry import Lattice
from torch.utils.data import DataLoader, Dataset, Sampler

from .pairs import Pair, PairSource, batch_of


class PairData(pl.LightningDataModule):
    """Pairs by number, drawn anew for every step.

    Args:
        train: Where the pairs to learn from come from.
        validation: Where the pairs to judge by come from; null for no validation.
        lattice_shape: The network's, ``(K, J, I)``; set from the network's configuration.
        lattice_spacing_mm: Likewise.
        batch_size: Pairs of a step, on each device.
        steps_per_epoch: Steps between two validations.
        validation_pairs: How many pairs are judged by, at most.
        workers: Processes that prepare batches; 0 for none.
        seed: Of what is drawn.
    """

    def __init__(
        self,
        train: PairSource,
        validation: PairSource | None = None,
        lattice_shape: tuple[int, int, int] = (80, 64, 80),
        lattice_spacing_mm: tuple[float, float, float] = (4.0, 4.0, 4.0),
        batch_size: int = 2,
        steps_per_epoch: int = 100,
        validation_pairs: int = 8,
        workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.train, self.validation = train, validation
        self.lattice = Lattice(tuple(lattice_shape), np.diag([*lattice_spacing_mm, 1.0]))
        self.batch_size, self.steps_per_epoch, self.validation_pairs = batch_size, steps_per_epoch, validation_pairs
        self.workers, self.seed = workers, seed

    def prepare_data(self) -> None:
        """Look at all data once, so that what is wrong with it is said before training starts."""
        for source in (self.train, self.validation):
            if source is not None:
                source.check()

    def train_dataloader(self) -> DataLoader:
        """Steps from where the run stands."""
        trainer = self.trainer
        assert trainer is not None
        steps = Steps(
            self.steps_per_epoch, self.batch_size, trainer.global_rank, trainer.world_size,
            lambda: trainer.fit_loop.epoch_loop.batch_progress.total.ready,
        )  # fmt: skip
        return DataLoader(
            Drawn(self.train, self.lattice, self.seed),
            batch_sampler=steps,
            collate_fn=batch_of,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            worker_init_fn=single_thread,
        )

    def val_dataloader(self) -> DataLoader | list:
        """The same pairs each time, one by one, shared out among the devices."""
        if self.validation is None:
            return []
        trainer = self.trainer
        assert trainer is not None
        count = self.validation_pairs
        if isinstance(self.validation, Sized):
            count = min(count, len(self.validation))
        pairs = Numbered(self.validation, self.lattice, count)
        own = range(trainer.global_rank, len(pairs), trainer.world_size)
        return DataLoader(pairs, sampler=list(own), collate_fn=batch_of)


class Steps(Sampler[list[int]]):
    """The numbers of the pairs of each step: what one process with the batches of all devices would see."""

    def __init__(self, steps: int, batch_size: int, rank: int, world_size: int, done: Callable[[], int]) -> None:
        self.steps, self.batch_size = steps, batch_size
        self.rank, self.world_size, self.done = rank, world_size, done

    def __len__(self) -> int:
        """Steps of an epoch."""
        return self.steps

    def __iter__(self) -> Iterator[list[int]]:
        """The rest of the epoch in which the run stands."""
        first = self.done()
        for step in range(first, first - first % self.steps + self.steps):
            start = (step * self.world_size + self.rank) * self.batch_size
            yield list(range(start, start + self.batch_size))


class Drawn(Dataset[Pair]):
    """Pairs drawn from a source, each by the seed and its number alone."""

    def __init__(self, source: PairSource, lattice: Lattice, seed: int) -> None:
        self.source, self.lattice, self.seed = source, lattice, seed

    def __getitem__(self, number: int) -> Pair:
        """The pair of this number."""
        return self.source.draw(self.lattice, np.random.default_rng([self.seed, number]))


class Numbered(Dataset[Pair]):
    """The first pairs of a source's fixed series."""

    def __init__(self, source: PairSource, lattice: Lattice, count: int) -> None:
        self.source, self.lattice, self.count = source, lattice, count

    def __len__(self) -> int:
        """How many pairs there are."""
        return self.count

    def __getitem__(self, number: int) -> Pair:
        """The pair of this number."""
        return self.source.numbered(self.lattice, number)


def single_thread(worker: int) -> None:
    """Workers side by side are quicker with a thread each."""
    torch.set_num_threads(1)
