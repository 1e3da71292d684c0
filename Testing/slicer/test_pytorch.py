"""PyTorch for the worker: what stands on disk, the one question, and a message for each way to fail."""

import importlib
import importlib.metadata
import logging
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

MODULE = Path(__file__).parents[2] / "LungDeepReg"


@pytest.fixture
def pytorch(monkeypatch):
    """The file under test; Slicer's translation is stood in for."""
    i18n = ModuleType("slicer.i18n")
    i18n.tr = lambda text: text
    monkeypatch.setitem(sys.modules, "slicer.i18n", i18n)
    for name in ("pytorch", "pytorchMessages"):
        monkeypatch.setitem(sys.modules, f"LungDeepRegWidgets.{name}", None)  # so that what is loaded now goes again
        del sys.modules[f"LungDeepRegWidgets.{name}"]
    return importlib.import_module("LungDeepRegWidgets.pytorch")


def add_package(site: Path, name: str, version: str | None, *, record: bool = True, code: bool = True) -> None:
    """What pip leaves of a package, or a part of it."""
    (site / name).mkdir(parents=True)
    if code:
        (site / name / "__init__.py").write_text("raise RuntimeError('imported')")
    if version is None:
        return
    info = site / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    if record:
        (info / "RECORD").write_text(f"{name}/__init__.py,,\n")


def add_torch(site: Path, version: str | None = "2.6.0+cu128", numpy: str = "2.1.0", **parts: bool) -> None:
    torchgen = parts.pop("torchgen", True)
    add_package(site, "torch", version, **parts)
    if torchgen:
        add_package(site, "torchgen", None)
    add_package(site, "numpy", numpy)


@pytest.mark.parametrize(
    ("torch", "kind", "version"),
    [
        ({}, "INSTALLED", "2.6.0+cu128"),
        ({"version": "2.10.0"}, "INSTALLED", "2.10.0"),
        ({"version": "2.2.0", "numpy": "1.26.4"}, "INSTALLED", "2.2.0"),
        ({"version": "2.2.2", "numpy": "2.0.0"}, "NUMPY_MISMATCH", "2.2.2"),
        ({"version": "2.3.0", "numpy": "2.0.0"}, "INSTALLED", "2.3.0"),
        ({"version": "1.13.1", "numpy": "1.26.4"}, "TOO_OLD", "1.13.1"),
        ({"version": "2.1.2"}, "TOO_OLD", "2.1.2"),
        ({"code": False}, "HALF_INSTALLED", "2.6.0+cu128"),
        ({"record": False}, "HALF_INSTALLED", "2.6.0+cu128"),
        ({"torchgen": False}, "HALF_INSTALLED", "2.6.0+cu128"),
        ({"version": None, "code": False}, "HALF_INSTALLED", None),
        ({"version": None}, "HALF_INSTALLED", None),
    ],
)
def test_the_state_is_read_from_the_files(pytorch, tmp_path, torch, kind, version):
    add_torch(tmp_path, **torch)
    state = pytorch.torchState([str(tmp_path)])
    assert state == pytorch.TorchState(pytorch.TorchKind[kind], version)
    assert state.usable == (kind == "INSTALLED")


def test_metadata_without_a_version_is_half_installed(pytorch, tmp_path):
    add_torch(tmp_path)
    (tmp_path / "torch-2.6.0+cu128.dist-info" / "METADATA").unlink()
    assert pytorch.torchState([str(tmp_path)]).kind is pytorch.TorchKind.HALF_INSTALLED


def test_nothing_is_missing(pytorch, tmp_path):
    assert pytorch.torchState([str(tmp_path)]) == pytorch.TorchState(pytorch.TorchKind.MISSING)


def test_a_real_pytorch_is_recognised(pytorch):
    assert pytorch.torchState() == pytorch.TorchState(pytorch.TorchKind.INSTALLED, importlib.metadata.version("torch"))


