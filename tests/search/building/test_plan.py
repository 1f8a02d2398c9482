"""The space of a search, from its images, this machine and its time."""

from pathlib import Path

import pytest

from tune_paddy.core.errors import InputError
from tune_paddy.data.dataset import Dataset
from tune_paddy.search.building.plan import plan_space_here


def test_a_time_that_the_start_alone_has_used_up_is_refused_before_anything_is_timed(
    small_digits: Path,
) -> None:
    dataset = Dataset.open(small_digits)
    with pytest.raises(
        InputError, match=r"^`minutes=3`: the start alone has taken 4\.0 min .*; give `minutes=40`"
    ):
        plan_space_here(dataset, {"minutes": 3}, started=0.0, imports=1.0, clock=lambda: 240.0)
