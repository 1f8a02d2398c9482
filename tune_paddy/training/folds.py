"""Train one member k times, so that every labelled image is predicted by a model that never saw it.

Source: the out-of-fold predictions of Wolpert, "Stacked generalization", Neural Networks 1992.
"""

import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.predictions import MOST_BYTES, FoldPredictions, Predictions
from tune_paddy.core.teaching.targets import taught_view
from tune_paddy.core.views import PLAIN
from tune_paddy.data.member_data import Parts
from tune_paddy.data.system.files import write_atomically
from tune_paddy.training.batches.loaders import subsample_rows
from tune_paddy.training.member import train_member
from tune_paddy.training.oom import release_memory
from tune_paddy.training.results import EpochReport, MemberResult, Report
from tune_paddy.training.runtime import Runtime
from tune_paddy.training.saved.checkpoint_files import RESULT, remove_checkpoints
from tune_paddy.training.scores import member_scores

TOTALS = ("train_seconds_total", "predict_seconds", "predict_ms_per_image", "parameters_m")
"""Metrics that are summed over a member's models: every model predicts every test image."""


MEANS = ("train_images", "embedded_images", "head_embedded_images", "best_epoch")
"""Metrics that are averaged over a member's models if all of these have them."""


def train_folds(
    config: MemberConfig,
    parts: Parts,
    runtime: Runtime,
    *,
    report: Report = lambda report: None,
) -> MemberResult:
    """Train one model per fold, each on all other folds, and merge their predictions.

    Every model has its own folder (`fold-0`, `fold-1`, …), in which it resumes from its newest
    checkpoint. A finished fold is not trained again.

    Args:
        config: Configuration of every model, including the seed.
        parts: Labelled images with folds, and the test set.
        runtime: Resources of the member; an `accum` raised in one fold applies to the next folds.
        report: Callback after each epoch, with epochs counted over all folds and the scores of the
            running fold. An exception from it stops the training, which can be resumed.

    Returns:
        Out-of-fold predictions of every labelled image, and the mean prediction of all models for the
        test set; those of each model alone, for students; scores; times and parameters summed over models.

    Raises:
        InputError: The architecture, size, precision or pretrained weights are unknown or unavailable.
        InfeasibleError: The member does not fit with a micro-batch of one image.
        DivergedError: The loss of a model is not finite.
    """
    results: list[MemberResult] = []
    for fold in range(parts.n_folds):
        before = fold * config.total_epochs
        last = fold == parts.n_folds - 1
        folder, resumes = runtime.folder / f"fold-{fold}", _later(runtime.resumes, before, last=last)
        own = replace(runtime, folder=folder, resumes=resumes)
        if results:
            own = replace(own, accum=results[-1].accum)
        results.append(_train_fold(config, parts.fold(fold), own, _later(report, before, last=last)))
        release_memory()
    return _merge(config, parts, results, runtime.metrics)


def _later(report: Report, epochs: int, *, last: bool) -> Report:
    """Return a report of a fold's epochs, after those of earlier folds; the last fold ends a member."""
    return lambda done: report(EpochReport(done.epoch + epochs, done.metrics, last and done.ends_early))


def _train_fold(config: MemberConfig, parts: Parts, runtime: Runtime, report: Report) -> MemberResult:
    path = runtime.folder / RESULT
    result = _load(path, config, parts)
    if result is None:
        # The checkpoints stay until the result is saved: otherwise a death between the two would repeat all.
        result = train_member(config, parts, replace(runtime, keep_checkpoints=True), report=report)
        _save(path, result)
    if not runtime.keep_checkpoints:
        remove_checkpoints(runtime.folder)
    runtime.saved()
    return result


def _save(path: Path, result: MemberResult) -> None:
    predictions = result.predictions
    arrays_apart = ("config", "predictions", "others")
    meta = {key: value for key, value in vars(result).items() if key not in arrays_apart}
    meta |= {"config": result.config.model_dump(mode="json"), "split": predictions.split}
    arrays: dict[str, NDArray[Any]] = {
        "meta": np.array(json.dumps(meta)),
        "select_ids": predictions.select_ids,
        "test_ids": predictions.test_ids,
        **({} if result.others is None else {"others": result.others}),
    }
    for part in ("select", "test"):
        arrays |= {f"{part}_{view}": probs for view, probs in getattr(predictions, part).items()}
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    write_atomically(path, file.getvalue())


