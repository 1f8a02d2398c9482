"""Expect what further time brings a search: its ensemble's log loss later, from the curve so far.

The loss is taken to fall by a share in each doubling of the time, and by a smaller share in each further one.
The curve's last doublings give the present share, shrunk towards that of earlier searches.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

LEAST_POINTS = 4
"""Number of finished members before which nothing is expected: two or three are no curve."""

FLAT = 0.01
"""Relative gain below which further time does not pay."""

_NORMAL_90 = 1.2816
"""90th percentile of the standard normal distribution: ends of an 80 % interval."""

_LEAST_LOSS = 1e-9
"""Log loss in nats that stands for smaller ones, whose logarithm has no meaning."""

Point = tuple[float, float]
"""Time of a search in s, and the log loss of the ensemble of the members that had finished by then."""


@dataclass(frozen=True)
class GainModel:
    """Constants of the expectation; `benchmarks/search_efficiency/quote.py` measures what they are worth.

    A rate is the decrease of the loss's logarithm in a doubling of the time.

    Attributes:
        window: Number of the curve's last doublings that the present rate is taken from.
        prior_rate: Present rate of a curve of which nothing is known.
        prior_doublings: Weight of that rate, in observed doublings.
        decay: Rate of a doubling over that of the one before.
        relative: Standard deviation of the decrease, as a share of the expected one.
        absolute: Standard deviation of the decrease in a first further doubling where none is expected.
    """

    window: float = 2.0
    prior_rate: float = 0.05
    prior_doublings: float = 0.2
    decay: float = 0.7
    relative: float = 1.0
    absolute: float = 0.003

    def spread(self, doublings: float) -> float:
        """Return the decrease in a number of doublings, over the present rate; negative ones lie behind."""
        slope = -math.log(self.decay)
        return (1 - self.decay**doublings) / slope if slope else doublings

    def rate(self, points: Sequence[Point]) -> float:
        """Return the present rate of a curve, see `expect`."""
        last = points[-1][0]
        start = max(points[0][0], last / 2**self.window)
        seen = math.log2(last / start)
        before = min(loss for seconds, loss in points if seconds <= start)
        fallen = math.log(_floored(before) / _floored(min(loss for _, loss in points)))
        known = fallen / -self.spread(-seen) if seen else 0.0
        weight = seen / (seen + self.prior_doublings)
        return weight * known + (1 - weight) * self.prior_rate


MODEL = GainModel()
"""Constants that searches use."""


@dataclass(frozen=True)
class Expected:
    """Expected log loss of a search's ensemble at a time.

    Attributes:
        seconds: Time of the search in s.
        now: Log loss of the last point in nats.
        loss: Expected log loss in nats.
        low: Lower, favourable end of the 80 % interval.
        high: Upper end, `now` at most: members that do not help get no weight.
    """

    seconds: float
    now: float
    loss: float
    low: float
    high: float

    @property
    def is_flat(self) -> bool:
        """Whether the gain is `FLAT` at most, even at the interval's favourable end; a loss of 0 is flat."""
        return self.low >= (1 - FLAT) * self.now


def expect(points: Sequence[Point], seconds: float, model: GainModel = MODEL) -> Expected | None:
    """Return the expected log loss of a search's ensemble at a time after its last point.

    Args:
        points: A point for each finished member, by increasing time; times are above 0. The loss may rise.
        seconds: Time of the search in s; one before the last point counts as that.
        model: Constants.

    Returns:
        None: fewer than `LEAST_POINTS` points, or no time has passed.

    >>> falling = [(2.0**n, 0.8 * 0.9**n) for n in range(6)]
    >>> later = expect(falling, 64.0)
    >>> f"{later.now:.3f}: {later.loss:.3f} ({later.low:.3f} to {later.high:.3f})"
    '0.472: 0.445 (0.413 to 0.472)'
    """
    if len(points) < LEAST_POINTS or points[-1][0] <= 0:
        return None
    now, further = points[-1][1], math.log2(max(seconds / points[-1][0], 1.0))
    spread = model.spread(further)
    gain = model.rate(points) * spread
    error = _NORMAL_90 * math.hypot(model.relative * gain, model.absolute * spread)
    loss, low, high = (now * math.exp(-each) for each in (gain, gain + error, max(gain - error, 0.0)))
    return Expected(seconds, now, loss, low, high)


def horizon(end: float | None, last: float) -> float:
    """Return the time up to which a gain must show, in s.

    Shortly before the end of a search, hardly any gain is left within it: it must be flat for as long again.

    Args:
        end: Time at which the search ends; None: no limit.
        last: Time of the curve's last point.
    """
    return max(2 * last, end or 0.0)


def _floored(loss: float) -> float:
    return max(loss, _LEAST_LOSS)
