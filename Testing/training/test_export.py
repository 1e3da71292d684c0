"""What training writes for the engine is the network that was trained and validated, and can be loaded."""

import csv
import math

import pytest
import torch
import yaml
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint
from LungDeepRegLib.checkpoint import load_checkpoint, save_checkpoint
from LungDeepRegLib.network import RegistrationNetwork

from Testing.training.tiny_runs import NETWORK, STEPS_PER_EPOCH, fit, tiny_batch, tiny_data, tiny_learner
from training.export import EngineCheckpoint, main
from training.provenance import command, configuration, name_only
from training.training_checkpoint import ExportError

DECAY = 0.7


class Witness(Callback):
    """Averages the weights by the formula, and keeps what each validation found."""

    def __init__(self):
        self.average, self.last, self.validated = None, None, []

    def on_train_batch_end(self, trainer, pl_module, *rest):
        now = pl_module.plain_network().state_dict()
        self.last = now
        old = self.average or now
        self.average = {name: DECAY * old[name] + (1 - DECAY) * now[name] for name in now}

    def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx=0):
        if batch_idx == 0 and not trainer.sanity_checking:
            self.validated.append(pl_module(batch).grid.clone())


def with_averaging(where, *callbacks):
    average = EMAWeightAveraging(decay=DECAY)
    return {"none": [*callbacks], "first": [average, *callbacks], "last": [*callbacks, average]}[where]


def grid_of(path):
    batch = tiny_batch()
    with torch.no_grad():
        return load_checkpoint(path).network(batch.fixed, batch.moving).grid


def apart(network, weights):
    return max(float((tensor - weights[name]).abs().max()) for name, tensor in network.state_dict().items())


