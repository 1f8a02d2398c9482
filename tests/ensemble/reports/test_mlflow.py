from tests.ensemble.conftest import ensemble_of, make_pool
from tune_paddy.core.selection.plain import fixed_select
from tune_paddy.ensemble.options import SelectionOptions
from tune_paddy.ensemble.reports.mlflow import describe_ensemble


def test_the_page_of_an_ensemble_has_its_score_its_members_and_its_command() -> None:
    """Two of three members have weight; the one with the larger weight is first."""
    pool = make_pool()
    ensemble = ensemble_of(pool, fixed_select(pool.select, pool.labels, [1, 0, 0, 0, 0, 3]))
    text = describe_ensemble(ensemble, ["night"], SelectionOptions(metric="error_rate", max_members=2))
    assert text.startswith("**Ensemble of 2 members (fixed): log loss")
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
    assert [row[:2] for row in rows] == [["| `0002-net`", "0.750"], ["| `0000-net`", "0.250"]]
    assert "\n\n    tune-paddy select night --metric error_rate --max-members 2\n" in text
