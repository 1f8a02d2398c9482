"""The moving average of a network's parameters and buffers over the steps of its training.

Source: Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992.
"""

from collections.abc import Mapping

from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn

from tune_paddy.training.saved.checkpoint import Averaged


class Average:
    """Exponential moving average with timm's warm-up: after t steps it reaches back about t^(2/3) steps.

    The decay is 1 - t^(-2/3) until it reaches the given one, so that an average over 30 steps is of
    use too. A step that the loss scaler skips counts the unchanged parameters once more: whether it was
    skipped is known on the device alone, and asking would wait for it.

    Args:
        model: Network, on its device, before the first step.
        decay: Largest decay, above 0 and below 1.
        restored: State of the average in a checkpoint; None: the training begins.

    Attributes:
        steps: Number of optimizer steps so far.
    """

    def __init__(self, model: nn.Sequential, decay: float, restored: Averaged | None = None) -> None:
        self._average = ModelEmaV3(model, decay=decay, use_warmup=True)
        self.steps = 0
        if restored is not None:
            self.load(restored.state)
            self.steps = restored.steps

    @property
    def model(self) -> nn.Sequential:
        """The averaged network, in evaluation mode."""
        network: nn.Sequential = self._average.module
        return network

    @property
    def averaged(self) -> Averaged:
        """What a checkpoint stores."""
        return Averaged(self.steps, self.model.state_dict())

    def update(self, model: nn.Module) -> None:
        """Count the parameters and buffers of a network after an optimizer step."""
        self.steps += 1
        self._average.update(model, step=self.steps)

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Replace the averaged parameters and buffers."""
        self.model.load_state_dict(dict(state))
