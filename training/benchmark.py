"""Registration methods side by side: ``python training/benchmark.py --cohort cohort.csv --out benchmark``.

Tables as in the paper (overlap of the lungs within and between patients, landmarks), times, memory, folding, tests and
pictures. It can be stopped and started again at any time.

With a first word of its own, :data:`PERFORMANCE`, it measures one thing: ``python training/benchmark.py speed --help``.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from importlib import import_module
from pathlib import Path

if __package__ in (None, ""):  # run as a file: the package and the engine lie beside it
    root = Path(__file__).resolve().parents[1]
    sys.path[0:1] = [str(root), str(root / "LungDeepReg")]

from training.benchmarking.cases import COMBINATIONS_DRAWN
from training.benchmarking.command import explained
from training.benchmarking.options import parser_of
from training.benchmarking.quick import QUICK_DRAWN, quick_cohort
from training.benchmarking.task import chosen_methods
from training.methods import METHODS, Method, own_methods

PERFORMANCE = ("speed", "accuracy", "growth", "robustness")
"""Each a module of :mod:`training.performance`."""


def known_methods(weights: Path) -> dict[str, Method]:
    """All methods in the tables' order, ours with the weights that are given."""
    return {**METHODS, **{method.name: method for method in own_methods(weights)}}


def options(words: list[str]) -> Namespace:
    """The command's options."""
    parser = parser_of("python training/benchmark.py", __doc__.split("\n\n")[1])
    parser.add_argument("--methods", metavar="NAMES", help=f"some of {','.join(METHODS)} (default: all)")
    parser.add_argument(
        "--quick", action="store_true", help="a small synthetic cohort of its own: ten minutes on two cores"
    )
    return parser.parse_args(words)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 3 for bad input, 6 if registrations failed, 130 after Ctrl-C."""
    words = sys.argv[1:] if arguments is None else arguments
    if words and words[0] in PERFORMANCE:
        return import_module(f"training.performance.{words[0]}").main(words[1:])
    chosen = options(words)

    def prepared() -> tuple[Namespace, dict[str, Method | None]]:
        if chosen.quick and not chosen.tables_only:
            chosen.cohort = quick_cohort(chosen)
        return chosen, chosen_methods(chosen.methods, known_methods(chosen.weights))

    drawn = QUICK_DRAWN if chosen.quick else COMBINATIONS_DRAWN
    return explained(prepared, ["benchmark.py", *words], drawn)


if __name__ == "__main__":
    sys.exit(main())
