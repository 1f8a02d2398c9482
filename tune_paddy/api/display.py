"""Display of results: a headline and the first rows of a table, as text and as HTML."""

from html import escape
from typing import TYPE_CHECKING

from tune_paddy.api.leaderboard import SHOWN
from tune_paddy.data.system.text import four_digits

if TYPE_CHECKING:
    import pandas as pd

_MOST_ROWS = 20
"""Maximum number of rows of an HTML table."""


def as_text(headline: str, frame: "pd.DataFrame") -> str:
    """Return a headline and a table of at most `SHOWN` rows: ten lines or fewer."""
    table = frame.head(SHOWN).to_string(index=False, float_format=four_digits, na_rep="–")
    more = [f"… and {len(frame) - SHOWN} more"] if len(frame) > SHOWN else []
    return "\n".join([headline, table, *more])


def as_html(headline: str, frame: "pd.DataFrame") -> str:
    """Return a headline and a table of at most 20 rows as HTML; names are escaped."""
    table = frame.head(_MOST_ROWS).to_html(index=False, float_format=four_digits, na_rep="–", border=0)
    more = f"<p>… and {len(frame) - _MOST_ROWS} more</p>" if len(frame) > _MOST_ROWS else ""
    return f"<p><b>{escape(headline)}</b></p>{table}{more}"
