"""Write an `ensemble.json`, and read it back: the selection, and the members that it needs.

The file may come from anywhere, so nothing of it is used before all of it fits together. Names of members
become names of files when an ensemble is exported; those that could leave a folder are refused.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from tune_paddy.core.errors import InputError
from tune_paddy.core.estimate import Assessment
from tune_paddy.core.pooling import LEAST_TEMPERATURE, MOST_TEMPERATURE, Rule
from tune_paddy.core.predictions import Pool, View
from tune_paddy.core.selection.result import Candidate, Selection
from tune_paddy.data.system.files import read_file
from tune_paddy.data.system.text import first_problem, shown

ENSEMBLE_FILE = "ensemble.json"
"""Its name, in a folder and among the files of a run."""

MAX_MIB = 64
"""Largest file that is read, in MiB; one of a thousand members and classes has less than one."""

_SUM_TOLERANCE = 1e-6  # of the weights; they are written with all their digits


@dataclass(frozen=True)
class RefitOf:
    """What a refit was made of.

    Attributes:
        searches: In which its members trained before.
        members: Name of a refitted member → the run in which it trained before.
    """

    searches: tuple[str, ...]
    members: Mapping[str, str]


@dataclass(frozen=True)
class DescribedEnsemble:
    """What an `ensemble.json` says.

    Attributes:
        searches: Names of the searches that it was selected from.
        split: Fingerprint of the select split that its members share.
        classes: Class names, in the order of the last axis of every prediction.
        views: The pool, in the order of the selection's weights; those without weight included.
        selection: Weights, and how views are combined.
        refit: What it is a refit of; None for an ensemble as it was selected.
    """

    searches: tuple[str, ...]
    split: str
    classes: tuple[str, ...]
    views: tuple[View, ...]
    selection: Selection
    refit: RefitOf | None = None

    @property
    def weights(self) -> tuple[tuple[View, float], ...]:
        """The views with weight, each with its weight."""
        pairs = zip(self.views, self.selection.weights.tolist(), strict=True)
        return tuple((view, weight) for view, weight in pairs if weight)


def ensemble_content(
    pool: Pool, selection: Selection, searches: Sequence[str], assessment: Assessment | None
) -> dict[str, Any]:
    """What an `ensemble.json` holds, plain JSON: enough to blend again from the members' runs.

    Args:
        pool: What was selected from.
        selection: The weights of its views.
        searches: Names of the searches that its members are of.
        assessment: Score on images that it was not selected on; None: there is none.
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
    """Write an `ensemble.json` to a folder; return its path.

    Args:
        folder: Where it goes; it exists.
        content: See `ensemble_content`.
    """
    path = folder / ENSEMBLE_FILE
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return path


def read_ensemble(path: Path) -> DescribedEnsemble:
    """Read and check an `ensemble.json`; keys that this program does not know are left unread.

    Raises:
        InputError: It cannot be read, or is not what `tune-paddy select` writes; the message names the key.
    """
    return parse_ensemble(read_file(path, most=MAX_MIB, what="an ensemble"), shown(path))


def parse_ensemble(content: bytes, where: str) -> DescribedEnsemble:
    """Check the content of an `ensemble.json`; `where` it is from begins the message.

    Raises:
        InputError: As `read_ensemble`.
    """
    try:
        return _File.model_validate_json(content).described()
    except ValidationError as error:
        raise InputError(
            f"{where}: is no ensemble: {first_problem(error)}; `tune-paddy select` writes one"
        ) from error


_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Share = Annotated[float, Field(ge=0, le=1)]
Temperature = Annotated[float, Field(ge=LEAST_TEMPERATURE, le=MOST_TEMPERATURE)]
"""By which logarithms are divided."""
_Text = Annotated[str, Field(min_length=1, max_length=1000)]

# A member of one search among several is named SEARCH:MEMBER. The first letter excludes `.` and `..`.
_NAME = re.compile(r"\w[\w .+-]{0,199}(:\w[\w .+-]{0,199})?")


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("no such name: letters, digits, spaces and . + - _")
    return name


_Name = Annotated[str, AfterValidator(_check_name)]


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
    method: _Name
    score: _Finite
    difference: _Finite
    standard_error: _Finite
    chosen: bool


class _Selection(_Strict):
    score: _Finite
    metric: _Name
    method: _Name
    rule: Rule
    temperature: Temperature
    member_temperatures: list[Temperature] | None
    trajectory: list[_Finite] = []
    order: list[int] = []
    kept: int = Field(0, ge=0)
    gap: _Finite | None = None
    candidates: list[_Candidate] = []


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

    @model_validator(mode="after")
    def _check(self) -> "_File":
        names = [(entry.member, entry.view) for entry in self.views]
        temperatures = self.selection.member_temperatures
        total = sum(entry.weight for entry in self.views)
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("a class is named twice")
        if len(set(names)) < len(names):
            raise ValueError("a view stands there twice")
        pairs = {(entry.member, entry.run_id) for entry in self.views}
        if not len(pairs) == len({member for member, _ in pairs}) == len({run_id for _, run_id in pairs}):
            raise ValueError("two members have one run, or one member has two")
        if not abs(total - 1) <= _SUM_TOLERANCE:
            raise ValueError(f"the weights sum to {total}, not to 1")
        if temperatures is not None and len(temperatures) != len(names):
            raise ValueError(f"{len(temperatures)} member_temperatures for {len(names)} views")
        if not all(0 <= number < len(names) for number in self.selection.order):
            raise ValueError(f"selection.order names a view beyond the {len(names)} there are")
        return self

    def described(self) -> DescribedEnsemble:
        """Bring the file into the program's own terms."""
        stored, temperatures = self.selection, self.selection.member_temperatures
        selection = Selection(
            weights=np.array([entry.weight for entry in self.views], np.float64),
            score=stored.score,
            metric=stored.metric,
            method=stored.method,
            rule=stored.rule,
            temperature=stored.temperature,
            member_temperatures=None if temperatures is None else np.array(temperatures, np.float64),
            trajectory=tuple(stored.trajectory),
            order=tuple(stored.order),
            kept=stored.kept,
            gap=stored.gap,
            candidates=tuple(Candidate(**candidate.model_dump()) for candidate in stored.candidates),
        )
        views = tuple(View(entry.member, entry.view, entry.run_id, entry.arch) for entry in self.views)
        refit = None if self.refit is None else RefitOf(tuple(self.refit.searches), self.refit.members)
        return DescribedEnsemble(
            tuple(self.searches), self.split, tuple(self.classes), views, selection, refit
        )
