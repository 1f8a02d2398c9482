"""Collect the contents of an export from the record: weights files, manifest, and predictions to check it."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from tune_paddy.core.errors import InputError
from tune_paddy.core.metrics import metric_key
from tune_paddy.core.predictions import Pool
from tune_paddy.core.views import EMA, in_order
from tune_paddy.data.ensemble_file import ENSEMBLE_FILE, DescribedEnsemble
from tune_paddy.data.layouts.locate import find_test_images
from tune_paddy.data.submission.form import SubmissionFormat
from tune_paddy.data.system.text import first_problem
from tune_paddy.serving.manifest import (
    FORMAT,
    Manifest,
    ManifestEstimate,
    ManifestMember,
    ManifestView,
)
from tune_paddy.serving.selection_data import write_select
from tune_paddy.serving.sources import Source, find_sources
from tune_paddy.tracking.client import call
from tune_paddy.tracking.ensembles import read_recorded_ensemble
from tune_paddy.tracking.files import file_in_record
from tune_paddy.tracking.lookup.ensembles import get_ensemble
from tune_paddy.tracking.pool import load_pool
from tune_paddy.tracking.runs import RecordedRun, get_search, recorded
from tune_paddy.tracking.schema import MemberRecord, SearchRecord
from tune_paddy.tracking.store import Store
from tune_paddy.training.saved.weight_files import present_files


@dataclass(frozen=True, eq=False)
class Collected:
    """An ensemble from the record, with everything needed to export it.

    Attributes:
        manifest: Manifest of the export.
        sources: Folder in the export → folder of the trained model.
        select: Predictions of the select split by members that did not train on it, float32
            [views, images, classes].
        labels: Class indices of the select split, int64 [images].
        test: The ensemble's test predictions, as in the submission, float64 [images, classes].
        test_paths: Row → path of each available test image.
    """

    manifest: Manifest
    sources: Mapping[str, Path]
    select: NDArray[np.float32]
    labels: NDArray[np.int64]
    test: NDArray[np.float64]
    test_paths: Mapping[int, str]

    def files(self) -> dict[str, Path]:
        """Return the members' files: path in the export → file of the trained model."""
        averaged = {
            inner
            for member in self.manifest.members
            for inner in member.folders
            if any(view.kind == EMA for view in member.views)
        }
        return {
            f"{inner}/{name}": source / name
            for inner, source in self.sources.items()
            for name in present_files(source, average=inner in averaged)
        }

    def stage(self, folder: Path, *, place: Callable[[Path, Path], None]) -> None:
        """Write the manifest, the predictions and the members' files to a folder.

        Args:
            folder: Existing, empty folder.
            place: Function that places a file (source, target): `symlink`, or `link_or_copy`.
        """
        for name, source in self.files().items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            place(source.absolute(), folder / name)
        text = self.manifest.model_dump_json(indent=2) + "\n"
        (folder / ENSEMBLE_FILE).write_text(text, encoding="utf-8")
        write_select(folder, self.select, self.labels)


def symlink(file: Path, target: Path) -> None:
    """Create a symbolic link to a file, for temporary use."""
    target.symlink_to(file)


def link_or_copy(file: Path, target: Path) -> None:
    """Create a hard link to a file, or copy it if the file system does not support that."""
    try:
        target.hardlink_to(file)
    except OSError:
        shutil.copyfile(file, target)


def collect(store: Store, search: str, *, runs: Path, ensemble: str | None = None) -> Collected:
    """Find the ensemble of a search, its members' weights files and its predictions.

    Args:
        store: Record of the searches.
        search: Name of the search, or of a refit.
        runs: Folder of searches, for records without a member's folder.
        ensemble: Name or run id of the ensemble; None: the current one.

    Raises:
        InputError: There is no such ensemble, or weights files are missing; the message names the members.
    """
    searched = get_search(store, search)
    run = get_ensemble(store, search, ensemble)
    described = read_recorded_ensemble(store, run)
    sources = find_sources(store, described, runs)
    pool, refit = load_pool(store, described.searches), described.refit
    honest = pool if refit is None else load_pool(store, refit.searches)
    if not pool.classes == honest.classes == described.classes:
        raise InputError(f"the classes of {search!r} differ between members and ensemble: select again")
    if pool.split != described.split:
        raise InputError(f"the split of {search!r} differs between members and ensemble: select again")
    form = SearchRecord.from_run(searched).submission(described.classes)
    manifest = _manifest(store, run, described, sources, with_plain=pool, form=form)
    return Collected(
        manifest=manifest,
        sources={folder: path for source in sources for folder, path in source.folders.items()},
        select=honest.select[_rows(manifest, honest, {} if refit is None else refit.members)],
        labels=honest.labels,
        test=manifest.selection.blend(pool.test[_rows(manifest, pool, {})]),
        test_paths=_test_paths(SearchRecord.from_run(searched).dataset or Path(), pool),
    )


