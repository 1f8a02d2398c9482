"""Schema of the record: the tags of searches, members and ensembles, and their text format.

A record is a frozen dataclass. Each field is one tag; its default name is `tune_paddy.` and the field's
name. MLflow stores only text: this module defines how a value is written as text and parsed.

A tag that is missing or cannot be parsed is unknown: its field has the default. Code that needs the value
checks for that itself.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

from pydantic import BaseModel, ConfigDict

from tune_paddy.core.config import MemberConfig
from tune_paddy.data.options import ReadOptions
from tune_paddy.data.submission.form import SAMPLE, SubmissionFormat
from tune_paddy.tracking.context.provenance import SOURCE

PREFIX = "tune_paddy."
"""Prefix of all tags that are not MLflow's own."""

KIND = PREFIX + "kind"
SEARCH = PREFIX + "search"
MEMBER = PREFIX + "member"
OUTCOME = PREFIX + "outcome"
FAILURE = PREFIX + "failure"
PROCESS = PREFIX + "process"
"""Tags of every run, see `RecordedRun`; PROCESS names the process that works on the run."""

FLAT = "flat"
"""Value of a search's `ended_by`: more time was not expected to pay."""

NOT_RECORDED = "not recorded"
"""Word for a text that earlier versions did not record, for people."""

ARCH = PREFIX + "arch"
ENSEMBLE = PREFIX + "ensemble"
SELECTION = PREFIX + "selection"
SUBMISSION_SHA256 = PREFIX + "submission_sha256"
"""Tags that MLflow queries use to find runs; fields of the records below."""

PARENT = "mlflow.parentRunId"
NOTE = "mlflow.note.content"
"""MLflow's own tags: the parent run, and the Markdown of the run's page."""


class Tagged(Protocol):
    """Object with tags, such as a `RecordedRun`."""

    @property
    def tags(self) -> Mapping[str, str]:
        """Name of a tag → text."""


@dataclass(frozen=True)
class _Form:
    """Text format of a value; `read` raises a ValueError for text that it cannot parse."""

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
        raise ValueError(text)  # noqa: TRY004 - `from_tags` catches it as text that cannot be parsed
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
    """Return the metadata that makes a dataclass field a tag.

    Args:
        form: Text format of the value.
        optional: Whether to omit the tag if the value is the default; the record then keeps its tag.
        name: Name of the tag; None: the record's prefix and the field's name.
    """
    return {"form": form, "optional": optional, "name": name}


@dataclass(frozen=True)
class _Record:
    """Base class of all records."""

    _prefix: ClassVar[str] = PREFIX

    def to_tags(self) -> dict[str, str]:
        """Return the record as MLflow stores it: name of a tag → text."""
        return {
            self._name(each): self._text(each)
            for each in fields(self)
            if not each.metadata["optional"] or getattr(self, each.name) != each.default
        }

    @classmethod
    def tags_of(cls, **values: Any) -> dict[str, str]:
        """Return the tags of the given fields alone, for a run that has the other tags already."""
        record = cls(**values)
        return {cls._name(each): record._text(each) for each in fields(cls) if each.name in values}

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> Self:
        """Parse a record from the tags of a run; ignore other tags."""
        known: dict[str, Any] = {}
        for each in fields(cls):
            # A tag that is missing or cannot be parsed is unknown: the field keeps its default.
            with suppress(KeyError, ValueError, RecursionError):
                known[each.name] = each.metadata["form"].read(tags[cls._name(each)])
        return cls(**known)

    @classmethod
    def from_run(cls, run: Tagged) -> Self:
        """Parse the record of a run, see `from_tags`."""
        return cls.from_tags(run.tags)

    @classmethod
    def _name(cls, each: Field[Any]) -> str:
        """Return the name of a field's tag."""
        name: str = each.metadata["name"] or cls._prefix + each.name
        return name

    def _text(self, each: Field[Any]) -> str:
        """Return the text of a field's value."""
        text: str = each.metadata["form"].write(getattr(self, each.name))
        return text


