"""Scores of one member's predictions, per epoch and per view."""

from collections.abc import Sequence

from tune_paddy.core.metrics import calibrated_log_loss, error_rate, get_metric, log_loss, metric_key
from tune_paddy.core.tasks.arrays import Floats, Labels


def member_scores(probs: Floats, labels: Labels, further: Sequence[str] = ()) -> dict[str, float]:
    """Return the losses of predictions by the name under which they are recorded.

    Args:
        probs: Probabilities [images, classes].
        labels: Labels of the images.
        further: Names of metrics beside the log loss, calibrated or not, and the error rate.
    """
    calibrated, temperature = calibrated_log_loss(probs, labels)
    scores = {
        "log_loss": log_loss(probs, labels),
        "calibrated_log_loss": calibrated,
        "temperature": temperature,
        "error_rate": error_rate(probs, labels),
    }
    more = {metric_key(name): name for name in further if metric_key(name) not in scores}
    return scores | {key: get_metric(name)(probs, labels) for key, name in more.items()}