def _manifest(
    store: Store,
    run: RecordedRun,
    described: DescribedEnsemble,
    sources: Sequence[Source],
    *,
    with_plain: Pool,
    form: SubmissionFormat,
) -> Manifest:
    selection = described.selection
    estimate, note = _estimate(store, run, selection.metric)
    try:
        return Manifest(
            format=FORMAT,
            tune_paddy=version("tune-paddy"),
            search=run.search,
            ensemble_run_id=run.run_id,
            classes=list(described.classes),
            method=selection.method,
            metric=selection.metric,
            rule=selection.rule,
            temperature=selection.temperature,
            task=selection.task,
            thresholds=None if selection.thresholds is None else selection.thresholds.tolist(),
            members=[_member(source, described, with_plain) for source in sources],
            estimate=estimate,
            note=note,
            submission=form,
        )
    except ValidationError as error:  # a recorded ensemble need not meet the manifest's stricter limits
        where = file_in_record(run, ENSEMBLE_FILE)
        raise InputError(f"{where}: cannot be exported: {first_problem(error)}; select again") from error


def _member(source: Source, described: DescribedEnsemble, pool: Pool) -> ManifestMember:
    temperatures = described.selection.member_temperatures
    views = {
        view.kind: ManifestView(
            kind=view.kind,
            weight=float(described.selection.weights[row]),
            temperature=1.0 if temperatures is None else float(temperatures[row]),
        )
        for row, view in enumerate(described.views)
        if view.run_id == source.run.run_id
    }
    for view in pool.views:  # a refit's selection names only the views with weight
        if view.run_id == source.run.run_id and view.kind not in views:
            views[view.kind] = ManifestView(kind=view.kind, weight=0.0)
    if EMA in views and not views[EMA].weight:
        del views[EMA]  # as a candidate it would double the size of the member
    record = MemberRecord.from_run(source.run)
    return ManifestMember(
        name=source.name,
        arch=source.config.arch,
        folders=list(source.folders),
        batch_size=source.batch_size,
        passes=source.config.tta,
        parameters_m=source.run.metrics.get("parameters_m", 0.0),
        run_id=source.run.run_id,
        licence=record.licence,
        pretraining=record.pretraining,
        views=[views[kind] for kind in in_order(views)],
    )


def _estimate(store: Store, run: RecordedRun, metric: str) -> tuple[ManifestEstimate | None, str]:
    """Return the ensemble's estimate and a note; a refit, trained on every image, uses the original's."""
    note = ""
    if original := run.params.get("refit_of"):
        note = "The estimate is that of the ensemble before its members were trained again on all images."
        run = recorded(call(store.client.get_run, original))
    key = f"ensemble_{metric_key(metric)}"
    names = {"score": key, "low": f"{key}_low", "high": f"{key}_high"}
    if any(name not in run.metrics for name in names.values()):
        return None, ""
    values = {field: run.metrics[name] for field, name in names.items()}
    return ManifestEstimate(metric=metric, **values), note


def _rows(manifest: Manifest, pool: Pool, aliases: Mapping[str, str]) -> list[int]:
    """Return the pool's rows of the manifest's views; `aliases` maps a member to a replacing run."""
    rows = {(view.run_id, view.kind): row for row, view in enumerate(pool.views)}
    wanted = [(aliases.get(member.name, member.run_id), view.kind) for member, view in manifest.views]
    missing = [run_id for run_id, kind in wanted if (run_id, kind) not in rows]
    if missing:
        reasons = "; ".join(f"{refusal.member}: {refusal.reason}" for refusal in pool.refused)
        raise InputError(f"run {missing[0]} no longer has predictions ({reasons or 'none are recorded'})")
    return [rows[key] for key in wanted]


def _test_paths(root: Path, pool: Pool) -> dict[int, str]:
    ids = pool.test_ids.tolist()
    found = find_test_images(root, ids)
    return {row: str(found[name]) for row, name in enumerate(ids) if name in found}