@dataclass(frozen=True)
class SearchRecord(_Record):
    """Inputs of a search, and its running time.

    Attributes:
        dataset: Folder of the images.
        dataset_path: Path that the dataset was opened from: its folder, or an archive.
        dataset_fingerprint: Fingerprint of images and labels.
        reading: Options of reading the dataset, plain JSON: `ReadOptions` takes them; None: a version
            without them recorded the search.
        sample: Sample submission that determines the images to predict, or None.
        skip_corrupt: Whether images that cannot be decoded were skipped.
        skip_conflicts: Whether images with two labels were skipped.
        image_notes: What the check of the images said about their values and about parts without use.
        competition: Kaggle's name of the images' competition; empty if unknown.
        split: Fingerprint of the select split.
        space: Name of the search space.
        space_fingerprint: Fingerprint of the space's content.
        space_base: Folder that paths in the space are relative to; None if there is no such folder.
        stand_ins: Whether tiny architectures replaced those of the space.
        weights_dir: Folder of pretrained weights, or None.
        ray_address: Address of a Ray cluster; empty: an embedded Ray.
        id_column: Column of the submission with the image ids.
        label_column: Column of the submission with the labels.
        submission_form: What the submission holds, if not the names of classes, plain JSON, see
            `SubmissionFormat.to_record`; None: the names of classes.
        folder: Folder of the search's files.
        settings: Settings of the last session, as `SearchSettings` takes them; None if they cannot be
            parsed.
        follow_up: Options for the selection after the search, plain JSON; None if they cannot be parsed.
        command: Command that started the search; empty if there was none.
        seconds: Running time of all sessions, in whole seconds; None if the search never ran.
        ended_by: Reason why the last session ended before its trials and its time were used up: `flat`, see
            the setting `stop_when_flat`; empty: none.
        refit_of: Names of the searches that a refit's members were selected from; empty if it is no refit.
        refit_of_ensemble: Run id of the ensemble that a refit trains again; empty if it is no refit.
        current_ensemble: Run id of the ensemble that commands use unless another is named; empty: none was
            made current, so the newest is.
        revision: Commit of the source code, with `-dirty` if files differed from it.
    """

    dataset: Path | None = field(default=None, metadata=_tag(_PATH))
    dataset_path: Path | None = field(default=None, metadata=_tag(_PATH))
    dataset_fingerprint: str = field(default="", metadata=_tag(_TEXT))
    reading: Mapping[str, Any] | None = field(default=None, metadata=_tag(_OBJECT, optional=True))
    sample: Path | None = field(default=None, metadata=_tag(_PATH, optional=True))
    skip_corrupt: bool = field(default=False, metadata=_tag(_FLAG))
    skip_conflicts: bool = field(default=False, metadata=_tag(_FLAG))
    image_notes: str = field(default="", metadata=_tag(_TEXT, optional=True))
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
    submission_form: Mapping[str, Any] | None = field(default=None, metadata=_tag(_OBJECT, optional=True))
    folder: Path | None = field(default=None, metadata=_tag(_PATH))
    settings: Mapping[str, Any] | None = field(default=None, metadata=_tag(_OBJECT, optional=True))
    follow_up: Mapping[str, Any] | None = field(
        default=None, metadata=_tag(_OBJECT, optional=True, name=PREFIX + "asked")
    )
    command: str | None = field(default=None, metadata=_tag(_TEXT, optional=True))
    seconds: float | None = field(default=None, metadata=_tag(_SECONDS, optional=True))
    ended_by: str = field(default="", metadata=_tag(_TEXT, optional=True))
    refit_of: tuple[str, ...] = field(default=(), metadata=_tag(_NAMES, optional=True))
    refit_of_ensemble: str = field(default="", metadata=_tag(_TEXT, optional=True))
    current_ensemble: str = field(default="", metadata=_tag(_TEXT, optional=True))
    revision: str = field(default="", metadata=_tag(_TEXT, optional=True, name=SOURCE + "git.commit"))

    @property
    def images(self) -> Path | None:
        """Path that the dataset was opened from, otherwise its folder; None: unknown."""
        return self.dataset_path or self.dataset

    @property
    def read_options(self) -> ReadOptions:
        """Options that read the images as the search did.

        Raises:
            InputError: Another version recorded an option that this one does not know.
        """
        return ReadOptions.recorded(self.reading)

    def submission(self, classes: Sequence[str]) -> SubmissionFormat:
        """Return the form of the search's submission; that of labels if the recorded one cannot be read.

        Args:
            classes: Names of the classes, in the order of predictions.
        """
        with suppress(ValueError):
            stored = self.submission_form or {}
            return SubmissionFormat.from_record(self.id_column, self.label_column, stored, classes)
        return SubmissionFormat(self.id_column, self.label_column)

    @property
    def sample_submission(self) -> Path:
        """Path of the sample submission; earlier versions did not record it."""
        return self.sample or (self.dataset or Path()) / SAMPLE


