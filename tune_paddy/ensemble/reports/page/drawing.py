"""Draw the pictures of the report: the figures of a selection, and those that only the report shows."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from tune_paddy.ensemble.reports.html import Sources
from tune_paddy.ensemble.reports.page.class_figure import draw_gains
from tune_paddy.ensemble.reports.page.curves import draw_learning, read_curves
from tune_paddy.ensemble.reports.page.gains import ClassGains
from tune_paddy.ensemble.reports.page.parameters import draw_parameters, find_effects
from tune_paddy.ensemble.reports.page.picture import GAINS, LEARNING, PARAMETERS, Picture
from tune_paddy.ensemble.reports.page.themed import make_pictures
from tune_paddy.tracking.schema import SearchRecord
from tune_paddy.tracking.store import Store


def draw_page(
    store: Store, sources: Sources, figures: Mapping[str, Figure], gains: ClassGains | None
) -> list[Picture]:
    """Draw the pictures of the report for which there are data.

    Args:
        store: The record.
        sources: Origin of the ensemble.
        figures: Figures of the selection; they are changed.
        gains: Gain over the best single member per class; None: unknown.
    """
    drawn = dict(figures)
    curves = read_curves(store, sources.members)
    if curves:
        done = sum(member.outcome == "finished" for member in sources.members)
        folded = any(search.params.get("folds", "0") != "0" for search in sources.searches)
        drawn[LEARNING] = draw_learning(curves, done, folded=folded)
    # A parameter of one search is not the same variable as in another space.
    compared, effects = find_effects(sources.members) if len(sources.searches) == 1 else (0, [])
    if effects:
        settings = SearchRecord.from_run(sources.searches[0]).settings or {}
        objective = str(settings.get("objective", "objective")).replace("_", " ")
        drawn[PARAMETERS] = draw_parameters(compared, effects, objective)
    if gains is not None and (gains.corrected + gains.broken).any():
        drawn[GAINS] = draw_gains(gains)
    return make_pictures(drawn)
