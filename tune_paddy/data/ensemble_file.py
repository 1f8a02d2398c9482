"""Write and read `ensemble.json`: the selection, and the members that it needs.

The file may come from an untrusted source, so it is validated completely before use. An export uses member
names as file names; names that could leave a folder are refused.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from tune_paddy.core.errors import InputError
from tune_paddy.core.estimate import Assessment
from tune_paddy.core.pooling import LEAST_TEMPERATURE, MOST_TEMPERATURE, Rule
from tune_paddy.core.predictions import Pool, View
from tune_paddy.core.selection.result import Candidate, Selection
from tune_paddy.core.tasks.names import TaskName
from tune_paddy.data.system.files import read_file, write_atomically
from tune_paddy.data.system.text import first_problem, shown

ENSEMBLE_FILE = "ensemble.json"
"""File name, in a folder and among the artifacts of a run."""

LABELS = ("name", "contributions")
"""Keys that describe an ensemble, and do not identify its selection."""

MAX_MIB = 64
"""Size limit of the file, in MiB; a file with a thousand members and classes has less than one."""

_SUM_TOLERANCE = 1e-6  # of the ensemble weights, which are written with all digits


@dataclass(frozen=True)
class RefitOf:
    """Origin of a refit.

    Attributes:
        searches: Names of the searches that trained the members before.
        members: Name of a refitted member → id of the run that trained it before.
    """

    searches: tuple[str, ...]
    members: Mapping[str, str]


@dataclass(frozen=True)
class DescribedEnsemble:
    """Content of an `ensemble.json`.

    Attributes:
        searches: Names of the searches that the ensemble was selected from.
        split: Fingerprint of the select split that the members share.
        classes: Class names, in the order of the last axis of every prediction.
        views: Views of the pool, in the order of the ensemble weights, including those with weight 0.
        selection: Ensemble weights, and the rule that combines the views.
        refit: Origin of a refit; None for an ensemble that is no refit.
        name: Name of the ensemble; empty in files of older versions.
        contributions: Run id of a member with weight → increase of the ensemble's loss without it; NaN:
            unknown.
    """

    searches: tuple[str, ...]
    split: str
    classes: tuple[str, ...]
    views: tuple[View, ...]
    selection: Selection
    refit: RefitOf | None = None
    name: str = ""
    contributions: Mapping[str, float] = field(default_factory=dict)

    @property
    def weights(self) -> tuple[tuple[View, float], ...]:
        """Views with an ensemble weight above 0, each with its weight."""
        pairs = zip(self.views, self.selection.weights.tolist(), strict=True)
        return tuple((view, weight) for view, weight in pairs if weight)

    @property
    def member_weights(self) -> dict[str, float]:
        """Run id of each member of the pool → sum of the ensemble weights of its views."""
        totals: dict[str, float] = {}
        for view, weight in zip(self.views, self.selection.weights.tolist(), strict=True):
            totals[view.run_id] = totals.get(view.run_id, 0.0) + weight
        return totals

    @property
    def member_contributions(self) -> dict[str, float]:
        """Run id of each member of the pool → its contribution, 0 without weight; NaN: unknown."""
        return {
            run_id: self.contributions.get(run_id, math.nan) if weight else 0.0
            for run_id, weight in self.member_weights.items()
        }


def ensemble_content(
    pool: Pool, selection: Selection, searches: Sequence[str], assessment: Assessment | None
) -> dict[str, Any]:
    """Return the content of an `ensemble.json`, plain JSON: enough to blend again from the members' runs.

    Args:
        pool: Pool that the ensemble was selected from.
        selection: Ensemble weights of the pool's views.
        searches: Names of the members' searches.
        assessment: Cross-fitted score; None: there is none.
    """
    values = selection.to_dict()
    weights = values.pop("weights")
    return {
        "format": 1,
        "searches": list(searches),
        "split": pool.split,
        "classes": list(pool.classes),
        "views": [
            {
                "member": view.member,
                "view": view.kind,
                "arch": view.arch,
                "run_id": view.run_id,
                "weight": weight,
            }
            for view, weight in zip(pool.views, weights, strict=True)
        ],
        "selection": values,
        "assessment": None if assessment is None else assessment.to_dict(),
        "refused": [{"member": refusal.member, "reason": refusal.reason} for refusal in pool.refused],
    }


def write_ensemble(folder: Path, content: Mapping[str, Any]) -> Path:
    """Write an `ensemble.json` to a folder, atomically; return its path.

    Args:
        folder: Existing folder.
        content: See `ensemble_content`.
    """
    path = folder / ENSEMBLE_FILE
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())
    return path


def read_ensemble(path: Path) -> DescribedEnsemble:
    """Read and validate an `ensemble.json`; ignore unknown keys.

    Raises:
        InputError: The file cannot be read, or is not one that `tune-paddy select` writes; the message
            names the key.
    """
    return parse_ensemble(read_file(path, most=MAX_MIB, what="an ensemble"), shown(path))


def parse_ensemble(content: bytes, where: str) -> DescribedEnsemble:
    """Validate the content of an `ensemble.json`; error messages begin with its origin `where`.

    Raises:
        InputError: See `read_ensemble`.
    """
    try:
        return _File.model_validate_json(content).described()
    except ValidationError as error:
        raise InputError(
            f"{where}: is no valid ensemble: {first_problem(error)}; write one with `tune-paddy select`"
        ) from error


_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Share = Annotated[float, Field(ge=0, le=1)]
Temperature = Annotated[float, Field(ge=LEAST_TEMPERATURE, le=MOST_TEMPERATURE)]
"""Divisor of the logarithms of predictions."""
_Text = Annotated[str, Field(min_length=1, max_length=1000)]

# A member of one search among several is named SEARCH:MEMBER. The first letter excludes `.` and `..`.
_NAME = re.compile(r"\w[\w .+-]{0,199}(:\w[\w .+-]{0,199})?")


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("not a valid name; use letters, digits, spaces and . + - _")
    return name


_Name = Annotated[str, AfterValidator(_check_name)]
_Method = Annotated[str, Field(pattern=r"^\w[\w .,+-]{0,199}$")]
"""Name of a method, also of a variant such as `log_linear, trimmed`."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)