class RecordedProposal(BaseModel):
    """A proposed trial, stored so that it can be resumed without the sampler.

    Attributes:
        number: Number of the trial, from 0.
        origin: Name of the recipe or the sub-space of the trial.
        config: Configuration of the member.
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
    """Origin of a member, and its hardware and software.

    Attributes:
        number: Number of the trial, from 0; None if unknown.
        origin: Name of the recipe or the sub-space of the trial.
        proposed_by: What proposed the member, a value of `Proposer`; empty in records of older versions.
        proposal: Proposed trial; None if another version of the program recorded it.
        arch: Architecture, timm's name.
        attempts: Number of times that the trial was started; None before the first.
        split: Fingerprint of the select split of the predictions.
        folder: Folder of the weights file, if it was kept.
        gpu_model: Ray's name of the model of GPU that the member was planned for; empty: any.
        gpu_share: Share of a GPU reserved for the member; 0: it used only CPUs; None: no worker process
            started.
        device: `cpu`, `cuda` or `mps`; empty until the member is trained, like all fields below.
        gpu: Name of the GPU.
        torch: Version of torch.
        cuda: CUDA version that torch was built with.
        driver: Version of the GPU's driver.
        timm: Version of timm.
        licence: Licence of the pretrained weights as timm states it; `none`: there are none.
        pretraining: Datasets of the pretraining as timm's tag names them; `none`: there was none.
        memory_source: Method of the memory measurement; `assumed`: not measured.
        notes: Warnings about the training, for the user.
    """

    number: int | None = field(default=None, metadata=_tag(_WHOLE, optional=True, name=PREFIX + "trial"))
    origin: str = field(default="", metadata=_tag(_TEXT, optional=True))
    proposed_by: str = field(default="", metadata=_tag(_TEXT, optional=True))
    proposal: RecordedProposal | None = field(default=None, metadata=_tag(_PROPOSAL, optional=True))
    arch: str = field(default="", metadata=_tag(_TEXT, optional=True, name=ARCH))
    attempts: int | None = field(default=None, metadata=_tag(_WHOLE, optional=True))
    split: str = field(default="", metadata=_tag(_TEXT, optional=True))
    folder: Path | None = field(default=None, metadata=_tag(_PATH, optional=True))
    gpu_model: str = field(default="", metadata=_tag(_TEXT, optional=True))
    gpu_share: float | None = field(default=None, metadata=_tag(_NUMBER, optional=True))
    device: str = field(default="", metadata=_tag(_TEXT, optional=True))
    gpu: str = field(default="", metadata=_tag(_TEXT, optional=True))
    torch: str = field(default="", metadata=_tag(_TEXT, optional=True))
    cuda: str = field(default="", metadata=_tag(_TEXT, optional=True))
    driver: str = field(default="", metadata=_tag(_TEXT, optional=True))
    timm: str = field(default="", metadata=_tag(_TEXT, optional=True))
    licence: str = field(default="", metadata=_tag(_TEXT, optional=True))
    pretraining: str = field(default="", metadata=_tag(_TEXT, optional=True))
    memory_source: str = field(default="", metadata=_tag(_TEXT, optional=True))
    notes: str = field(default="", metadata=_tag(_TEXT, optional=True))


@dataclass(frozen=True)
class EnsembleRecord(_Record):
    """Digests that identify an ensemble, its name, and the time of its selection.

    Attributes:
        selection: SHA-256 of the content that identifies the selection.
        submission_sha256: SHA-256 of the submission file, which identifies it in any folder; empty if
            there were no images to predict.
        selected_at: Time of the last selection that gave this ensemble, in seconds since 1970; None in
            records of version 0.2.0.
        name: Name, unique among the ensembles of the search; empty in records of older versions.
    """

    selection: str = field(default="", metadata=_tag(_TEXT, name=SELECTION))
    submission_sha256: str = field(default="", metadata=_tag(_TEXT, optional=True, name=SUBMISSION_SHA256))
    selected_at: float | None = field(default=None, metadata=_tag(_NUMBER, optional=True))
    name: str = field(default="", metadata=_tag(_TEXT, optional=True, name=ENSEMBLE))


@dataclass(frozen=True)
class SubmissionRecord(_Record):
    """An ensemble's submission to Kaggle, and Kaggle's response; tags of the ensemble's run.

    Attributes:
        competition: Kaggle's name of the competition; empty: nothing was submitted.
        ref: Kaggle's number of the submission; 0 if Kaggle returned none, None if nothing was submitted.
        file_name: Name of the file, without its folder.
        message: Text beside the submission on Kaggle's page.
        sent_at: Time of the submission, ISO 8601, UTC.
        answer: Text of Kaggle's response.
        status: `pending`, `complete` or `error`.
        public: Score on the public part of the test set, as Kaggle writes it; empty: unknown.
        private: Score on the private part, as Kaggle writes it; empty: unknown.
        problem: Reason why Kaggle could not score the submission; empty otherwise.
        sending: Message of a submission whose sending began, and whose answer is not recorded; empty: none.
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
    sending: str = field(default="", metadata=_tag(_TEXT, optional=True))


def prefixed(tags: Mapping[str, object]) -> dict[str, str]:
    """Convert tags to text; a name without a dot gets the prefix `tune_paddy.`."""
    return {key if "." in key else PREFIX + key: str(value) for key, value in tags.items()}
