"""torch.compile for members that ask for it.

The network is compiled in place: its weights keep their names, so checkpoints and saved members are the
same as without. What a compiled network keeps for its backward pass is chosen by the compiler, so its
memory is forecast as if it were not compiled, and its measurements calibrate nothing.
"""

import torch
from torch import nn

BACKEND = "inductor"


def compile_model(model: nn.Module, threads: int) -> None:
    """Let a network be compiled when it first runs, and again for what it has not seen yet.

    Args:
        model: Changed in place.
        threads: How many kernels are compiled at once.
    """
    import torch._inductor.config as inductor  # noqa: PLC0415 seconds, for those who compile

    inductor.compile_threads = threads
    model.compile(backend=BACKEND)


def forget_compiled() -> None:
    """Let go of compiled code, and of the networks that it holds on to."""
    torch.compiler.reset()


def is_compiler_failure(error: BaseException) -> bool:
    """Whether an error came from the compiler, such as where there is no C++ compiler to call."""
    from torch._dynamo.exc import TorchDynamoException  # noqa: PLC0415 seconds, for those who compile

    return isinstance(error, TorchDynamoException)
