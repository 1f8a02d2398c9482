"""Forecast the members of a running search: by their operations, corrected by the members that have ended."""

import math
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tune_paddy.core.config import MemberConfig

NEAREST = 3
"""Number of ended members, the closest in time, that correct a forecast."""

SAFETY = 1.15
"""Factor on the forecast of a member that is to end in time."""

LEAST_SHARE = 1 / 3
"""Smallest share of its epochs that a member keeps when it is shortened to the time that is left."""

Forecast = Callable[[MemberConfig], float | None]
"""Function that returns the seconds of a member, in the same unit for all; None: it is not known."""


@dataclass(frozen=True)
class _Ended:
    arch: str
    frozen: bool
    forecast: float
    ratio: float


def trained_seconds(metrics: Mapping[str, Any]) -> float | None:
    """Return how long a member trained and predicted, in s, without the start of its process.

    Args:
        metrics: Metrics of a finished member.

    Returns:
        None: it is not known, or the member took its features from a cache and tells nothing of its pace.
    """
    return None if metrics.get("embedded_images", 1) == 0 else spent_seconds(metrics)


def spent_seconds(metrics: Mapping[str, Any]) -> float | None:
    """Return how long a member trained and predicted, in s, whatever it found in caches; None: not known."""
    names = ("train_seconds_total", "predict_seconds")
    return sum(float(metrics.get(name, 0.0)) for name in names) or None


class MemberPaces:
    """Forecasts members, and learns from those that end.

    Args:
        forecast: Forecast by operations.
        in_seconds: Whether its unit is the second; otherwise nothing is known until a member has ended.
    """

    def __init__(self, forecast: Forecast, *, in_seconds: bool) -> None:
        self._forecast, self._in_seconds = forecast, in_seconds
        self._ended: list[_Ended] = []

    def learn(self, config: MemberConfig, seconds: float) -> None:
        """Take the duration of a finished member, in s."""
        forecast = self._forecast(config)
        if forecast is not None and seconds > 0:
            self._ended.append(_Ended(config.arch, config.frozen, forecast, seconds / forecast))

    def seconds(self, config: MemberConfig) -> float | None:
        """Return the expected duration of a member in s; None: it is not known yet."""
        forecast = self._forecast(config)
        if forecast is None:
            return None
        near = self._near(config, forecast)
        if near:
            return forecast * statistics.median(near)
        return forecast if self._in_seconds else None

    def _near(self, config: MemberConfig, forecast: float) -> list[float]:
        """Return measured over forecast seconds of the ended members that are most like a member."""
        alike = [one for one in self._ended if one.frozen == config.frozen]
        if not alike and not self._in_seconds:
            alike = self._ended
        alike = [one for one in alike if one.arch == config.arch] or alike
        nearest = sorted(alike, key=lambda one: abs(math.log(one.forecast / forecast)))
        return [one.ratio for one in nearest[:NEAREST]]

    def fitted(self, config: MemberConfig, left: float, done: float | None = None) -> MemberConfig | None:
        """Return a member that is expected to end in time: itself, or with fewer epochs; None: it cannot.

        Args:
            config: Configuration of the member.
            left: Time that is left, in s.
            done: Share of its epochs that an earlier session trained; its schedule then stays as it is. None:
                it is new.
        """
        if left == math.inf or self._ends_in(config, left, 1 - (done or 0.0)):
            return config
        if config.frozen or done is not None:
            return None
        least = max(1, math.ceil(LEAST_SHARE * config.epochs), config.calm_epochs)
        shorter = (_with_epochs(config, epochs) for epochs in range(config.epochs - 1, least - 1, -1))
        return next((one for one in shorter if self._ends_in(one, left)), None)

    def _ends_in(self, config: MemberConfig, left: float, share: float = 1.0) -> bool:
        """Return whether a member ends in time, as far as is known; nothing ends in no time."""
        seconds = self.seconds(config)
        return left > 0 and (seconds is None or SAFETY * share * seconds <= left)


def _with_epochs(config: MemberConfig, epochs: int) -> MemberConfig:
    values: dict[str, Any] = {**config.model_dump(), "epochs": epochs}
    return MemberConfig(**values)
