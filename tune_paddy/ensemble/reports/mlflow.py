"""The description of an ensemble on MLflow's page, in Markdown."""

from collections.abc import Sequence

from tune_paddy.ensemble.ensemble import Ensemble
from tune_paddy.ensemble.options import SelectionOptions, select_command
from tune_paddy.ensemble.reports.member_rows import ensemble_rows
from tune_paddy.ensemble.reports.summary import headline
from tune_paddy.ensemble.reports.wording import formatted, signed


def describe_ensemble(ensemble: Ensemble, searches: Sequence[str], options: SelectionOptions) -> str:
    """Describe the score and the members of an ensemble, and the command that selects it again."""
    blocks = [f"**{' '.join(headline(ensemble))}**", _table(ensemble)]
    command = select_command(searches, options)
    blocks.append(f"The artifacts include `report.html` and figures. Selected by:\n\n    {command}")
    return "\n\n".join(blocks) + "\n"


def _table(ensemble: Ensemble) -> str:
    """Return the members with a weight above 0, the largest weight first."""
    lines = ["| member | weight | without it | log loss | error |", "|---|---:|---:|---:|---:|"]
    for row in ensemble_rows(ensemble):
        if row.weight:
            cells = [f"`{row.name}`", f"{row.weight:.3f}", signed(row.contribution)]
            cells += [formatted(row.log_loss, ".4f"), formatted(row.error, ".2%")]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
