"""Trained networks in files: configuration, provenance and weights."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .network import NetworkConfig, NetworkError, RegistrationNetwork

FORMAT = "LungDeepReg checkpoint"
VERSION = 1
KEYS = {"format", "version", "config", "provenance", "weights"}
ZIP_MAGIC = b"PK\x03\x04"
BUNDLED = Path(__file__).parent / "weights" / "lung.pt"
"""The weights that ship; MODEL_CARD.md beside them says what they were trained on and what they are worth."""

Provenance = dict[str, str | int | float | bool]


class CheckpointError(ValueError):
    """A file that holds no network of ours, or a network that cannot be written. The message names the file."""


@dataclass(frozen=True)
class Checkpoint:
    """A trained network.

    Attributes:
        network: With its weights, in float32 on the CPU, in evaluation mode.
        provenance: Where the weights come from: data, program version, commands, measured results.
    """

    network: RegistrationNetwork
    provenance: Provenance

    @property
    def config(self) -> NetworkConfig:
        """How the network is built, and the lattice that it was trained for."""
        return self.network.config


def save_checkpoint(path: str | Path, network: RegistrationNetwork, provenance: Provenance) -> None:
    """Write a network to a file that appears whole or not at all.

    Raises:
        CheckpointError: Provenance that isn't names with plain text and numbers, or a file that cannot be written.
    """
    path = Path(path)
    _check_provenance(provenance, path)
    content = {
        "format": FORMAT,
        "version": VERSION,
        "config": network.config.to_dict(),
        "provenance": provenance,
        "weights": {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()},
    }
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        torch.save(content, unfinished)
        unfinished.replace(path)
    except (OSError, RuntimeError) as error:
        msg = f"{path}: could not write the checkpoint: {error}"
        raise CheckpointError(msg) from error
    finally:
        unfinished.unlink(missing_ok=True)


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read what :func:`save_checkpoint` wrote. Nothing in the file is run as code.

    Raises:
        CheckpointError: A missing, damaged, hostile or foreign file, another version, or weights of another network.
    """
    path = Path(path)
    content = _read(path)
    config = _config(content["config"], path)
    _check_provenance(content["provenance"], path)
    with torch.device("meta"):
        network = RegistrationNetwork(config)
    network.load_state_dict(_weights(content["weights"], network, path), assign=True)
    return Checkpoint(network.requires_grad_().eval(), content["provenance"])


def _read(path: Path) -> dict[str, Any]:
    """The file's content, known to have our format, version and keys."""
    try:
        with path.open("rb") as file:
            # torch reads what isn't a zip file by older rules, with a history of running code
            is_zip = file.read(len(ZIP_MAGIC)) == ZIP_MAGIC
    except OSError as error:
        msg = f"{path}: could not read the checkpoint: {error.strerror}"
        raise CheckpointError(msg) from error
    if not is_zip:
        msg = f"{path}: found a file that isn't in torch's zip format, expected a {FORMAT}"
        raise CheckpointError(msg)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can make torch raise nearly anything
        msg = f"{path}: found a damaged file, or objects other than tensors and plain values; expected a {FORMAT}"
        raise CheckpointError(msg) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        msg = f"{path}: found a torch file of another program, expected a {FORMAT}"
        raise CheckpointError(msg)
    if content.get("version") != VERSION:
        msg = f"{path}: found version {content.get('version')!r} of the {FORMAT}, expected version {VERSION}"
        raise CheckpointError(msg)
    if set(content) != KEYS:
        msg = f"{path}: found the entries {sorted(map(str, content))}, expected {sorted(KEYS)}"
        raise CheckpointError(msg)
    return content


def _config(values: object, path: Path) -> NetworkConfig:
    if not isinstance(values, dict):
        msg = f"{path}: found a configuration of type {type(values).__name__}, expected names and values"
        raise CheckpointError(msg)
    try:
        return NetworkConfig.from_dict(values)
    except NetworkError as error:
        msg = f"{path}: {error}"
        raise CheckpointError(msg) from error


def _check_provenance(provenance: object, path: Path) -> None:
    plain = isinstance(provenance, dict) and all(
        type(k) is str and type(v) in (str, int, float, bool) for k, v in provenance.items()
    )
    if not plain:
        msg = f"{path}: found the provenance {provenance!r}, expected names with text, numbers, true or false"
        raise CheckpointError(msg)


def _weights(weights: object, network: RegistrationNetwork, path: Path) -> dict[str, Tensor]:
    """The weights in float32, known to be finite and of the network's names and shapes."""
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    if not isinstance(weights, dict) or not all(isinstance(tensor, Tensor) for tensor in weights.values()):
        msg = f"{path}: found weights that are no tensors by name"
        raise CheckpointError(msg)
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    wrong = [name for name in {**expected, **found} if found.get(name) != expected.get(name)]
    if wrong:
        name = wrong[0]
        msg = f"{path}: {len(wrong)} weights don't fit the configuration, the first being {name}: "
        msg += f"found {found.get(name, 'nothing')}, expected {expected.get(name, 'nothing')}"
        raise CheckpointError(msg)
    weights = {name: tensor.float() for name, tensor in weights.items()}
    broken = [name for name, tensor in weights.items() if not torch.isfinite(tensor).all()]
    if broken:
        msg = f"{path}: found NaN or infinite numbers in {', '.join(broken)}, expected finite weights"
        raise CheckpointError(msg)
    return weights
