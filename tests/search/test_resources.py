import pytest

from tune_paddy.core.config import SearchSettings
from tune_paddy.core.errors import InputError
from tune_paddy.search.resources import check_machines, check_resources, idle_gpus_note


@pytest.mark.parametrize(
    ("settings", "available", "expected"),
    [
        ({"cpus": 1}, {"CPU": 2}, 2),
        ({"cpus": 2, "gpu": 0.25}, {"CPU": 16, "GPU": 1}, 4),
        ({"cpus": 8, "gpu": 0.25}, {"CPU": 16, "GPU": 1}, 2),
        ({"cpus": 1, "gpu": 0.6}, {"CPU": 16, "GPU": 2}, 2),
        ({"cpus": 1, "gpu": 1}, {"CPU": 16, "GPU": 5}, 5),
        ({"cpus": 1, "concurrency": 3}, {"CPU": 8}, 3),
        ({"cpus": 1, "concurrency": 30}, {"CPU": 8}, 8),
    ],
)
def test_as_many_trials_run_at_once_as_fit(
    settings: dict[str, float], available: dict[str, float], expected: int
) -> None:
    assert check_resources(SearchSettings(**settings), available) == expected


@pytest.mark.parametrize(
    ("settings", "available", "words"),
    [
        ({"gpu": 0.5}, {"CPU": 2}, "of 0 in total; use `gpu=0`"),
        ({"gpu": 1}, {"CPU": 2}, "asks for 1 GPU, of 0 in total"),
        ({"cpus": 4}, {"CPU": 2}, "asks for 4 CPUs, of 2 in total"),
    ],
)
def test_a_trial_that_would_wait_for_ever_is_refused(
    settings: dict[str, float], available: dict[str, float], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        check_resources(SearchSettings(**settings), available)


def test_a_trial_never_spans_two_machines() -> None:
    machines: list[dict[str, float]] = [{"CPU": 3.0}, {"CPU": 3.0, "GPU": 1.0}, {"CPU": 1.0}]
    assert check_machines(SearchSettings(cpus=2), machines) == 2
    assert check_machines(SearchSettings(cpus=1, concurrency=5), machines) == 5
    assert check_machines(SearchSettings(cpus=1, gpu=0.5), machines) == 2
    with pytest.raises(InputError, match="a trial asks for 4 CPUs, of 3 in total"):
        check_machines(SearchSettings(cpus=4), machines)


@pytest.mark.parametrize(
    ("settings", "available", "expected"),
    [
        (SearchSettings(), {"CPU": 2, "GPU": 2}, "No trial uses the available GPUs (2); set `gpu: auto"),
        (SearchSettings().override({"trials": 3}), {"CPU": 2, "GPU": 1}, "uses the available GPUs (1)"),
        (SearchSettings(gpu=0), {"CPU": 2, "GPU": 2}, None),
        (SearchSettings().override({"gpu": "auto"}), {"CPU": 2, "GPU": 2}, None),
        (SearchSettings(), {"CPU": 2}, None),
    ],
)
def test_idle_gpus_are_reported_unless_gpu_is_set_explicitly(
    settings: SearchSettings, available: dict[str, float], expected: str | None
) -> None:
    note = idle_gpus_note(settings, available)
    assert note is None if expected is None else expected in (note or "")
