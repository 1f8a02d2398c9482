"""torch.compile for members with `compile: true`.

The network is compiled in place: its parameters keep their names, so checkpoints and saved members do not
depend on compilation. The compiler chooses what a network saves for its backward pass. The forecast
ignores that, and calibration leaves compiled members out.
"""

import torch
from torch import nn

BACKEND = "inductor"


def compile_model(model: nn.Module, threads: int) -> None:
    """Mark a network for compilation at its first run and at each new input shape or mode.

    Args:
        model: Network, changed in place.
        threads: Number of kernels to compile at once.
    """
    import torch._inductor.config as inductor  # noqa: PLC0415 the import takes seconds

    inductor.compile_threads = threads
    model.compile(backend=BACKEND)


def forget_compiled() -> None:
    """Discard compiled code, and with it the references to its networks."""
    torch.compiler.reset()


def is_compiler_failure(error: BaseException) -> bool:
    """Return whether an error came from the compiler, for example for lack of a C++ compiler."""
    from torch._dynamo.exc import TorchDynamoException  # noqa: PLC0415 the import takes seconds

    return isinstance(error, TorchDynamoException)
