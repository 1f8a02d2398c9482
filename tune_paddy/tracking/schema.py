"""What a run holds: the tags of searches, members and ensembles, their text, and how they are read back.

A record is a frozen dataclass; each of its fields is one tag, named `tune_paddy.` and the field's name where
nothing else is said. MLflow keeps text alone: this module says what the text of a value is.

A tag that is missing, or whose text cannot be read, counts as not known: its field has the default. Whoever
cannot do without the value says so.
"""

import json
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

from pydantic import BaseModel, ConfigDict

from tune_paddy.core.config import MemberConfig
from tune_paddy.data.submission import SubmissionFormat
from tune_paddy.tracking.context.provenance import SOURCE

PREFIX = "tune_paddy."
"""What the names of all tags begin with that are not MLflow's own."""

KIND = PREFIX + "kind"
SEARCH = PREFIX + "search"
MEMBER = PREFIX + "member"
OUTCOME = PREFIX + "outcome"
FAILURE = PREFIX + "failure"
PROCESS = PREFIX + "process"
"""Of every run, see `RecordedRun`; the process is the one that works on it."""

ARCH = PREFIX + "arch"
SELECTION = PREFIX + "selection"
SUBMISSION_SHA256 = PREFIX + "submission_sha256"
"""By which MLflow's queries find runs; fields of the records below."""

PARENT = "mlflow.parentRunId"
NOTE = "mlflow.note.content"
"""MLflow's own: the run above, and the Markdown of the run's page."""


class Tagged(Protocol):
    """Whatever has tags, such as a `RecordedRun`."""

    @property
    def tags(self) -> Mapping[str, str]:
        """Name → text."""


@dataclass(frozen=True)
class _Form:
    """How a value is written as text, and read again; reading raises a ValueError for other text."""

    write: Callable[[Any], str]
    read: Callable[[str], Any]