def test_looking_for_pytorch_does_not_import_it():
    code = f"""
import sys, types
sys.path.insert(0, {str(MODULE)!r})
i18n = types.ModuleType("slicer.i18n"); i18n.tr = str
sys.modules["slicer.i18n"] = i18n
from LungDeepRegWidgets.pytorch import ensureTorch, torchState
assert torchState().usable
ensureTorch(ask=None)
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def site(monkeypatch, tmp_path):
    """A Python without PyTorch, into which packages can be put; the real one is hidden for the test."""
    outside = [folder for folder in sys.path if "site-packages" not in folder and "dist-packages" not in folder]
    monkeypatch.setattr(sys, "path", [str(tmp_path), *outside])
    add_package(tmp_path, "numpy", "2.1.0")
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    return tmp_path


class Extension:
    """The extension PyTorch, with the arguments that its versions take."""

    def __init__(self, site: Path, *, lines: str = "Successfully installed torch", install=True, fails=None) -> None:
        self.site, self.lines, self.install, self.fails = site, lines, install, fails
        self.calls: list[dict[str, object]] = []

    def PyTorchUtilsLogic(self):  # noqa: N802
        return self

    def installTorch(self, askConfirmation=False, forceComputationBackend=None, torchVersionRequirement=None):  # noqa: N802
        self.calls.append(
            {"ask": askConfirmation, "backend": forceComputationBackend, "torch": torchVersionRequirement}
        )
        for line in self.lines.splitlines():
            sys.stdout.write(f"{line}\n")
        if self.fails is not None:
            raise self.fails
        if self.install:
            add_package(self.site, "torch", "2.12.1+cpu")
            add_package(self.site, "torchgen", None)
        import torch

        return torch


class NewerExtension(Extension):
    def installTorch(  # noqa: N802
        self,
        askConfirmation=False,
        forceComputationBackend=None,
        torchVersionRequirement=None,
        torchvisionVersionRequirement=None,
    ):
        return super().installTorch(askConfirmation, forceComputationBackend, torchVersionRequirement)


def use(monkeypatch, extension) -> list[str]:
    """Make the extension importable; gives the list of the questions that are answered with yes."""
    monkeypatch.setitem(sys.modules, "PyTorchUtils", extension)
    return []


@pytest.mark.parametrize("kind", [Extension, NewerExtension])
def test_it_is_installed_after_one_question_without_being_imported(pytorch, monkeypatch, site, capsys, kind):
    extension = kind(site)
    questions = use(monkeypatch, extension)
    pytorch.ensureTorch(lambda question: questions.append(question) or True)
    assert len(questions) == 1
    assert "torchvision" in questions[0]
    assert "MB" in questions[0]
    (call,) = extension.calls
    assert call["ask"] is False
    assert call["torch"].startswith(">=2.2")
    assert "torch" not in sys.modules
    assert "Successfully installed torch" in capsys.readouterr().out
    pytorch.ensureTorch(lambda question: pytest.fail("asked again"))
    assert len(extension.calls) == 1


def test_declining_installs_nothing_and_asks_again_next_time(pytorch, monkeypatch, site):
    extension = Extension(site)
    use(monkeypatch, extension)
    for _ in range(2):
        with pytest.raises(pytorch.TorchUnavailable, match="Click again"):
            pytorch.ensureTorch(lambda question: False)
    assert not extension.calls


def test_slicers_dialog_asks_by_default(pytorch, monkeypatch, site):
    asked = []
    monkeypatch.setattr("slicer.util.confirmOkCancelDisplay", lambda text, windowTitle: asked.append(text))
    use(monkeypatch, Extension(site))
    with pytest.raises(pytorch.TorchUnavailable, match="not installed, so nothing was computed"):
        pytorch.ensureTorch()
    assert len(asked) == 1


def test_without_the_extension_the_extensions_manager_is_named(pytorch, monkeypatch, site):
    monkeypatch.setitem(sys.modules, "PyTorchUtils", None)
    with pytest.raises(pytorch.TorchUnavailable, match="Extensions Manager"):
        pytorch.ensureTorch(lambda question: pytest.fail("asked for what can't be done"))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            "ERROR: [WinError 206] The filename or extension is too long: 'C:\\\\ProgramData'",
            "install Slicer into a short",
        ),
        ("ERROR: Could not install packages: [Errno 28] No space left on device", "disk is full"),
        ("PermissionError: [WinError 5] Access is denied: 'torch_cpu.dll'", "Restart Slicer"),
        ("OSError: [Errno 30] Read-only file system: 'lib/torch'", "Restart Slicer"),
        ("Retrying: NewConnectionError: getaddrinfo failed", "server was not reached"),
        ("ERROR: No matching distribution found for torch>=2.2", "server was not reached"),
        ("ERROR: something new", "something new"),
    ],
)
def test_a_failed_installation_says_why(pytorch, monkeypatch, site, lines, message):
    failure = subprocess.CalledProcessError(1, ["PythonSlicer", "-m", "light_the_torch"])
    use(monkeypatch, Extension(site, lines=lines, fails=failure))
    with pytest.raises(pytorch.TorchUnavailable, match=message):
        pytorch.ensureTorch(lambda question: True)
    assert sys.modules.get("torch", "absent") == "absent"


def test_what_is_only_logged_is_read_as_well(pytorch, monkeypatch, site):
    class Logging(Extension):
        def installTorch(self, **arguments):  # noqa: N802
            logging.getLogger().warning("OSError: [WinError 206] The filename or extension is too long")
            raise RuntimeError

    use(monkeypatch, Logging(site))
    with pytest.raises(pytorch.TorchUnavailable, match="paths are too long"):
        pytorch.ensureTorch(lambda question: True)


def test_an_installation_that_stops_half_way_is_recognised(pytorch, monkeypatch, site):
    class Stopping(Extension):
        def installTorch(self, **arguments):  # noqa: N802
            add_package(self.site, "torch", "2.13.0", record=False)
            msg = "No module named 'torchgen'"
            raise ModuleNotFoundError(msg, name="torchgen")

    use(monkeypatch, Stopping(site))
    with pytest.raises(pytorch.TorchUnavailable, match=r"only in part.*Uninstall PyTorch"):
        pytorch.ensureTorch(lambda question: True)
    with pytest.raises(pytorch.TorchUnavailable, match="only in part"):
        pytorch.ensureTorch(lambda question: pytest.fail("would install over the remains"))


def test_nobody_installs_twice_at_the_same_time(pytorch, monkeypatch, site):
    refused = []

    class Busy(Extension):
        def installTorch(self, **arguments):  # noqa: N802
            with pytest.raises(pytorch.TorchUnavailable, match="being installed"):
                pytorch.ensureTorch(lambda question: True)  # a click while pip runs
            refused.append(True)
            return super().installTorch(**arguments)

    use(monkeypatch, Busy(site))
    pytorch.ensureTorch(lambda question: True)
    assert refused


@pytest.mark.parametrize(
    ("torch", "message"),
    [
        ({"version": "2.1.2"}, "too old .found 2.1.2, expected 2.2"),
        ({"version": "2.2.2"}, "do not fit together"),
        ({"code": False}, "only in part"),
    ],
)
def test_what_is_unusable_is_refused_without_a_question(pytorch, monkeypatch, site, torch, message):
    add_package(site, "torch", torch.get("version", "2.6.0"), code=torch.get("code", True))
    add_package(site, "torchgen", None)
    extension = Extension(site)
    use(monkeypatch, extension)
    with pytest.raises(pytorch.TorchUnavailable, match=f"{message}.*PyTorch Utils"):
        pytorch.ensureTorch(lambda question: pytest.fail("asked"))
    assert not extension.calls


def test_on_a_mac_with_an_intel_slicer_nothing_is_downloaded_in_vain(pytorch, monkeypatch, site):
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    use(monkeypatch, Extension(site))
    with pytest.raises(pytorch.TorchUnavailable, match="Intel"):
        pytorch.ensureTorch(lambda question: pytest.fail("asked"))
    add_package(site, "torch", "2.2.2")
    add_package(site, "torchgen", None)
    with pytest.raises(pytorch.TorchUnavailable, match="Intel"):
        pytorch.ensureTorch(lambda question: pytest.fail("asked"))
    assert "Intel" in pytorch.messageFor("torch", "AttributeError: _ARRAY_API not found")


def test_windows_gets_a_wheel_whose_paths_fit(pytorch, monkeypatch):
    monkeypatch.setattr("platform.system", lambda: "Windows")
    assert pytorch.torchRequirement() == ">=2.2,<2.13"
    monkeypatch.setattr("platform.system", lambda: "Linux")
    assert pytorch.torchRequirement() == ">=2.2"


@pytest.mark.parametrize(
    ("details", "message"),
    [
        ("ImportError: DLL load failed while importing _C: The specified module could not be found.", "Visual C++"),
        ('OSError: [WinError 1114] Error loading "C:\\Slicer\\torch\\lib\\c10.dll"', "Visual C++"),
        ('OSError: [WinError 1455] The paging file is too small. Error loading "C:\\torch.dll"', "paging file managed"),
        ("AttributeError: _ARRAY_API not found", "do not fit together"),
        ("ImportError: numpy.core.multiarray failed to import", "do not fit together"),
        ("libtorch_cuda.so: undefined symbol: ncclCommRegister", "different versions"),
        ("ModuleNotFoundError: No module named 'torchgen'", "only in part"),
        ("AttributeError: module 'torch' has no attribute '__version__'", "only in part"),
        ("ModuleNotFoundError: No module named 'torch'", "only in part"),
        ("OSError: libcudart.so.12: cannot open shared object file: No such file or directory", "system library"),
        ("RuntimeError: CUDA error: no kernel image is available for execution on the device", "cu128"),
        ("NVIDIA RTX 5090 with CUDA capability sm_120 is not compatible with the current PyTorch", "cu128"),
        ("The NVIDIA driver on your system is too old (found version 11040)", "Update the driver"),
    ],
)
def test_errors_of_the_worker_at_its_start_become_advice(pytorch, details, message):
    text = pytorch.messageFor("torch", details)
    assert message in text
    assert details not in text


def test_an_unknown_error_at_the_start_is_shown_as_it_is(pytorch):
    assert "cosmic ray" in pytorch.messageFor("torch", "ImportError: cosmic ray")


def test_errors_while_computing_are_only_replaced_where_the_gpu_is_to_blame(pytorch):
    lost = "exhale: found NaN, expected numbers. No space left on device"
    assert pytorch.messageFor("input", lost) == lost
    assert pytorch.messageFor("", "The worker ended") == "The worker ended"
    assert "CPU" in pytorch.messageFor("defect", "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate")
    assert "CPU" in pytorch.messageFor("defect", "no kernel image is available for execution on the device")


def test_every_message_says_what_to_do(pytorch):
    messages = pytorch.messages
    texts = [text() for table in (messages.INSTALLING, messages.STARTING, messages.COMPUTING) for _, text in table]
    texts += [messages.noExtension(), messages.declined(), messages.intelMac(), messages.tooOld("1.0")]
    verbs = ("click", "Choose", "choose", "install", "Install", "See", "Restart", "Check")
    for text in texts:
        assert any(verb in text for verb in verbs), text
        assert "{" not in text


"""For Testing/slicer/test_pytorch.py, once README has the table."""


def test_the_readme_explains_every_message(pytorch):
    readme = (MODULE.parent / "README.md").read_text(encoding="utf-8").split("Troubleshooting\n")[1]
    rows = re.findall(r"^\| ([A-Z].*?) \|", readme, re.MULTILINE)
    messages = pytorch.messages
    texts = [text() for table in (messages.INSTALLING, messages.STARTING, messages.COMPUTING) for _, text in table]
    texts += [messages.noExtension(), messages.missing(), messages.declined(), messages.installing()]
    texts += [messages.intelMac(), messages.tooOld("1.0"), messages.installFailed(""), messages.notStarted("")]
    unexplained = [text for text in texts if not any(text.startswith(row) for row in rows)]
    assert not unexplained
