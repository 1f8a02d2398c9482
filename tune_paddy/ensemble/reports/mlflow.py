"""What MLflow's page says of an ensemble, in Markdown."""

from collections.abc import Sequence

from tune_paddy.core.predictions import PLAIN, View
from tune_paddy.ensemble.ensemble import Ensemble, member_contributions, member_weights
from tune_paddy.ensemble.options import SelectionOptions, select_command
from tune_paddy.ensemble.reports.summary import answer
from tune_paddy.ensemble.reports.terminal import signed


def describe_ensemble(ensemble: Ensemble, searches: Sequence[str], options: SelectionOptions) -> str:
    """Say what an ensemble is worth, what it is made of, and how to select it again."""
    blocks = [f"**{' '.join(answer(ensemble))}**", _table(ensemble)]
    command = select_command(searches, options)
    blocks.append(f"Among the artifacts: `report.html` and figures. Selected by\n\n    {command}")
    return "\n\n".join(blocks) + "\n"


def _table(ensemble: Ensemble) -> str:
    """The members with weight, the heaviest first."""
    weights, contributions = member_weights(ensemble), member_contributions(ensemble)
    views = {view.run_id: view for view in ensemble.pool.views}
    lines = ["| member | weight | without it | log loss | error |", "|---|---:|---:|---:|---:|"]
    for run_id in sorted(
        (r for r in weights if weights[r] > 0), key=lambda r: (-weights[r], views[r].member)
    ):
        view = views[run_id]
        cells = [
            f"`{view.member}`",
            f"{weights[run_id]:.3f}",
            signed(contributions[run_id]),
            _plain(view, "log_loss", ".4f"),
            _plain(view, "error_rate", ".2%"),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _plain(view: View, name: str, form: str) -> str:
    """A member's score without test-time augmentation, as MLflow's table has it."""
    score = view.info.get(f"{PLAIN}/{name}")
    return format(score, form) if isinstance(score, float) else ""
