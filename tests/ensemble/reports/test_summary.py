import io
import re
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from tests.ensemble.conftest import ensemble_of, first_view, make_pool
from tune_paddy.core.estimate import Comparison
from tune_paddy.core.metrics import METRICS, error_rate, log_loss
from tune_paddy.core.predictions import Pool, Refusal
from tune_paddy.core.selection.auto import auto_select
from tune_paddy.core.selection.methods import METHODS
from tune_paddy.core.selection.plain import fixed_select, greedy_select
from tune_paddy.core.views import TTA
from tune_paddy.data.system.text import percent
from tune_paddy.ensemble.ensemble import Ensemble
from tune_paddy.ensemble.reports.summary import MOST_MEMBERS, headline, print_summary


def printed(ensemble: Ensemble, width: int = 80, searches: tuple[str, ...] = ("night",)) -> str:
    """Return the short report as printed in a terminal of some width."""
    console = Console(file=io.StringIO(), width=width)
    print_summary(console, ensemble, searches)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def rows(text: str) -> list[list[str]]:
    """Return the cells of the table without its head; the ensemble is last."""
    lines = [line for line in text.splitlines() if re.match(r"(\d{4}-|ensemble).*  ", line)]
    return [re.split(r"  +", line.strip()) for line in lines]


def renamed(pool: Pool, tail: str) -> Pool:
    """Return the pool with longer names of its members."""
    return replace(pool, views=tuple(replace(view, member=view.member + tail) for view in pool.views))


def test_a_member_has_one_row_with_its_views_side_by_side_the_largest_weight_first() -> None:
    """The weight is the sum over the views; the scores are those of the views on the select split."""
    pool = make_pool()
    found = rows(printed(ensemble_of(pool, fixed_select(pool.select, pool.labels, [1, 1, 0, 0, 0, 6]))))
    losses = [f"{log_loss(probs, pool.labels):.4f}" for probs in pool.select]
    errors = [percent(error_rate(probs, pool.labels)) for probs in pool.select]
    assert found[:3] == [
        ["0002-net", losses[4], losses[5], errors[4], "0.750"],
        ["0000-net", losses[0], losses[1], errors[0], "0.250"],
        ["0001-net", losses[2], losses[3], errors[2]],
    ]


@pytest.mark.parametrize("metric", ["log_loss", "macro_f1"])
def test_the_last_row_is_the_ensemble_on_images_it_was_not_selected_on(metric: str) -> None:
    pool = make_pool()
    ensemble = ensemble_of(pool, greedy_select(pool.select, pool.labels, metric=metric))
    assert ensemble.assessment
    known = ensemble.assessment.predictions
    error = percent(error_rate(known, pool.labels))
    loss = f"{log_loss(known, pool.labels):.4f}"
    assert rows(printed(ensemble))[-1] == ["ensemble on new images", loss, error]


def test_without_tta_views_there_is_no_column_for_them() -> None:
    pool = make_pool()
    plain = [number for number, view in enumerate(pool.views) if view.kind != TTA]
    without = replace(
        pool,
        views=tuple(pool.views[number] for number in plain),
        select=pool.select[plain],
        test=pool.test[plain],
    )
    assert "with TTA" in printed(ensemble_of(pool, greedy_select(pool.select, pool.labels)))
    assert "TTA" not in printed(ensemble_of(without, greedy_select(without.select, without.labels)))


@pytest.mark.parametrize(
    ("searches", "weights", "line"),
    [
        (("night",), [1] + [0] * 39, "and 12 more without weight; tune-paddy show night shows them"),
        (("night",), [1] * 40, "and 12 more; tune-paddy show night shows them"),
        (("night", "day"), [1] + [0] * 39, "and 12 more without weight; --verbose shows them"),
        (("my night",), [1] * 40, "and 12 more; tune-paddy show 'my night' shows them"),
    ],
)
def test_at_most_8_members_are_shown(searches: tuple[str, ...], weights: list[int], line: str) -> None:
    pool = make_pool(members=20)
    text = printed(ensemble_of(pool, fixed_select(pool.select, pool.labels, weights)), 80, searches)
    assert len(rows(text)) == MOST_MEMBERS + 1
    assert f"\n{line}\n" in text


def test_names_of_35_characters_fit_into_a_line_of_80_columns() -> None:
    pool = renamed(make_pool(), "-efficientnet_small.r160_48")
    assert {len(view.member) for view in pool.views} == {35}
    text = printed(ensemble_of(pool, greedy_select(pool.select, pool.labels)))
    assert max(map(len, text.splitlines())) <= 80
    assert [len(row[0]) for row in rows(text)] == [35, 35, 35, len("ensemble on new images")]


@pytest.fixture(scope="module", params=[True, False], ids=["judged", "not judged"])
def crowd(request: pytest.FixtureRequest) -> Ensemble:
    """An ensemble of 99 members, with and without an estimate."""
    pool = make_pool(members=99, images=12)
    selection = fixed_select(pool.select, pool.labels, np.ones(198))
    return ensemble_of(pool, selection, assessed=request.param)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("method", METHODS)
def test_no_sentence_is_longer_than_a_line(metric: str, method: str, crowd: Ensemble) -> None:
    """With the longest names of methods and metrics."""
    named = replace(crowd, selection=replace(crowd.selection, metric=metric, method=method))
    assert max(map(len, headline(named))) <= 80