class TestCallback:
    @pytest.mark.parametrize("local_gradients", [False, True])
    @pytest.mark.parametrize("where", ["none", "first", "last"])
    def test_the_last_weights_are_the_averaged_ones_if_there_are_any(self, tmp_path, where, local_gradients):
        witness, learner = Witness(), tiny_learner(local_gradients=local_gradients)
        fit(learner, tmp_path, with_averaging(where, EngineCheckpoint(), witness))
        stored = load_checkpoint(tmp_path / "weights.pt")
        assert stored.config == NETWORK
        assert stored.provenance["averaged"] is (where != "none")
        right, wrong = (witness.last, witness.average) if where == "none" else (witness.average, witness.last)
        assert apart(stored.network, right) < 1e-6
        assert apart(stored.network, wrong) > 1e-3

    @pytest.mark.parametrize("mode", ["min", "max"])
    @pytest.mark.parametrize("where", ["none", "first", "last"])
    def test_the_best_weights_find_what_the_best_validation_found(self, tmp_path, where, mode):
        witness = Witness()
        callbacks = with_averaging(where, EngineCheckpoint("val/error_mm", mode), witness)
        learner = tiny_learner(local_gradients=where == "last")
        fit(learner, tmp_path, callbacks, steps=4 * STEPS_PER_EPOCH, num_sanity_val_steps=1)
        with (tmp_path / "metrics.csv").open() as file:
            errors = [float(row["val/error_mm"]) for row in csv.DictReader(file) if row.get("val/error_mm")]
        best = errors.index(min(errors) if mode == "min" else max(errors))
        assert len(errors) == len(witness.validated) == 4
        found = grid_of(tmp_path / "weights_best.pt")
        for epoch, grid in enumerate(witness.validated):
            assert torch.allclose(found, grid, atol=1e-6) == (epoch == best)
        provenance = load_checkpoint(tmp_path / "weights_best.pt").provenance
        assert provenance["val/error_mm"] == pytest.approx(errors[best])
        assert provenance["steps"] == provenance["validated_at_step"] == (best + 1) * STEPS_PER_EPOCH
        assert provenance["epochs"] == best + 1

    def test_provenance(self, tmp_path, monkeypatch):
        monkeypatch.setattr("sys.argv", ["/srv/someone/training/train.py", "fit", "--data.ct=/data/someone/ct.nii"])
        (tmp_path / "config.yaml").write_text("# a comment\ndata: {cache: /srv/someone/cache, share: 0.5}\n")
        monkeypatch.setenv("PL_GLOBAL_SEED", "5")
        fit(tiny_learner(), tmp_path, [EngineCheckpoint()])
        stored = load_checkpoint(tmp_path / "weights.pt").provenance
        assert stored["command"] == "train.py fit --data.ct=ct.nii"
        assert yaml.safe_load(stored["config"]) == {"data": {"cache": "cache", "share": 0.5}}
        expected = {"steps": 6, "epochs": 2, "seed": 5, "device": "cpu", "devices": 1, "averaged": False}
        assert {name: stored[name] for name in expected} == expected
        assert 0 < stored["seconds"] < 1000
        assert math.isfinite(stored["val/loss"])
        assert all(type(value) in (str, int, float, bool) for value in stored.values())

    def test_without_validation_there_are_only_the_last_weights(self, tmp_path):
        data = tiny_data()
        data.validation = None
        fit(tiny_learner(), tmp_path, [EngineCheckpoint()], data, steps=2)
        assert [path.name for path in tmp_path.glob("*.pt")] == ["weights.pt"]

    def test_an_unknown_metric_is_named_with_those_that_there_are(self, tmp_path):
        with pytest.raises(ExportError, match=r"no metric 'val/los' in validation, expected one of .*val/loss"):
            fit(tiny_learner(), tmp_path, [EngineCheckpoint("val/los")])

    def test_diverged_weights_are_not_written(self, tmp_path):
        learner = tiny_learner()
        with torch.no_grad():
            learner.network.linear_branch.matrix.bias.fill_(torch.nan)
        with pytest.warns(UserWarning, match=r"weights.pt was not written: found NaN .* in encoder"):
            fit(learner, tmp_path, [EngineCheckpoint()], steps=1)
        assert not list(tmp_path.rglob("*.pt"))

    def test_a_resumed_run_keeps_the_best_value_where_its_weights_are(self, tmp_path):
        first = EngineCheckpoint()
        run = fit(tiny_learner(), tmp_path / "first", [first], steps=3)
        run.save_checkpoint(tmp_path / "last.ckpt")
        for folder, best in (("first", first.best), ("second", None)):
            again = EngineCheckpoint()
            again.folder = tmp_path / folder
            again.load_state_dict(torch.load(tmp_path / "last.ckpt")["callbacks"][again.state_key])
            assert again.best == best
            assert again.state_dict()["seconds"] >= first.state_dict()["seconds"] * 0.5


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a finished run from the command line, with averaged weights and local gradients."""
    from Testing.training.test_train import settings
    from training.train import main as train

    folder = tmp_path_factory.mktemp("run")
    config = settings(folder)
    config["trainer"]["max_steps"] = 6
    config["trainer"]["callbacks"] += [
        {"class_path": "training.export.EngineCheckpoint"},
        {"class_path": "lightning.pytorch.callbacks.EMAWeightAveraging", "init_args": {"decay": DECAY}},
    ]
    config["model"]["local_gradients"] = True
    config["model"]["loss"]["spatial_gradients"] = 0.0
    (folder / "settings.yaml").write_text(yaml.safe_dump(config))
    train(["fit", "--config", str(folder / "settings.yaml")])
    return folder


@pytest.fixture
def copied(run, tmp_path):
    """Writes a changed copy of the run's checkpoint, without its configuration."""

    def change(**entries):
        content = torch.load(run / "checkpoints" / "last.ckpt")
        content.update(entries)
        torch.save({name: value for name, value in content.items() if value is not None}, tmp_path / "last.ckpt")
        return tmp_path / "last.ckpt"

    return change


def exported(path, out, *options):
    assert main(["--checkpoint", str(path), "--out", str(out), *options]) == 0
    return load_checkpoint(out)


