import numpy as np
import pytest

from tests.ensemble.conftest import recorded
from tune_paddy.ensemble.reports.page.parameters import LEAST, MOST, draw_parameters, find_effects
from tune_paddy.ensemble.reports.page.themed import svg


def members_of(n: int, *, effect: float = 1.0):
    """Return members whose loss depends on the learning rate, best in the middle, and on nothing else."""
    rng = np.random.default_rng(1)
    rates = 10 ** rng.uniform(-4, -2, n)
    losses = effect * (np.log10(rates) + 3) ** 2 + rng.normal(0, 0.01, n)
    return [
        recorded(
            f"{k:04d}",
            metrics={"objective": float(losses[k])},
            params={
                "lr": str(rates[k]), "arch": "ab"[rng.integers(2)], "size": str([32, 32]),
                "seed": str(k), "mixup": str(rng.uniform()),
            },
        )
        for k in range(n)
    ]  # fmt: skip


def test_too_few_members_have_no_figure_of_parameters() -> None:
    assert find_effects(members_of(LEAST - 1)) == (0, [])
    unfinished = [recorded(f"x{k}", outcome="failed", metrics={"objective": 1.0}) for k in range(9)]
    assert find_effects(members_of(LEAST - 1) + unfinished) == (0, [])


def test_the_clearest_effect_is_first_and_constant_parameters_and_seeds_are_left_out() -> None:
    compared, effects = find_effects(members_of(60))
    assert compared == 3
    assert effects[0].name == "lr"
    assert {effect.name for effect in effects} == {"lr", "arch", "mixup"}


def test_the_title_claims_an_effect_only_if_chance_would_rarely_give_it() -> None:
    """The best learning rate is in the middle, so the ranks of rates and losses do not correlate."""
    strong, none = (find_effects(members_of(60, effect=effect)) for effect in (1.0, 0.0))
    title = draw_parameters(*strong, "log loss").get_suptitle()
    assert title == "Among 60 members, the objective depends clearly on lr"
    title = draw_parameters(*none, "log loss").get_suptitle()
    assert title == "Among 60 members, no parameter has a clear effect on the objective"


def test_a_parameter_of_few_members_is_left_out() -> None:
    """The sub-spaces of a search have different parameters."""
    members = members_of(40)
    rare = [recorded(m.name, metrics=m.metrics, params={**m.params, "drop_path": f"0.{n}"})
            for n, m in enumerate(members[:9])]  # fmt: skip
    _, effects = find_effects([*rare, *members[9:]])
    assert "drop_path" not in {effect.name for effect in effects}


@pytest.mark.usefixtures("rasterised")
def test_there_are_at_most_six_panels() -> None:
    members, more = members_of(30), range(1, 7)
    wide = [
        recorded(m.name, metrics=m.metrics, params={**m.params, **{f"p{k}": str(n * k % 7) for k in more}})
        for n, m in enumerate(members)
    ]
    compared, effects = find_effects(wide)
    assert (compared, len(effects)) == (9, MOST)
    figure = draw_parameters(compared, effects, "log loss")
    assert len(figure.axes) == MOST
    assert svg(figure).startswith(b"<svg")
