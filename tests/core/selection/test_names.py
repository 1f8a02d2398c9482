from tune_paddy.core.metrics import METRICS
from tune_paddy.core.selection.methods import METHODS
from tune_paddy.core.selection.names import METHOD_NAMES, METRIC_NAMES


def test_the_names_are_those_of_the_methods_and_metrics() -> None:
    assert tuple(METHODS) == METHOD_NAMES
    assert tuple(METRICS) == METRIC_NAMES
