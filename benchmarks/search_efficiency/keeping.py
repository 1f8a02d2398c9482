"""Train a member, and keep its scores, its CPU seconds and its predictions along the epochs."""

import gc
import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from configurations import Configuration
from numpy.typing import NDArray

from tune_paddy.core.config import MemberConfig
from tune_paddy.data.member_data import Parts
from tune_paddy.training.attempt import Attempt
from tune_paddy.training.devices import use_threads
from tune_paddy.training.frozen.store import EmbeddingCache
from tune_paddy.training.runtime import Runtime

CACHE_BYTES = 8 << 30
"""Limit of the embedding cache of the tables: nothing is ever removed."""

Arrays = dict[str, NDArray[Any]]


class KeepingAttempt(Attempt):
    """A training that predicts all views of both parts at a quarter, half and the end of its epochs.

    Attributes:
        arrays: `PART/VIEW/EPOCH` → probabilities, float16 [images, classes].
        seconds: CPU seconds from the start to the end of each epoch, without the keeping.
        kept: Epochs whose predictions are kept.
        predicting: CPU seconds to predict all views at each kept epoch, which a member that ends there needs.
    """

    def __init__(self, config: MemberConfig, parts: Parts, runtime: Runtime) -> None:
        self.arrays: Arrays = {}
        self.seconds: list[float] = []
        self.kept = kept_epochs(config.total_epochs)
        self.predicting: list[float] = []
        self._started = time.process_time()
        super().__init__(config, parts, runtime, lambda report: None)

    def after_epoch(self, learner: Any, epoch: int, loss: float, seconds: float) -> None:
        """Keep the predictions of an epoch; those of the last one are the member's own."""
        super().after_epoch(learner, epoch, loss, seconds)
        before = time.process_time()
        self.seconds.append(before - self._started)
        if epoch in self.kept[:-1]:
            for name in ("select", "test"):
                part = getattr(self.parts, name)
                self._keep(name, self._predict(learner.model, part) | self._averaged(part), epoch)
            self.predicting.append(time.process_time() - before)
            self._started += self.predicting[-1]

    def _keep(self, part: str, views: Mapping[str, NDArray[np.float32]], epoch: int) -> None:
        self.arrays |= {f"{part}/{view}/{epoch}": probs.astype(np.float16) for view, probs in views.items()}

    def keep_all(self) -> Arrays:
        """Train, and return what a table holds of the member."""
        result = self.run()
        total = time.process_time() - self._started
        if self.config.frozen:
            self.seconds = [total - result.metrics["predict_seconds"]]
        self.predicting.append(total - self.seconds[-1])
        self._keep("select", result.predictions.select, self.kept[-1])
        self._keep("test", result.predictions.test, self.kept[-1])
        return self.arrays | {
            "seconds": np.array(self.seconds),
            "kept": np.array(self.kept),
            "predicting": np.array(self.predicting),
            "curve": np.array([epoch["calibrated_log_loss"] for epoch in result.history]),
            "embedded": np.array(result.metrics.get("embedded_images", 0.0)),
        }


def kept_epochs(total: int) -> list[int]:
    """Return the epochs at a quarter, half and the end of a training.

    >>> kept_epochs(8), kept_epochs(5), kept_epochs(1)
    ([2, 4, 8], [2, 3, 5], [1])
    """
    return sorted({-(-total // 4), -(-total // 2), total})


def keep_member(
    path: Path, configuration: Configuration, flip: str, parts: Parts, *, store: Path, weights: Path
) -> None:
    """Train one configuration, and write its file.

    A frozen member that computed features trains again: the second run says what it costs once they exist.
    The first such difference is kept for all members that share the features.
    """
    config = configuration.member(flip)
    use_threads(1)
    folder = store / "work" / f"{path.parent.name}-{path.stem}"
    runtime = Runtime(
        folder,
        allow_gpu=False,
        keep_weights=False,
        weights_dir=weights,
        embeddings=EmbeddingCache(store / "embeddings", CACHE_BYTES),
        clock=time.process_time,
    )

    def trained() -> Arrays:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return KeepingAttempt(config, parts, runtime).keep_all()

    arrays = trained()
    if config.frozen:
        features, first = features_of(config), arrays
        known = path.with_name(f"features-{features}.json")
        if first["embedded"] > 0:
            arrays = trained()
            if not known.exists():
                known.write_text(json.dumps(_total(first) - _total(arrays)))
        arrays["features"] = np.array(features)
    about = {
        "origin": configuration.origin,
        "number": configuration.number,
        "kind": configuration.kind,
        "values": dict(configuration.values),
        "config": config.model_dump(mode="json"),
    }
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, about=np.array(json.dumps(about)), **arrays)
    partial.replace(path)
    shutil.rmtree(folder, ignore_errors=True)
    gc.collect()


def features_of(config: MemberConfig) -> str:
    """Return a name of the features that a frozen member's head is fitted to."""
    return f"{config.arch}-{config.size[0]}-{config.resize}-{config.flip}"


def _total(arrays: Arrays) -> float:
    return float(arrays["seconds"][-1] + arrays["predicting"][-1])
