"""Checkpoints: what comes back, and everything that is refused."""

import copy
import dataclasses
import os
import pickle
import re

import pytest
import torch
from LungDeepRegLib.checkpoint import FORMAT, CheckpointError, load_checkpoint, save_checkpoint
from LungDeepRegLib.network import NetworkConfig, RegistrationNetwork

SMALL = NetworkConfig((4, 6), (1, 2), (5, 4), squeeze_reduction=2, linear_branch=True, anchor="mean")
PROVENANCE = {"data": "phantoms", "pairs": 120, "error_mm": 1.25, "finished": True}


def network(config=SMALL):
    made = RegistrationNetwork(config, seed=5)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(0, 0.1, generator=generator)
    return made


def images():
    return torch.rand(2, 1, 1, 6, 7, 8, generator=torch.Generator().manual_seed(1)).unbind()


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "network.pt"
    save_checkpoint(path, network(), PROVENANCE)
    return path


def altered(path, **changes):
    """The file with other entries."""
    content = torch.load(path, weights_only=True)
    torch.save({**content, **changes}, path)
    return path


def refused(path, *words):
    with pytest.raises(CheckpointError, match=re.escape(str(path))) as caught:
        load_checkpoint(path)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_what_was_saved_comes_back(path):
    checkpoint = load_checkpoint(str(path))
    assert checkpoint.config == SMALL
    assert checkpoint.provenance == PROVENANCE
    assert torch.equal(checkpoint.network(*images()).grid, network()(*images()).grid)
    assert all(parameter.requires_grad for parameter in checkpoint.network.parameters())


@pytest.mark.parametrize("change", [{"linear_branch": False}, {"encoder_channels": (3,), "dilations": (2,)}])
def test_the_configuration_rebuilds_the_network(tmp_path, change):
    config = dataclasses.replace(SMALL, **change)
    save_checkpoint(tmp_path / "other.pt", network(config), {})
    checkpoint = load_checkpoint(tmp_path / "other.pt")
    assert checkpoint.config == config
    assert torch.equal(checkpoint.network(*images()).grid, network(config)(*images()).grid)


def test_half_precision_is_loaded_as_float32(tmp_path):
    save_checkpoint(tmp_path / "half.pt", copy.deepcopy(network()).half(), PROVENANCE)
    loaded = load_checkpoint(tmp_path / "half.pt").network
    for found, expected in zip(loaded.parameters(), network().parameters(), strict=True):
        assert found.dtype == torch.float32
        assert torch.equal(found, expected.half().float())


def test_no_unfinished_file_is_left(path, monkeypatch):
    before = path.read_bytes()

    def full(content, file):
        file.write_bytes(b"half a file")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(CheckpointError, match=r"network\.pt.*No space left"):
        save_checkpoint(path, network(), PROVENANCE)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(CheckpointError, match=r"nowhere/network\.pt"):
        save_checkpoint(tmp_path / "nowhere" / "network.pt", network(), {})


def test_missing_file_and_folder(tmp_path):
    refused(tmp_path / "none.pt", "No such file")
    refused(tmp_path, "directory")


@pytest.mark.parametrize("content", [b"", b"PK", b"not a network", b"PK\x03\x04 and no more"])
def test_a_file_that_is_no_checkpoint(tmp_path, content):
    (tmp_path / "text.pt").write_bytes(content)
    refused(tmp_path / "text.pt", "expected a LungDeepReg checkpoint")


@pytest.mark.parametrize("part", [0.3, 0.6, 0.99])
def test_a_truncated_file(path, part):
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    refused(path, "damaged")


def test_the_format_of_old_torch(path):
    torch.save(torch.load(path, weights_only=True), path, _use_new_zipfile_serialization=False)
    refused(path, "zip")


class Payload:
    """An object whose unpickling makes a folder."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (self.target,)


@pytest.mark.parametrize("kind", ["pickle", "old torch", "torch", "in provenance", "in weights"])
def test_code_in_a_file_is_not_run(path, kind):
    proof = path.parent / "code-was-run"
    payload = Payload(str(proof))
    if kind == "pickle":
        path.write_bytes(pickle.dumps(payload))
    elif kind in ("torch", "old torch"):
        torch.save({"format": FORMAT, "weights": payload}, path, _use_new_zipfile_serialization=kind == "torch")
    else:
        altered(path, **{kind.removeprefix("in "): {"a": payload}})
    refused(path)
    assert not proof.exists()
    if kind == "torch":  # the payload does work
        torch.load(path, weights_only=False)
        assert proof.exists()


def test_files_of_others_and_of_other_versions(path):
    refused(altered(path, version=2), "version 2", "expected version 1")
    refused(altered(path, version=None), "version None")
    refused(altered(path, format="nnU-Net"), "another program")
    torch.save([1, 2], path)
    refused(path, "another program")
    torch.save({"format": FORMAT, "version": 1}, path)
    refused(path, "found the entries ['format', 'version']")


def test_other_configurations(path):
    good = SMALL.to_dict()
    refused(altered(path, config={**good, "dropout": 0.1}), "dropout")
    refused(altered(path, config={**good, "anchor": "last"}), "anchor")
    refused(altered(path, config={**good, "dilations": [1, 2, 3]}), "dilations")
    refused(altered(path, config=[1]), "configuration")


def test_weights_of_another_network(path):
    weights = network().state_dict()
    name = "encoder.blocks.0.0.weight"
    refused(
        altered(path, config={**SMALL.to_dict(), "encoder_channels": [8, 6]}),
        name,
        "(4, 2, 3, 3, 3)",
        "(8, 2, 3, 3, 3)",
    )
    good = altered(path, config=SMALL.to_dict())
    refused(altered(good, weights={k: v for k, v in weights.items() if k != name}), name, "found nothing")
    refused(altered(good, weights={**weights, "extra": torch.ones(2)}), "extra", "expected nothing")
    refused(altered(good, weights={**weights, name: weights[name] * torch.nan}), name, "NaN")
    refused(altered(good, weights=[1]), "weights")
    refused(altered(good, weights={name: 1.0}), "weights")


@pytest.mark.parametrize("provenance", [["a"], {1: "a"}, {"a": [1]}, {"a": None}])
def test_provenance_is_plain(path, provenance):
    with pytest.raises(CheckpointError, match="provenance"):
        save_checkpoint(path, network(), provenance)
    refused(altered(path, provenance=provenance), "provenance")