def _read_number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _read_object(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(text)  # noqa: TRY004 - `from_tags` takes it for text that cannot be read
    return value


_TEXT = _Form(str, str)
_FLAG = _Form(str, lambda text: text == "True")
_WHOLE = _Form(str, int)
_NUMBER = _Form(str, _read_number)
_SECONDS = _Form(lambda seconds: f"{seconds:.0f}", _read_number)
_PATH = _Form(lambda path: "" if path is None else str(path), lambda text: Path(text) if text else None)
_NAMES = _Form(", ".join, lambda text: tuple(text.split(", ")) if text else ())
_OBJECT = _Form(lambda value: json.dumps(dict(value)), _read_object)


def _tag(form: _Form, *, optional: bool = False, name: str | None = None) -> dict[str, Any]:
    """Make a field a tag; its default is its value where the tag is missing or cannot be read.

    Args:
        form: How its value is written and read.
        optional: Whether the tag is left out, and so left as it is in the record, where the value is the
            default.
        name: Of the tag; None: the record's prefix and the field's name.
    """
    return {"form": form, "optional": optional, "name": name}


@dataclass(frozen=True)
class _Record:
    """What all records have in common."""

    _prefix: ClassVar[str] = PREFIX

    def to_tags(self) -> dict[str, str]:
        """The record as MLflow keeps it: name of a tag → text."""
        return {
            self._name(each): self._text(each)
            for each in fields(self)
            if not each.metadata["optional"] or getattr(self, each.name) != each.default
        }

    @classmethod
    def tags_of(cls, **values: Any) -> dict[str, str]:
        """Tags of these fields alone, for a run that has the others: field → value."""
        record = cls(**values)
        return {cls._name(each): record._text(each) for each in fields(cls) if each.name in values}

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> Self:
        """Read a record from the tags of a run; other tags are left unread."""
        known: dict[str, Any] = {}
        for each in fields(cls):
            # What is missing or cannot be read is not known: it has the default.
            with suppress(KeyError, ValueError, RecursionError):
                known[each.name] = each.metadata["form"].read(tags[cls._name(each)])
        return cls(**known)

    @classmethod
    def from_run(cls, run: Tagged) -> Self:
        """Read the record of a run, see `from_tags`."""
        return cls.from_tags(run.tags)

    @classmethod
    def _name(cls, each: Field[Any]) -> str:
        """Name of a field's tag."""
        name: str = each.metadata["name"] or cls._prefix + each.name
        return name

    def _text(self, each: Field[Any]) -> str:
        """Text of a field's value."""
        text: str = each.metadata["form"].write(getattr(self, each.name))
        return text


@dataclass(frozen=True)
class SearchRecord(_Record):
    """What a search began with, and what became of its time.

    Attributes:
        dataset: Folder of its images.
        dataset_path: What the dataset was opened from: its folder, or an archive.
        dataset_fingerprint: Of its images and labels.
        skip_corrupt: Whether images that cannot be read were left out.
        skip_conflicts: Whether images were left out that stand under two labels.
        competition: Kaggle's name of the competition that its images are of; empty where it is not known.
        split: Fingerprint of its select split.
        space: Name of its search space.
        space_fingerprint: Of the space's content.
        space_base: Folder that paths in the space are relative to; None where there is no such folder.
        stand_ins: Whether tiny architectures stood in for those of the space.
        weights_dir: Folder of pretrained weights, or None.
        ray_address: Of a Ray cluster; empty for a Ray of its own.
        id_column: Column of the submission with the ids of images.
        label_column: Column of the submission with their labels.
        folder: Where its files are.
        settings: Of its last session, as `SearchSettings` takes them; None where they cannot be read.
        asked: What was asked for after the search, plain JSON; None where it cannot be read.
        command: That it was begun by; empty where there was none.
        seconds: For which it has been running, over all its sessions, whole; None where it never ran.
        refit_of: Of a refit: the searches that its members were selected from; empty of any other search.
        refit_of_ensemble: Of a refit: MLflow's id of the ensemble that it trains again.
        revision: Commit of the source code, with `-dirty` where files differed from it.
    """

    dataset: Path | None = field(default=None, metadata=_tag(_PATH))
    dataset_path: Path | None = field(default=None, metadata=_tag(_PATH))
    dataset_fingerprint: str = field(default="", metadata=_tag(_TEXT))
    skip_corrupt: bool = field(default=False, metadata=_tag(_FLAG))
    skip_conflicts: bool = field(default=False, metadata=_tag(_FLAG))
    competition: str = field(default="", metadata=_tag(_TEXT))
    split: str = field(default="", metadata=_tag(_TEXT))
    space: str = field(default="", metadata=_tag(_TEXT))
    space_fingerprint: str = field(default="", metadata=_tag(_TEXT))
    space_base: Path | None = field(default=None, metadata=_tag(_PATH))
    stand_ins: bool = field(default=False, metadata=_tag(_FLAG))
    weights_dir: Path | None = field(default=None, metadata=_tag(_PATH))
    ray_address: str = field(default="", metadata=_tag(_TEXT))
    id_column: str = field(default=SubmissionFormat().id_column, metadata=_tag(_TEXT))
    label_column: str = field(default=SubmissionFormat().label_column, metadata=_tag(_TEXT))
    folder: Path | None = field(default=None, metadata=_tag(_PATH))
    settings: Mapping[str, Any] | None = field(default=None, metadata=_tag(_OBJECT, optional=True))
    asked: Mapping[str, Any] | None = field(default=None, metadata=_tag(_OBJECT, optional=True))
    command: str | None = field(default=None, metadata=_tag(_TEXT, optional=True))
    seconds: float | None = field(default=None, metadata=_tag(_SECONDS, optional=True))
    refit_of: tuple[str, ...] = field(default=(), metadata=_tag(_NAMES, optional=True))
    refit_of_ensemble: str = field(default="", metadata=_tag(_TEXT, optional=True))
    revision: str = field(default="", metadata=_tag(_TEXT, optional=True, name=SOURCE + "git.commit"))

    @property
    def images(self) -> Path | None:
        """Where its images were: what the dataset was opened from, else its folder; None: not known."""
        return self.dataset_path or self.dataset


class RecordedProposal(BaseModel):
    """A trial as it was proposed, so that it can go on without its sampler.

    Attributes:
        number: Of the trial, from 0.
        origin: Name of the recipe or the sub-space that it comes from.
        config: The member.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    origin: str
    config: MemberConfig


_PROPOSAL = _Form(
    lambda proposal: json.dumps(proposal.model_dump(mode="json")), RecordedProposal.model_validate_json
)


@dataclass(frozen=True)
class MemberRecord(_Record):
    """Where a member comes from, and what it was trained with.

    Attributes:
        number: Of its trial, from 0; None where it is not known.
        origin: Name of the recipe or the sub-space that it comes from.
        proposal: The trial as it was proposed; None where another version recorded it.
        arch: Architecture, timm's name.
        attempts: How often its trial was started; None before it was.
        split: Fingerprint of the select split that its predictions are of.
        folder: Where its weights are, if they were kept.
        gpu_share: Share of a GPU that was kept for it; 0: it used CPUs alone. None where no process of it
            began.
        device: `cpu`, `cuda` or `mps`; empty until it has been trained, like all that follows.
        gpu: Name of the GPU.
        torch: Version.
        cuda: Version that torch was built with.
        driver: Version of the GPU's driver.
        timm: Version.
        memory_source: How its memory was measured; `assumed`: it was not.
        notes: What a person should know of its training.
    """

    number: int | None = field(default=None, metadata=_tag(_WHOLE, optional=True, name=PREFIX + "trial"))
    origin: str = field(default="", metadata=_tag(_TEXT, optional=True))
    proposal: RecordedProposal | None = field(default=None, metadata=_tag(_PROPOSAL, optional=True))
    arch: str = field(default="", metadata=_tag(_TEXT, optional=True, name=ARCH))
    attempts: int | None = field(default=None, metadata=_tag(_WHOLE, optional=True))
    split: str = field(default="", metadata=_tag(_TEXT, optional=True))
    folder: Path | None = field(default=None, metadata=_tag(_PATH, optional=True))
    gpu_share: float | None = field(default=None, metadata=_tag(_NUMBER, optional=True))
    device: str = field(default="", metadata=_tag(_TEXT, optional=True))
    gpu: str = field(default="", metadata=_tag(_TEXT, optional=True))
    torch: str = field(default="", metadata=_tag(_TEXT, optional=True))
    cuda: str = field(default="", metadata=_tag(_TEXT, optional=True))
    driver: str = field(default="", metadata=_tag(_TEXT, optional=True))
    timm: str = field(default="", metadata=_tag(_TEXT, optional=True))
    memory_source: str = field(default="", metadata=_tag(_TEXT, optional=True))
    notes: str = field(default="", metadata=_tag(_TEXT, optional=True))


@dataclass(frozen=True)
class EnsembleRecord(_Record):
    """What an ensemble is known again by.

    Attributes:
        selection: SHA-256 of what identifies the selection.
        submission_sha256: SHA-256 of the submission that it wrote, which is known by it wherever it lies;
            empty where there was nothing to predict.
    """

    selection: str = field(default="", metadata=_tag(_TEXT, name=SELECTION))
    submission_sha256: str = field(default="", metadata=_tag(_TEXT, optional=True, name=SUBMISSION_SHA256))


@dataclass(frozen=True)
class SubmissionRecord(_Record):
    """What was sent to Kaggle of an ensemble, and what Kaggle says of it; tags of the ensemble's run.

    Attributes:
        competition: Kaggle's name of it; empty: nothing was sent.
        ref: Kaggle's number of the submission; 0 where it told none, None where nothing was sent.
        file_name: Without its folder.
        message: What stands beside it on Kaggle's page.
        sent_at: ISO 8601, UTC.
        answer: Kaggle's words.
        status: `pending`, `complete` or `error`.
        public: Score on the public part of the test set, as Kaggle writes it; empty: not told.
        private: The same on the rest.
        problem: Why it could not be scored; empty otherwise.
    """

    _prefix: ClassVar[str] = PREFIX + "kaggle."

    competition: str = field(default="", metadata=_tag(_TEXT, optional=True))
    ref: int | None = field(default=None, metadata=_tag(_WHOLE, optional=True))
    file_name: str = field(default="", metadata=_tag(_TEXT, optional=True))
    message: str = field(default="", metadata=_tag(_TEXT, optional=True))
    sent_at: str = field(default="", metadata=_tag(_TEXT, optional=True))
    answer: str = field(default="", metadata=_tag(_TEXT, optional=True))
    status: str = field(default="", metadata=_tag(_TEXT, optional=True))
    public: str = field(default="", metadata=_tag(_TEXT, optional=True))
    private: str = field(default="", metadata=_tag(_TEXT, optional=True))
    problem: str = field(default="", metadata=_tag(_TEXT, optional=True))


def prefixed(tags: Mapping[str, object]) -> dict[str, str]:
    """Write tags as text; a name without a dot gets the prefix `tune_paddy.`."""
    return {key if "." in key else PREFIX + key: str(value) for key, value in tags.items()}
