"""Train a registration network: ``python training/train.py fit --config training/configs/smoke.yaml``."""

from __future__ import annotations

import sys
from pathlib import Path

if __package__ in (None, ""):  # run as a file: the package and the engine lie beside it
    root = Path(__file__).resolve().parents[1]
    sys.path[0:1] = [str(root), str(root / "LungDeepReg")]

from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from LungDeepRegLib.checkpoint import CheckpointError
from LungDeepRegLib.network import NetworkError
from LungDeepRegLib.similarity import SimilarityError

from training.data_module import PairData
from training.errors import TrainingError
from training.learner import Learner

BAD_INPUT = 3
EXPLAINED = (TrainingError, CheckpointError, NetworkError, SimilarityError)
"""Errors whose message says all that a user needs; of others the traceback helps more."""


class TrainingCLI(LightningCLI):
    """Lightning's command line, with the network's lattice handed on to the data."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """What both the network and the data need is said once."""
        parser.link_arguments("model.network.lattice_shape", "data.lattice_shape")
        parser.link_arguments("model.network.lattice_spacing_mm", "data.lattice_spacing_mm")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line. Bad input is explained on standard error, with the exit code 3 (2 for unknown keys)."""
    try:
        TrainingCLI(
            Learner, PairData, args=arguments, seed_everything_default=0, save_config_kwargs={"overwrite": True},
            trainer_defaults={"use_distributed_sampler": False},  # the data shares itself out
        )  # fmt: skip
    except EXPLAINED as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(BAD_INPUT)


if __name__ == "__main__":
    main()