def test_a_refused_member_is_printed_with_its_reason() -> None:
    pool = replace(make_pool(), refused=(Refusal("0009-net", "select split b differs from the pool's a"),))
    text = printed(ensemble_of(pool, greedy_select(pool.select, pool.labels)))
    assert "\nrefused: 0009-net: select split b differs from the pool's a\n" in text


def test_the_verdict_comes_first() -> None:
    """One line each: members and cross-fitted score, its interval, and the comparison with each rival."""
    pool = make_pool()
    ensemble = ensemble_of(pool, fixed_select(pool.select, pool.labels, [0, 0, 0, 1, 1, 1]))
    first, second, third, fourth = printed(ensemble).splitlines()[:4]
    assert ensemble.assessment
    honest, (_, uniform) = ensemble.assessment.estimate, ensemble.assessment.comparisons
    assert first == f"Ensemble of 2 members (fixed): log loss {honest.score:.4f} on new images."
    assert second == f"95 % interval: {honest.low:.4f} to {honest.high:.4f}."
    assert third == "It does not differ significantly from the best single member."
    assert fourth == f"It beats the uniform average by {-uniform.difference:.4f}."


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (-0.3, -0.1, "It beats the uniform average by 0.2000."),
        (-0.3, 0.1, "It does not differ significantly from the uniform average."),
        (0.1, 0.3, "It is worse than the uniform average by 0.2000."),
    ],
)
def test_a_rival_is_beaten_only_if_the_interval_excludes_0(low: float, high: float, words: str) -> None:
    pool = make_pool()
    ensemble = ensemble_of(pool, greedy_select(pool.select, pool.labels))
    assert ensemble.assessment
    difference = -0.2 if high < 0 else 0.2
    only = Comparison("uniform", 0.5, difference, low, high, 0.5)
    changed = replace(ensemble, assessment=replace(ensemble.assessment, comparisons=(only,)))
    assert words in printed(changed).splitlines()


def test_without_an_estimate_the_reason_is_printed() -> None:
    pool = make_pool()
    text = printed(ensemble_of(pool, greedy_select(pool.select, pool.labels), assessed=False))
    assert "\nNo honest estimate can be made: the select split has a single group of images.\n" in text
    assert "optimistic.\n" in text
    assert "\nensemble (optimistic) " in text
    assert "new images" not in text


def test_one_member_is_reported_as_such() -> None:
    pool = first_view(make_pool())
    text = printed(ensemble_of(pool, auto_select(pool.select, pool.labels)))
    assert "Ensemble of 1 member (uniform)" in text
    assert "does not differ" not in text


def test_a_loss_is_not_printed_under_the_name_of_a_score() -> None:
    pool = make_pool()
    text = printed(ensemble_of(pool, fixed_select(pool.select, pool.labels, np.ones(6), metric="macro_f1")))
    assert "Ensemble of 3 members (fixed): 1 − macro F1 0." in text
    assert "macro f1" not in text


def test_an_error_rate_is_printed_in_percent_and_its_differences_in_points() -> None:
    pool = make_pool()
    ensemble = ensemble_of(pool, greedy_select(pool.select, pool.labels, metric="error_rate"))
    assert ensemble.assessment
    rival = Comparison("uniform", 0.5, -0.0403, -0.07, -0.01, 0.99)
    lines = headline(replace(ensemble, assessment=replace(ensemble.assessment, comparisons=(rival,))))
    assert f"error rate {percent(ensemble.assessment.estimate.score)} on new images." in lines[0]
    assert " % to " in lines[1]
    assert lines[2] == "It beats the uniform average by 4.03 percentage points."


@pytest.mark.parametrize(
    ("contributions", "words"),
    [
        ({0: 0.1, 1: 0.2, 2: 0.3}, None),
        ({0: 0.1, 1: -0.00001, 2: 0.3}, None),
        (
            {0: 0.1, 1: -0.0012, 2: 0.3},
            ("0001-net has weight; without it, the log loss is 0.0012 lower."),
        ),
        (
            {0: -0.1, 1: -0.0012, 2: 0.3},
            ("0000-net has weight; without it, the log loss is 0.1000 lower."),
        ),
    ],
)
def test_a_weight_that_looks_harmful_is_explained(contributions: dict[int, float], words: str | None) -> None:
    """A difference that rounds to 0 looks like none."""
    pool = make_pool()
    ensemble = ensemble_of(pool, fixed_select(pool.select, pool.labels, np.ones(6)))
    text = printed(replace(ensemble, contributions=contributions), 200)
    assert ("has weight; without it" in text) == (words is not None)
    assert (words or "") in text


def test_the_end_has_at_most_15_lines_after_the_verdict() -> None:
    """With 99 members of weight, a harmful one and many refusals."""
    pool = make_pool(members=99, images=12)
    refused = tuple(Refusal(f"{number:04d}-net", "another split") for number in range(20))
    ensemble = ensemble_of(pool, fixed_select(pool.select, pool.labels, np.ones(198)))
    changed = replace(ensemble, pool=replace(pool, refused=()), contributions={0: -0.1})
    lines = printed(changed, 200).splitlines()
    assert len(lines) - len(headline(changed)) - 1 <= 15
    more = printed(replace(changed, pool=replace(pool, refused=refused)), 200)
    assert more.count("refused: ") == 3
    assert "and 17 more refused" in more
