"""What this room can refuse or fail at, as a small tree. Only the gateway turns these into HTTP statuses."""


class ModelsError(Exception):
    """Base of every error this room raises. ``code`` names it for programs, in the error of a failed job."""

    code = "generation_failed"


class InvalidRequestError(ModelsError):
    """A request asks for something the model cannot make. ``field`` is the name the client wrote."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class UnknownModelError(ModelsError):
    """The catalog has no task of this name."""

    def __init__(self, task: str) -> None:
        super().__init__(f"There is no task {task!r}. `/models` lists those there are.")
        self.task = task


class LoraCatalogError(ModelsError):
    """The server's catalog of LoRA adapters cannot be read."""


class ModelNotInstalledError(ModelsError):
    """The task is known, but its weights are not in the models directory."""

    def __init__(self, task: str) -> None:
        super().__init__(
            f"The model {task} is not installed. Install it with: "
            f"python scripts/download_wan_models.py --model {task}"
        )
        self.task = task


class PipelineUnavailableError(ModelsError):
    """The task is in the catalog, but this version has no pipeline that runs it."""

    def __init__(self, task: str) -> None:
        super().__init__(f"This version cannot run {task} yet.")
        self.task = task


class GenerationError(ModelsError):
    """The pipeline broke while it was making a video."""


class UnusableInputError(GenerationError):
    """A file that came with the request cannot be used for it. ``name`` is the input's, such as ``image``."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name


class DeviceMemoryError(GenerationError):
    """The device has too little memory. With a plan that needs less, it may have enough."""

    code = "out_of_memory"


class DeviceFaultError(GenerationError):
    """The device failed, and nothing that this process asks of it will work any more."""

    code = "device_fault"


class EngineUnavailableError(GenerationError):
    """The server that makes the videos of a task cannot be reached, or lost this one. It may work later."""

    code = "engine_unavailable"


class GenerationStoppedError(ModelsError):
    """Raised by an ``on_step`` callback to stop the run; the pipeline stays usable."""

    goes_on = False
    """Whether another attempt will go on with the run."""
