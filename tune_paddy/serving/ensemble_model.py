"""Predict with an exported ensemble: its members one after the other, then the blend.

This module does not need MLflow, which an offline notebook may lack.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.errors import InputError
from tune_paddy.core.metrics import true_class
from tune_paddy.core.scores.thresholds import decide
from tune_paddy.core.selection.result import Selection
from tune_paddy.core.tasks.task import Task
from tune_paddy.core.views import EMA
from tune_paddy.data.images import count_deep
from tune_paddy.data.system.text import counted
from tune_paddy.serving.manifest import Manifest, ManifestMember, find_ensemble, read_manifest
from tune_paddy.training.inference import InferenceSettings, Progress, TrainedMember
from tune_paddy.training.saved.weight_files import missing_files

REMEDY = (
    "it was deleted or not kept: export the ensemble again from its search, or train its members again with "
    "`tune-paddy select SEARCH --refit all` (a search with `keep_weights: all` keeps every member's)"
)


@dataclass(frozen=True, eq=False)
class Answer:
    """Predictions of an ensemble.

    Attributes:
        classes: Class names, in the order of the columns of `probs`.
        probs: Probabilities, float64 [images, classes]; rows of unreadable images are undefined.
        broken: Index of an unreadable image → reason.
        selection: Selection that decides; None: the likeliest class.
        notes: What a person should know about how the images were read.
    """

    classes: tuple[str, ...]
    probs: NDArray[np.float64]
    broken: Mapping[int, str]
    selection: Selection | None = None
    notes: tuple[str, ...] = ()

    @property
    def task(self) -> Task:
        """What the labels are."""
        return Task.of(None if self.selection is None else self.selection.task)

    @cached_property
    def decisions(self) -> NDArray[np.int64]:
        """Decision for each image, in the form of the task's labels."""
        own = self.selection
        return decide(self.probs, self.task, None if own is None else own.thresholds)

    def labels(self) -> list[str]:
        """Return the decision for each image as text, as in a submission; a tie goes to the first class."""
        return self.task.decode(self.decisions, self.classes)

    def confidences(self) -> NDArray[np.float64]:
        """Return the probability of each image's decision, float64 [images]; of several labels the mean."""
        sure = true_class(self.probs, self.decisions)
        return sure if sure.ndim == 1 else sure.mean(axis=1)

    def top(self, row: int, count: int = 3) -> list[tuple[str, float]]:
        """Return the likeliest classes of one image with their probabilities."""
        order = np.argsort(-self.probs[row], kind="stable")[:count]
        return [(self.classes[index], float(self.probs[row, index])) for index in order]


