"""What our registrations are worth on your images: ``python training/evaluate.py --cohort cohort.csv --out result``.

The rows of the product, whole and in parts, with the weights that ship or others. For other methods beside them see
``benchmark.py``.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

if __package__ in (None, ""):  # run as a file: the package and the engine lie beside it
    root = Path(__file__).resolve().parents[1]
    sys.path[0:1] = [str(root), str(root / "LungDeepReg")]

from training.benchmarking.cases import COMBINATIONS_DRAWN
from training.benchmarking.command import explained
from training.benchmarking.options import parser_of
from training.benchmarking.task import chosen_methods
from training.methods import Method, own_methods


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 3 for bad input, 6 if registrations failed, 130 after Ctrl-C."""
    words = sys.argv[1:] if arguments is None else arguments
    chosen = parser_of("python training/evaluate.py", __doc__.split("\n\n")[1]).parse_args(words)

    def prepared() -> tuple[Namespace, dict[str, Method | None]]:
        return chosen, chosen_methods(None, {method.name: method for method in own_methods(chosen.weights)})

    return explained(prepared, ["evaluate.py", *words], COMBINATIONS_DRAWN)


if __name__ == "__main__":
    sys.exit(main())
