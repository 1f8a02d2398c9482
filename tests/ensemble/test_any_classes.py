import csv
from dataclasses import replace

import numpy as np
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.ensemble.conftest import make_pool, recorded
from tune_paddy.core.selection.auto import LEAST_IMAGES
from tune_paddy.ensemble.build import write_checked_submission
from tune_paddy.ensemble.ensemble import Ensemble
from tune_paddy.ensemble.fit import assess_fit, make_fit
from tune_paddy.ensemble.frontier import find_frontier
from tune_paddy.ensemble.options import SelectionOptions
from tune_paddy.ensemble.reports.caveats import caveats
from tune_paddy.ensemble.reports.summary import headline


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(counts=[1, 0], members=1, limit=None)  # nothing can be estimated
@given(
    counts=st.lists(st.integers(0, 9), min_size=2, max_size=5).filter(any),
    members=st.integers(1, 3),
    limit=st.sampled_from([None, 1]),
)
def test_any_class_counts_and_members_end_with_a_submission(tmp_path, counts, members, limit):
    """Every test image is in it, and classes that cannot be judged are named."""
    labels = np.repeat(np.arange(len(counts)), counts)
    pool = make_pool(members, len(counts), images=60)
    rows = np.array([np.flatnonzero(pool.labels == label)[place] for label, place in _places(labels)])
    pool = replace(
        pool, select=pool.select[:, rows], labels=pool.labels[rows], select_ids=pool.select_ids[rows]
    )
    options = SelectionOptions(max_members=limit)
    fit = make_fit(pool, options)
    selection = fit(pool.select, pool.labels)
    assert selection.weights.min() >= 0
    assert abs(selection.weights.sum() - 1) < 1e-9
    assessment = assess_fit(pool, fit, options)
    assert (assessment is None) == (len(labels) < LEAST_IMAGES)
    frontier = find_frontier(pool, selection, options)
    ensemble = Ensemble(pool, selection, assessment, {}, {}, frontier, tmp_path)
    write_checked_submission(ensemble, tmp_path / "submission.csv", recorded("night", "search"))
    with (tmp_path / "submission.csv").open() as file:
        written = list(csv.reader(file))[1:]
    assert [name for name, _ in written] == pool.test_ids.tolist()
    assert {label for _, label in written} <= set(pool.classes)
    assert headline(ensemble)
    told = " ".join(line for line in caveats(pool) if "judged" in line)
    assert all((f"class {label}" in told) == (count <= 2) for label, count in enumerate(counts))


def _places(labels):
    """Each label with its number among the equal ones."""
    return [(label, int((labels[:row] == label).sum())) for row, label in enumerate(labels)]