class TestCommand:
    def test_it_writes_what_the_run_itself_wrote(self, run, tmp_path, capsys):
        found = exported(run / "checkpoints" / "last.ckpt", tmp_path / "out.pt")
        assert f"{tmp_path / 'out.pt'}: averaged weights after 6 steps" in capsys.readouterr().out
        expected = load_checkpoint(run / "weights.pt")
        assert found.config == expected.config
        assert apart(found.network, expected.network.state_dict()) < 1e-7
        assert found.provenance["averaged"] is True
        assert found.provenance["command"] == expected.provenance["command"]

    def test_without_the_callback_the_configuration_of_the_run_tells_the_network(self, run, copied, tmp_path):
        expected = load_checkpoint(run / "weights.pt")
        path = copied(engine=None)
        config = yaml.safe_load((run / "config.yaml").read_text())
        del config["model"]["network"]["passes"]  # as an older program wrote it
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
        found = exported(path, tmp_path / "out.pt")
        assert found.config == expected.config
        assert apart(found.network, expected.network.state_dict()) < 1e-7
        assert (found.provenance["steps"], found.provenance["epochs"]) == (6, 2)
        assert str(tmp_path) not in found.provenance["config"]

    def test_weights_that_are_not_averaged(self, tmp_path):
        learner = tiny_learner()
        checkpoints = ModelCheckpoint(tmp_path, save_last=True)
        fit(learner, tmp_path, [EngineCheckpoint(), checkpoints], enable_checkpointing=True)
        found = exported(tmp_path / "last.ckpt", tmp_path / "out.pt")
        assert apart(found.network, learner.plain_network().state_dict()) == 0
        assert found.provenance["averaged"] is False

    def test_half_precision(self, run, tmp_path):
        path = run / "checkpoints" / "last.ckpt"
        found, full = exported(path, tmp_path / "half.pt", "--half"), exported(path, tmp_path / "full.pt")
        stored = torch.load(tmp_path / "half.pt")["weights"]
        assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
        assert 0 < apart(found.network, full.network.state_dict()) < 1e-3
        batch = tiny_batch()
        grids = [network(batch.fixed, batch.moving).grid for network in (found.network, full.network)]
        assert torch.allclose(*grids, atol=0.01)
        assert found.provenance["half"] is True

    def test_another_lattice_and_other_passes_for_the_same_weights(self, run, tmp_path):
        path = run / "checkpoints" / "last.ckpt"
        trained = exported(path, tmp_path / "trained.pt")
        spacing = trained.config.lattice_spacing_mm[0] / 2
        found = exported(path, tmp_path / "out.pt", "--spacing", str(spacing), "--passes", "4", "1")
        assert found.config.lattice_spacing_mm == (spacing,) * 3
        assert found.config.passes == (4.0, 1.0)
        trained_mm, found_mm = (
            [n * mm for n, mm in zip(c.lattice_shape, c.lattice_spacing_mm[::-1], strict=True)]
            for c in (trained.config, found.config)
        )
        assert found_mm == pytest.approx(trained_mm, abs=spacing)
        assert apart(found.network, trained.network.state_dict()) == 0

    def test_impossible_passes_are_refused(self, run, tmp_path, capsys):
        arguments = ["--checkpoint", str(run / "checkpoints" / "last.ckpt"), "--out", str(tmp_path / "out.pt")]
        assert main([*arguments, "--passes", "20"]) == 3
        assert "found passes (20.0,)" in capsys.readouterr().err
        assert not (tmp_path / "out.pt").exists()

    def test_a_file_that_is_there_is_kept(self, run, tmp_path, capsys):
        out = tmp_path / "out.pt"
        out.write_text("mine")
        arguments = ["--checkpoint", str(run / "checkpoints" / "last.ckpt"), "--out", str(out)]
        assert main(arguments) == 3
        assert out.read_text() == "mine"
        assert "exists already; choose another name or use --overwrite" in capsys.readouterr().err
        assert main([*arguments, "--overwrite"]) == 0
        load_checkpoint(out)