class EnsembleModel:
    """An exported ensemble.

    Args:
        folder: Folder written by `tune-paddy export`: the MLflow model, or the ensemble within it.
        settings: Device and threads; None: the defaults.
        keep_loaded: Whether members stay in memory between calls; otherwise one is loaded at a time.

    Raises:
        InputError: The folder is not an exported ensemble, or a member lacks files; the message names it.
    """

    def __init__(
        self, folder: Path, settings: InferenceSettings | None = None, *, keep_loaded: bool = False
    ) -> None:
        self.folder = find_ensemble(folder)
        self.manifest: Manifest = read_manifest(self.folder)
        self.settings = settings or InferenceSettings()
        self._keep, self._loaded = keep_loaded, dict[str, TrainedMember]()
        self._knows_range = False
        _check_files(self.folder, self.manifest)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names."""
        return tuple(self.manifest.classes)

    def load(self, member: ManifestMember) -> TrainedMember:
        """Load a member's models, unless they are already in memory.

        Raises:
            InputError: The member's files cannot be read, or its classes differ from the ensemble's.
        """
        loaded = self._loaded.get(member.name)
        if loaded is None:
            folders = [self.folder / folder for folder in member.folders]
            loaded = TrainedMember(folders, batch_size=member.batch_size, settings=self.settings)
            if sorted(loaded.classes) != sorted(self.classes):
                raise InputError(f"{folders[0]}: its classes differ from the ensemble's: export it again")
            if self._keep:
                self._loaded[member.name] = loaded
        return loaded

    def load_all(self) -> None:
        """Load all that `predict` needs, so that the first request is as fast as later ones."""
        for member, kinds in weighted_members(self.manifest, self.manifest.selection):
            self.load(member).load(kinds)

    def predict(
        self,
        paths: Sequence[str],
        *,
        selection: Selection | None = None,
        broken: Mapping[int, str] | None = None,
        progress: Progress = lambda images: None,
    ) -> Answer:
        """Predict image files.

        Args:
            paths: Paths of the image files.
            selection: Ensemble weights of the manifest's views; None: the ensemble's own.
            broken: Index in `paths` → reason, of known unreadable files.
            progress: Callback that counts every image once per model, see `passes`.
        """
        chosen = selection or self.manifest.selection
        views: dict[tuple[str, str], NDArray[np.float32]] = {}
        known = dict(broken or {})
        for member, kinds in weighted_members(self.manifest, chosen):
            predicted, known = self.predict_member(member, paths, kinds, broken=known, progress=progress)
            views |= {(member.name, kind): predicted[kind] for kind in kinds}
        answer = self.blend(views, chosen, len(paths), known)
        read = [path for row, path in enumerate(paths) if row not in known]
        return replace(answer, notes=self.depth_notes(read))

    def depth_notes(self, paths: Sequence[str]) -> tuple[str, ...]:
        """Return a sentence on images of more than 8 bits for which the ensemble knows no range."""
        deep = 0 if self._knows_range else count_deep(paths)
        if not deep:
            return ()
        note = (
            f"{counted(deep, 'image')} of more than 8 bits, each scaled by itself: the ensemble knows no "
            "range of values, since it was trained on images of 8 bits or with `pixel_range: each`"
        )
        return (note,)

    def predict_member(
        self,
        member: ManifestMember,
        paths: Sequence[str],
        kinds: Collection[str],
        *,
        broken: Mapping[int, str] | None = None,
        progress: Progress = lambda images: None,
    ) -> tuple[dict[str, NDArray[np.float32]], dict[int, str]]:
        """Predict some views of one member, with columns in the order of the ensemble's classes.

        Returns:
            View name → float32 [images, classes]; and index in `paths` → reason of all unreadable images.
        """
        loaded = self.load(member)
        self._knows_range = loaded.pixel_range is not None
        predicted, known = loaded.predict(paths, kinds=kinds, broken=broken, progress=progress)
        columns = [loaded.classes.index(name) for name in self.classes]
        return {kind: probs[:, columns] for kind, probs in predicted.items()}, known

    def blend(
        self,
        views: Mapping[tuple[str, str], NDArray[np.float32]],
        selection: Selection,
        n_images: int,
        broken: Mapping[int, str],
    ) -> Answer:
        """Combine views, keyed by (member, kind); views with ensemble weight 0 may be missing."""
        nothing = np.full((n_images, len(self.classes)), 1 / len(self.classes), np.float32)
        ordered = [views.get((member.name, view.kind), nothing) for member, view in self.manifest.views]
        return Answer(self.classes, selection.blend(np.stack(ordered)), broken, selection)

    def passes(self, n_images: int, selection: Selection | None = None) -> int:
        """Return the total number of images that `predict` reports as progress if all are readable."""
        chosen = selection or self.manifest.selection
        return n_images * sum(len(member.folders) for member, _ in weighted_members(self.manifest, chosen))


def weighted_members(
    manifest: Manifest, selection: Selection
) -> list[tuple[ManifestMember, tuple[str, ...]]]:
    """Return the members with a positive ensemble weight, each with the kinds of its weighted views."""
    kinds: dict[str, list[str]] = {}
    for (member, view), weight in zip(manifest.views, selection.weights, strict=True):
        if weight > 0:
            kinds.setdefault(member.name, []).append(view.kind)
    return [(member, tuple(kinds[member.name])) for member in manifest.members if member.name in kinds]


def _check_files(folder: Path, manifest: Manifest) -> None:
    """Report members with missing files before any member predicts."""
    for member in manifest.members:
        average = any(view.kind == EMA and view.weight > 0 for view in member.views)
        parts = [folder / part for part in member.folders]
        missing = [name for part in parts for name in missing_files(part, average=average)]
        if missing:
            raise InputError(f"member {member.name} lacks {missing[0]}: {REMEDY}")