_RunId = Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,64}$")]


class _ViewEntry(_Strict):
    member: _Name
    view: str = Field(pattern="^[a-z0-9]{1,50}$")
    arch: str = Field(max_length=1000)
    run_id: _RunId
    weight: _Share


class _Candidate(_Strict):
    method: _Method
    score: _Finite
    difference: _Finite
    standard_error: _Finite
    chosen: bool


class _Selection(_Strict):
    score: _Finite
    metric: _Name
    method: _Method
    rule: Rule
    temperature: Temperature
    member_temperatures: list[Temperature] | None
    trajectory: list[_Finite] = []
    order: list[int] = []
    kept: int = Field(0, ge=0)
    gap: _Finite | None = None
    candidates: list[_Candidate] = []
    task: TaskName = "classes"  # missing in files of older versions
    thresholds: list[_Finite] | None = None


class _Refit(_Strict):
    searches: list[_Name] = Field(min_length=1)
    members: dict[_Name, _RunId]


class _File(_Strict):
    format: Literal[1]
    searches: list[_Name] = Field(min_length=1)
    split: _Text
    classes: list[_Text] = Field(min_length=1)
    views: list[_ViewEntry] = Field(min_length=1)
    selection: _Selection
    refit: _Refit | None = None
    name: _Name = ""
    contributions: dict[_RunId, _Finite] = {}

    @model_validator(mode="after")
    def _check(self) -> "_File":
        names = [(entry.member, entry.view) for entry in self.views]
        temperatures = self.selection.member_temperatures
        total = sum(entry.weight for entry in self.views)
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("a class is listed twice")
        if len(set(names)) < len(names):
            raise ValueError("a view is listed twice")
        pairs = {(entry.member, entry.run_id) for entry in self.views}
        if not len(pairs) == len({member for member, _ in pairs}) == len({run_id for _, run_id in pairs}):
            raise ValueError("two members have one run, or one member has two")
        if not abs(total - 1) <= _SUM_TOLERANCE:
            raise ValueError(f"the weights sum to {total}, not to 1")
        if temperatures is not None and len(temperatures) != len(names):
            raise ValueError(f"{len(temperatures)} member_temperatures for {len(names)} views")
        wanted = len(self.classes) - (self.selection.task == "ordered")
        if self.selection.thresholds is not None and len(self.selection.thresholds) != wanted:
            raise ValueError(f"{len(self.selection.thresholds)} thresholds where {wanted} are needed")
        if not all(0 <= number < len(names) for number in self.selection.order):
            raise ValueError(f"selection.order has a number that is not one of the {len(names)} views")
        return self

    def described(self) -> DescribedEnsemble:
        """Convert the validated file."""
        stored = self.selection
        temperatures, thresholds = (
            None if values is None else np.array(values, np.float64)
            for values in (stored.member_temperatures, stored.thresholds)
        )
        selection = Selection(
            weights=np.array([entry.weight for entry in self.views], np.float64),
            score=stored.score,
            metric=stored.metric,
            method=stored.method,
            rule=stored.rule,
            temperature=stored.temperature,
            member_temperatures=temperatures,
            trajectory=tuple(stored.trajectory),
            order=tuple(stored.order),
            kept=stored.kept,
            gap=stored.gap,
            candidates=tuple(Candidate(**candidate.model_dump()) for candidate in stored.candidates),
            task=stored.task,
            thresholds=thresholds,
        )
        views = tuple(View(entry.member, entry.view, entry.run_id, entry.arch) for entry in self.views)
        refit = None if self.refit is None else RefitOf(tuple(self.refit.searches), self.refit.members)
        return DescribedEnsemble(
            searches=tuple(self.searches),
            split=self.split,
            classes=tuple(self.classes),
            views=views,
            selection=selection,
            refit=refit,
            name=self.name,
            contributions=self.contributions,
        )
