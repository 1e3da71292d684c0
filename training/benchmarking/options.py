"""The options that benchmark.py and evaluate.py share."""

from __future__ import annotations

import argparse
from pathlib import Path

from LungDeepRegLib.checkpoint import BUNDLED

from .inputs import PROTOCOLS
from .record import DRAWN, REST, VALIDATION

AUTO = "auto"
COHORT_GROUPS = (VALIDATION, DRAWN, REST)


def parser_of(prog: str, description: str) -> argparse.ArgumentParser:
    """A parser with the options that both commands have."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    what = parser.add_argument_group("images")
    what.add_argument(
        "--cohort", type=Path, metavar="PATH", help="a manifest (CSV, JSON), Learn2Reg's JSON or DIR-Lab's folder"
    )
    what.add_argument("--pair", type=Path, nargs=2, metavar=("FIXED", "MOVING"), help="two images instead of a cohort")
    what.add_argument("--masks", type=Path, nargs=2, metavar=("FIXED", "MOVING"), help="lung masks of the pair")
    what.add_argument("--landmarks", type=Path, nargs=2, metavar=("FIXED", "MOVING"), help="landmarks of the pair")
    what.add_argument(
        "--protocol", choices=(AUTO, *PROTOCOLS), default=AUTO,
        help="paper: MRI clipped to [0, 1300] and scaled by 2/3; as-is: as stored (default: paper for a cohort of MRI)",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, help="for results; what is there already isn't done again")
    parser.add_argument(
        "--groups", default=",".join(COHORT_GROUPS), metavar="NAMES",
        help="which pairs: validation (within patients), drawn (20 at random between them), rest (default: all)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of the random 20 (default: 0)")
    parser.add_argument("--weights", type=Path, default=BUNDLED, help="the network's checkpoint (default: it ships)")
    parser.add_argument("--threads", type=int, help="of each method (default: the cores, shared by the workers)")
    parser.add_argument("--workers", type=int, default=1, help="methods side by side (default: 1)")
    parser.add_argument(
        "--device", choices=("cpu", "cuda", AUTO), default=AUTO,
        help="cuda: our rows are timed on the GPU too, after the CPU (default: where there is one)",
    )  # fmt: skip
    parser.add_argument("--tables-only", action="store_true", help="tables and pictures of what an earlier run left")
    return parser