def _load(path: Path, config: MemberConfig, parts: Parts) -> MemberResult | None:
    """Return a fold's result; None if it is missing or belongs to another member or other images."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        meta = json.loads(str(arrays["meta"]))
        if MemberConfig(**meta.pop("config")) != config or meta.pop("split") != parts.split:
            return None
        ids = [arrays[f"{part}_ids"].tolist() for part in ("select", "test")]
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None  # truncated, for example by a full disk: the fold is trained again
    if ids != [parts.select.ids.tolist(), parts.test.ids.tolist()]:
        return None
    views = [name.removeprefix("test_") for name in arrays if name.startswith("test_") and name != "test_ids"]
    predictions = _predictions(
        parts, *({view: arrays[f"{part}_{view}"] for view in views} for part in ("select", "test"))
    )
    meta |= {"history": tuple(meta["history"]), "notes": tuple(meta["notes"])}
    return MemberResult(config=config, predictions=predictions, others=arrays.get("others"), **meta)


def _predictions(
    parts: Parts, select: Mapping[str, NDArray[np.float32]], test: Mapping[str, NDArray[np.float32]]
) -> Predictions:
    return Predictions(
        classes=parts.classes,
        split=parts.split,
        select_ids=parts.select.ids,
        select_labels=parts.select.labels,
        test_ids=parts.test.ids,
        select=select,
        test=test,
        task=parts.task,
    )


def _merge(
    config: MemberConfig, parts: Parts, results: Sequence[MemberResult], further: Sequence[str]
) -> MemberResult:
    folds = [result.predictions for result in results]
    views = list(folds[0].select)
    select = {view: _in_order([fold.select[view] for fold in folds], parts.folds) for view in views}
    test = {view: _mean([fold.test[view] for fold in folds]) for view in views}
    predictions = replace(_predictions(parts, select, test), by_fold=_by_fold(config, parts, results))
    return MemberResult(
        config=config,
        predictions=predictions,
        history=tuple(epoch for result in results for epoch in result.history),
        metrics=_summary(predictions, results, further),
        accum=max(result.accum for result in results),
        ooms=sum(result.ooms for result in results),
        stack=results[-1].stack,
        notes=tuple(dict.fromkeys(note for result in results for note in result.notes)),
    )


def _by_fold(config: MemberConfig, parts: Parts, results: Sequence[MemberResult]) -> FoldPredictions | None:
    """Return what each model predicts; None if an older version trained one, or if it is very large."""
    size = len(results) * (len(parts.select) + len(parts.test)) * len(parts.classes) * 2
    if any(result.others is None for result in results) or size > MOST_BYTES:
        return None
    select = np.empty((len(results), len(parts.select), len(parts.classes)), np.float16)
    trained = np.zeros(select.shape[:2], np.bool_)
    for fold, result in enumerate(results):
        inside = parts.folds == fold
        select[fold, inside], select[fold, ~inside] = result.predictions.select[PLAIN], result.others
        train = parts.fold(fold).train
        rows = subsample_rows(train.labels, config, train.groups)
        outside = np.flatnonzero(~inside)  # the first rows of the training images, see `Parts.fold`
        trained[fold, outside[rows[rows < len(outside)]]] = True
    view = taught_view(results[0].predictions.test)
    test = np.stack([result.predictions.test[view] for result in results]).astype(np.float16)
    return FoldPredictions(select, trained, test)


def _in_order(by_fold: Sequence[NDArray[np.float32]], folds: NDArray[np.int64]) -> NDArray[np.float32]:
    """Merge predictions [images of a fold, classes] into the order of all images [images, classes]."""
    merged = np.empty((len(folds), by_fold[0].shape[1]), np.float32)
    for fold, probs in enumerate(by_fold):
        merged[folds == fold] = probs
    return merged


def _mean(by_fold: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    mean: NDArray[np.float32] = np.stack(by_fold).mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean


def _summary(
    predictions: Predictions, results: Sequence[MemberResult], further: Sequence[str]
) -> dict[str, float]:
    """Return the scores of the merged predictions; sums, the largest peak and the mean number of images."""
    metrics: dict[str, float] = {}
    for view, probs in predictions.select.items():
        scores = member_scores(probs, predictions.select_labels, further)
        metrics |= {f"{view}/{name}": value for name, value in scores.items()}

    def over_folds(combine: Callable[[list[float]], Any], name: str) -> float:
        return float(combine([result.metrics[name] for result in results]))

    metrics |= {name: over_folds(sum, name) for name in TOTALS}
    for name in MEANS:
        if all(name in result.metrics for result in results):
            metrics[name] = over_folds(np.mean, name)
    metrics["peak_mib"] = over_folds(max, "peak_mib")
    return metrics