class Hostile:
    """Code that a file would run on being read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        from pathlib import Path

        return Path.touch, (self.path,)


class TestErrors:
    def refused(self, path, capsys, tmp_path, *options):
        out = tmp_path / "out.pt"
        assert main(["--checkpoint", str(path), "--out", str(out), *options]) == 3
        assert not list(tmp_path.glob("*out.pt*"))
        said = capsys.readouterr().err
        assert said.startswith("error: ")
        assert str(path) in said
        return said

    def test_no_file(self, capsys, tmp_path):
        assert "No such file" in self.refused(tmp_path / "last.ckpt", capsys, tmp_path)

    def test_files_of_other_kinds(self, capsys, tmp_path, copied):
        path = tmp_path / "last.ckpt"
        expected = "expected a checkpoint that Lightning wrote in training"
        path.write_text("no checkpoint")
        assert f"another kind of file, {expected}" in self.refused(path, capsys, tmp_path)
        torch.save({"weights": torch.zeros(3)}, path)
        assert f"another kind of file, {expected}" in self.refused(path, capsys, tmp_path)
        save_checkpoint(path, RegistrationNetwork(NETWORK), {})
        assert "LungDeepReg checkpoint, which needs no export" in self.refused(path, capsys, tmp_path)
        whole = copied().read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        self.refused(path, capsys, tmp_path)
        path.write_bytes(whole[:1000] + bytes(5000) + whole[6000:])
        self.refused(path, capsys, tmp_path)

    def test_code_in_a_file_is_not_run(self, capsys, tmp_path, copied):
        path = copied(hyper_parameters=Hostile(tmp_path / "has run"))
        assert "objects other than tensors and plain values" in self.refused(path, capsys, tmp_path)
        assert not (tmp_path / "has run").exists()

    def test_nothing_describes_the_network(self, capsys, tmp_path, copied):
        said = self.refused(copied(engine=None), capsys, tmp_path)
        assert f"nothing in it that describes its network, and neither {tmp_path / 'config.yaml'} nor" in said

    @pytest.mark.parametrize("text", ["model: {loss: {}}", "- 1", "{", ""])
    def test_a_configuration_of_something_else(self, capsys, tmp_path, copied, text):
        (tmp_path / "config.yaml").write_text(text)
        path = copied(engine=None)
        assert main(["--checkpoint", str(path), "--out", str(tmp_path / "out.pt")]) == 3
        assert f"{tmp_path / 'config.yaml'}: found no model.network in it" in capsys.readouterr().err

    def test_another_network(self, capsys, tmp_path, copied):
        config = {**NETWORK.to_dict(), "encoder_channels": [4, 4], "dilations": [1, 3], "decoder_channels": [5]}
        said = self.refused(copied(engine={"network": config, "provenance": {}}), capsys, tmp_path)
        assert "weights don't fit the network's configuration, the first being deformable_branch" in said
        assert "found (4, 10, 3, 3, 3), expected (5, 10, 3, 3, 3)" in said
        said = self.refused(copied(engine={"network": {"colour": 1}, "provenance": {}}), capsys, tmp_path)
        assert "unknown names ['colour']" in said
        assert "nothing" in self.refused(copied(state_dict={"layer.weight": torch.zeros(3)}), capsys, tmp_path)

    def test_numbers_that_no_file_of_weights_may_hold(self, capsys, tmp_path, copied, run):
        state = torch.load(run / "checkpoints" / "last.ckpt")["state_dict"]
        name = "network.linear_branch.matrix.bias"
        state[name][0] = 1e6
        said = self.refused(copied(state_dict=state), capsys, tmp_path, "--half")
        assert "NaN or infinite or beyond what 16 bits hold in linear_branch.matrix.bias" in said
        state[name][0] = torch.nan
        assert "NaN or infinite in linear_branch.matrix.bias" in self.refused(
            copied(state_dict=state), capsys, tmp_path
        )

    def test_a_place_where_nothing_can_be_written(self, capsys, run, tmp_path):
        out = tmp_path / "missing" / "out.pt"
        assert main(["--checkpoint", str(run / "checkpoints" / "last.ckpt"), "--out", str(out)]) == 3
        assert f"{out}: could not write the checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/srv/me/ct.nii.gz", "ct.nii.gz"), ("D:" + r"\data\ct.nii", "ct.nii"), ("~/data", "data"),
        ("data/ct.nii", "data/ct.nii"), ("../ct.nii", "../ct.nii"), ("torch.optim.Adam", "torch.optim.Adam"), ("", ""),
    ],
)  # fmt: skip
def test_folders_are_left_out(text, expected):
    assert name_only(text) == expected
    assert command(["train.py", f"--x={text}"]) == command(["train.py", f"--x={expected}"])


def test_folders_in_lists_of_a_command():
    assert (
        command(["train.py", "[/srv/a b/x.nii,rel/y.nii]", "--rate", "1/2"])
        == "train.py '[x.nii,rel/y.nii]' --rate 1/2"
    )


def test_a_configuration_that_is_no_text_is_left_out(tmp_path):
    (tmp_path / "config.yaml").write_bytes(b"\xff\xfe\x00")
    assert configuration(tmp_path / "config.yaml") == {} == configuration(tmp_path / "none.yaml")
