"""Stands in for ``PyTorchUtils`` of the extension PyTorch: records what it was asked for and answers as a test says."""

from types import ModuleType


class PyTorch:
    """The user's PyTorch. ``installed``: as found; ``installable``: what an installation gives, None if declined."""

    def __init__(self) -> None:
        self.installed: object | None = None
        self.installable: object | None = None
        self.failure: Exception | None = None
        self.requests: list[dict[str, object]] = []


def make_module(state: PyTorch) -> ModuleType:
    """The module ``PyTorchUtils``."""

    class PyTorchUtilsLogic:
        """The real one's methods, with its names of parameters."""

        @property
        def torch(self):
            return state.installed or self.installTorch()

        @staticmethod
        def torchInstalled():
            return state.installed is not None

        def installTorch(
            self,
            askConfirmation=False,
            forceComputationBackend=None,
            torchVersionRequirement=None,
            torchvisionVersionRequirement=None,
        ):
            asked = {key: value for key, value in locals().items() if key not in ("self", "state")}
            state.requests.append(asked)
            if state.failure:
                raise state.failure
            state.installed = state.installable
            return state.installed

    module = ModuleType("PyTorchUtils")
    module.PyTorchUtilsLogic = PyTorchUtilsLogic
    return module
