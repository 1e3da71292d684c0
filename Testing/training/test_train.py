"""Runs of ``training/train.py``, by the command line: curves, interruptions, several processes, bad input."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from training.train import main

pytestmark = [
    pytest.mark.filterwarnings("ignore:The dirpath has changed"),
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before"),
]

ROOT = Path(__file__).parents[2]
SOURCE = "Testing.training.tiny_pairs.TinyPairs"
STEPS_PER_EPOCH = 4


def settings(folder, **trainer):
    """A run of a tiny network on tiny pairs, with a checkpoint at its end and where it is interrupted."""
    checkpoints = {"dirpath": str(folder / "checkpoints"), "save_last": True, "save_on_exception": True}
    callbacks = [
        {"class_path": "ModelCheckpoint", "init_args": {**checkpoints, "every_n_train_steps": 1, "filename": "{step}"}}
    ]
    logger = {
        "class_path": "CSVLogger",
        "init_args": {"save_dir": str(folder), "name": "", "version": "", "flush_logs_every_n_steps": 1},
    }
    return {
        "seed_everything": 0,
        "trainer": {
            "max_steps": 8, "accelerator": "cpu", "devices": 1, "log_every_n_steps": 1, "num_sanity_val_steps": 0,
            "enable_progress_bar": False, "enable_model_summary": False, "default_root_dir": str(folder),
            "logger": [logger], "callbacks": callbacks, **trainer,
        },
        "model": {
            "network": {
                "encoder_channels": [4, 4], "dilations": [1, 2], "decoder_channels": [4], "squeeze_reduction": 2,
                "lattice_shape": [10, 8, 9], "lattice_spacing_mm": [8.0, 8.0, 8.0],
            },
            "loss": {"similarity": "mse", "reduction": "mean", "known_displacement": 1.0},
            "optimizer": {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.003}},
        },
        "data": {
            "train": {"class_path": SOURCE}, "validation": {"class_path": SOURCE}, "batch_size": 1,
            "steps_per_epoch": STEPS_PER_EPOCH, "validation_pairs": 2,
        },
    }  # fmt: skip


def written(config, folder):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "settings.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def fit(config, folder, *more):
    main(["fit", "--config", str(written(config, folder)), *more])


def command(config, folder, *more):
    """The same as a process of its own, run as a file."""
    script = str(ROOT / "training" / "train.py")
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "LungDeepReg")]),
    }
    arguments = [sys.executable, script, "fit", "--config", str(written(config, folder)), *more]
    return subprocess.Popen(
        arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace"
    )


def curve(folder):
    """Training loss of each step."""
    with (folder / "metrics.csv").open() as file:
        return {int(row["step"]): float(row["train/loss"]) for row in csv.DictReader(file) if row.get("train/loss")}


def weights(folder):
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=False)["state_dict"]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """Eight steps without an interruption."""
    folder = tmp_path_factory.mktemp("unbroken")
    fit(settings(folder), folder)
    return folder


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_a_run_logs_every_step_and_ends_with_a_checkpoint(unbroken):
    assert sorted(curve(unbroken)) == list(range(8))
    assert torch.load(unbroken / "checkpoints" / "last.ckpt", weights_only=False)["global_step"] == 8


def test_the_same_seed_gives_the_same_weights(unbroken, tmp_path):
    fit(settings(tmp_path), tmp_path)
    assert curve(tmp_path) == curve(unbroken)
    assert same(weights(tmp_path), weights(unbroken))


def test_another_seed_gives_others(unbroken, tmp_path):
    fit(settings(tmp_path), tmp_path, "--data.seed", "1")
    assert curve(tmp_path) != curve(unbroken)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("interrupted_after", [3, 4])
def test_a_resumed_run_equals_an_unbroken_one(unbroken, tmp_path, interrupted_after, workers):
    first, rest = tmp_path / "first", tmp_path / "rest"
    fit(settings(first, max_steps=interrupted_after), first, "--data.workers", str(workers))
    fit(settings(rest), rest, "--ckpt_path", str(first / "checkpoints" / "last.ckpt"), "--data.workers", str(workers))
    assert {**curve(first), **curve(rest)} == curve(unbroken)
    assert sorted(curve(rest)) == list(range(interrupted_after, 8))
    assert same(weights(rest), weights(unbroken))


def slowed(folder, **trainer):
    config = settings(folder, max_steps=40, **trainer)
    config["data"]["train"] = {"class_path": SOURCE, "init_args": {"seconds": 0.25}}
    return config


def wait_for_step(process, folder, step, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        if (folder / "metrics.csv").exists() and max(curve(folder), default=-1) >= step:
            return
        time.sleep(0.05)
    process.kill()
    pytest.fail(f"step {step} wasn't reached: {process.communicate()[0]}")


def test_sigterm_loses_no_finished_step(tmp_path):
    process = command(slowed(tmp_path), tmp_path)
    wait_for_step(process, tmp_path, 2)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    saved = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=False)["global_step"]
    assert saved >= 3
    assert max(curve(tmp_path)) == saved - 1


def test_sigkill_leaves_the_last_timed_checkpoint_whole(tmp_path):
    config = slowed(tmp_path)
    config["trainer"]["callbacks"][0]["init_args"] |= {"every_n_train_steps": None, "train_time_interval": "0:00:01"}
    process = command(config, tmp_path)
    wait_for_step(process, tmp_path, 9)
    process.kill()
    process.communicate()
    saved = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=False)["global_step"]
    # A step takes a quarter of a second, or more on a busy machine: the last checkpoint is at most a second old.
    assert 9 - 5 <= saved <= max(curve(tmp_path)) + 1


def test_two_processes_equal_one_with_the_doubled_batch(tmp_path):
    single, double = tmp_path / "single", tmp_path / "double"
    config = settings(single, max_steps=4)
    config["data"]["batch_size"] = 2
    fit(config, single)
    process = command(settings(double, max_steps=4, devices=2, strategy="ddp"), double)
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 0, output
    found, expected = curve(double), curve(single)
    assert sorted(found) == sorted(expected)
    found, expected = weights(double), weights(single)
    assert max(float((found[name] - expected[name]).abs().max()) for name in expected) < 1e-5


class TestBadInput:
    @pytest.mark.parametrize(
        ("change", "named"),
        [
            (["--model.network.chanels", "[4]"], "chanels"),
            (["--data.train.init_args.minutes", "3"], "minutes"),
            (["--trainer.max_stepss", "3"], "max_stepss"),
        ],
    )
    def test_an_unknown_key(self, tmp_path, capsys, change, named):
        with pytest.raises(SystemExit) as stopped:
            fit(settings(tmp_path), tmp_path, *change)
        assert stopped.value.code == 2
        assert named in capsys.readouterr().err
        assert not (tmp_path / "checkpoints").exists()

    def test_an_unknown_similarity(self, tmp_path, capsys):
        with pytest.raises(SystemExit):
            fit(settings(tmp_path), tmp_path, "--model.loss.similarity", "nothing")
        assert "'nothing'" in capsys.readouterr().err

    def test_a_missing_image(self, tmp_path, capsys):
        manifest = tmp_path / "cohort.csv"
        manifest.write_text("patient,phase,image\nA,exhale,missing.nii.gz\nA,inhale,also.nii.gz\n")
        config = settings(tmp_path)
        config["data"]["train"] = {
            "class_path": "training.cohort_pairs.CohortPairs",
            "init_args": {"cohort": str(manifest)},
        }
        with pytest.raises(SystemExit):
            fit(config, tmp_path)
        said = capsys.readouterr().err
        assert "missing.nii.gz" in said
        assert "line 2" in said

    def test_a_loss_that_local_gradients_cannot_lower(self, tmp_path, capsys):
        with pytest.raises(SystemExit) as stopped:
            fit(settings(tmp_path), tmp_path, "--model.local_gradients", "true")
        assert stopped.value.code == 3
        assert "spatial_gradients: 0" in capsys.readouterr().err

    def test_weights_of_another_network(self, tmp_path, capsys):
        from LungDeepRegLib.checkpoint import save_checkpoint
        from LungDeepRegLib.network import NetworkConfig, RegistrationNetwork

        other = tmp_path / "other.pt"
        save_checkpoint(other, RegistrationNetwork(NetworkConfig((4,), (1,), (4,), squeeze_reduction=2)), {})
        with pytest.raises(SystemExit):
            fit(settings(tmp_path), tmp_path, "--model.start_from", str(other))
        said = capsys.readouterr().err
        assert "other.pt" in said
        assert "encoder_channels" in said
