"""Train one member; retry with a smaller micro-batch when out of memory."""

from dataclasses import replace

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.errors import InfeasibleError, InputError
from tune_paddy.data.member_data import Parts
from tune_paddy.training.accumulation import micro_batch
from tune_paddy.training.attempt import Attempt, most_accum
from tune_paddy.training.devices import use_threads
from tune_paddy.training.networks.compilation import forget_compiled, is_compiler_failure
from tune_paddy.training.oom import is_out_of_memory, release_memory
from tune_paddy.training.results import MemberResult, Report
from tune_paddy.training.runtime import Runtime


def train_member(
    config: MemberConfig,
    parts: Parts,
    runtime: Runtime,
    *,
    report: Report = lambda report: None,
) -> MemberResult:
    """Train a member and predict with it; resume from its newest checkpoint if there is one.

    After an out-of-memory error, halve the micro-batch and resume from the last epoch's checkpoint.
    The optimizer's steps stay the same.

    Args:
        config: Configuration of the member; an integer `accum` overrides the runtime's.
        parts: Training images, select split and test set.
        runtime: Folder, threads and device.
        report: Callback after each epoch; an exception from it stops the training, which can be resumed.

    Raises:
        InputError: The architecture, size, precision or pretrained weights are unknown or unavailable.
        InfeasibleError: The member does not fit with a micro-batch of one image, or at the largest `accum`.
        DivergedError: Losses, parameters or predictions are not finite, see `overflow`.
    """
    runtime.folder.mkdir(parents=True, exist_ok=True)
    use_threads(runtime.cpus)
    accum = config.accum if isinstance(config.accum, int) else runtime.accum
    ooms = 0
    while True:
        try:
            result = Attempt(config, parts, replace(runtime, accum=accum), report).run()
        except Exception as error:
            if config.compile and not is_out_of_memory(error) and is_compiler_failure(error):
                raise InputError(_not_compiled(config, error)) from error
            if not is_out_of_memory(error):
                raise
            if accum >= most_accum(config, runtime):
                raise InfeasibleError(_too_large(config, accum, error)) from error
        else:
            return replace(result, accum=accum, ooms=ooms)
        finally:
            if config.compile:
                forget_compiled()
        release_memory()
        ooms += 1
        accum = min(2 * accum, most_accum(config, runtime))


def _not_compiled(config: MemberConfig, error: Exception) -> str:
    reason = next(line for line in str(error).splitlines() if line.strip())[:200]
    return f"{config.arch} cannot be compiled on this machine: {reason}; set compile: false"


def _too_large(config: MemberConfig, accum: int, error: Exception) -> str:
    reason = (str(error) or type(error).__name__).splitlines()[0][:200]
    images = micro_batch(config.batch_size, accum)
    at_once = "one image at a time" if images == 1 else f"{images} images at a time, the largest allowed"
    return (
        f"{config.arch} at {config.size[0]}x{config.size[1]} px does not fit even with accum {accum}, "
        f"{at_once}: {reason}"
    )
