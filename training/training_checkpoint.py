"""Lightning's checkpoints of training runs, read as networks of the engine."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch
import yaml
from LungDeepRegLib.checkpoint import FORMAT, Checkpoint
from LungDeepRegLib.network import NetworkConfig, NetworkError, RegistrationNetwork
from torch import Tensor

from .errors import TrainingError
from .local_gradients import learn_differences, plain_weights
from .provenance import CONFIG, configuration, versions

ENTRY = "engine"
"""What :class:`export.EngineCheckpoint` adds, so that a checkpoint can be read without its run's configuration."""
PREFIX = "network."
"""Of the network's weights among the learner's."""
EXPECTED = "expected a checkpoint that Lightning wrote in training"
KEYS = {"state_dict", "pytorch-lightning_version", "global_step", "epoch"}


class ExportError(TrainingError):
    """A file or a metric that no weights can be exported by. The message names it."""


def trained_network(path: Path) -> Checkpoint:
    """The network in a Lightning checkpoint of :class:`learner.Learner`, and where its weights come from.

    Averaged weights are taken where there are any: Lightning keeps them under ``state_dict``, and the others apart.
    What the network is stands in the file itself if :class:`export.EngineCheckpoint` was there, otherwise in the
    configuration that Lightning's command line wrote, beside the checkpoint or one folder above. Nothing in the file
    is run as code.

    Raises:
        ExportError: No such checkpoint, no description of its network, or weights of another network.
    """
    content = _content(path)
    entry = content.get(ENTRY)
    if isinstance(entry, dict):
        config, provenance = _network_config(entry.get("network"), path), dict(entry.get("provenance", {}))
    else:
        written = _config_file(path)
        config = _network_config(_described(written), written)
        provenance = {**versions(), "lightning": content["pytorch-lightning_version"], **configuration(written)}
        provenance |= {"steps": content["global_step"], "epochs": content["epoch"] + 1}
    provenance["averaged"] = "current_model_state" in content
    return Checkpoint(_network(config, content["state_dict"], path), provenance)


def _content(path: Path) -> dict[str, Any]:
    """What is in a Lightning checkpoint."""
    content = None
    try:
        with path.open("rb") as file:
            # torch reads what isn't a zip file by older rules, with a history of running code
            if zipfile.is_zipfile(file):
                file.seek(0)
                content = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        msg = f"{path}: could not read the checkpoint: {error.strerror or error}"
        raise ExportError(msg) from error
    except Exception as error:  # a damaged file can make torch raise nearly anything
        msg = f"{path}: found a damaged file, or objects other than tensors and plain values; {EXPECTED}"
        raise ExportError(msg) from error
    if isinstance(content, dict) and content.get("format") == FORMAT:
        msg = f"{path}: found a {FORMAT}, which needs no export; {EXPECTED}"
        raise ExportError(msg)
    if not isinstance(content, dict) or not set(content) >= KEYS:
        msg = f"{path}: found another kind of file, {EXPECTED}"
        raise ExportError(msg)
    return content


def _config_file(path: Path) -> Path:
    places = [folder / CONFIG for folder in (path.absolute().parent, path.absolute().parent.parent)]
    for place in places:
        if place.is_file():
            return place
    msg = f"{path}: found nothing in it that describes its network, and neither {places[0]} nor {places[1]}"
    raise ExportError(msg)


def _described(path: Path) -> object:
    """What a run's configuration says about the network."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))["model"]["network"]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as error:
        msg = f"{path}: found no model.network in it, expected the configuration of a training run"
        raise ExportError(msg) from error


def _network_config(values: object, path: Path) -> NetworkConfig:
    """The network that is described; what was not thought of yet when the run was made has its default."""
    if not isinstance(values, dict):
        msg = f"{path}: found the network {values!r}, expected names and values"
        raise ExportError(msg)
    try:
        return NetworkConfig.from_dict({**NetworkConfig().to_dict(), **values})
    except NetworkError as error:
        msg = f"{path}: {error}"
        raise ExportError(msg) from error


def _network(config: NetworkConfig, state: dict[str, Tensor], path: Path) -> RegistrationNetwork:
    """A network with a learner's weights, as the engine knows it, also after :mod:`local_gradients`."""
    weights = {name.removeprefix(PREFIX): tensor for name, tensor in state.items() if name.startswith(PREFIX)}
    learnt, plain = RegistrationNetwork(config), RegistrationNetwork(config)
    if any(".parametrizations." in name for name in weights):
        learn_differences(learnt)
    expected = {name: tuple(tensor.shape) for name, tensor in learnt.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    wrong = [name for name in {**expected, **found} if found.get(name) != expected.get(name)]
    if wrong:
        name = wrong[0]
        msg = f"{path}: {len(wrong)} weights don't fit the network's configuration, the first being {name}: "
        msg += f"found {found.get(name, 'nothing')}, expected {expected.get(name, 'nothing')}"
        raise ExportError(msg)
    learnt.load_state_dict(weights)
    plain.load_state_dict(plain_weights(learnt))
    return plain
