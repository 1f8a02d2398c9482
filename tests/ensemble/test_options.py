"""Options of a selection."""

import math
from typing import Any

import pytest

from tune_paddy.core.errors import InputError
from tune_paddy.ensemble.options import SelectionOptions


@pytest.mark.parametrize("name", ["max_members", "max_minutes", "max_size", "speed_factor", "seed"])
@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_numbers_that_are_not_finite_are_refused_in_one_line(name: str, value: float) -> None:
    options: dict[str, Any] = {name: value}
    with pytest.raises(InputError, match=f"^{name} {value}: give a finite number$"):
        SelectionOptions(**options)
