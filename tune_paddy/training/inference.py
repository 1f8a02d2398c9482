"""Predict image files with a trained member, exactly as it predicted the test set."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tune_paddy.core.views import EMA, PLAIN, view_work
from tune_paddy.data.images import ImageError
from tune_paddy.data.pixel_range import PixelRange
from tune_paddy.data.resizing import CENTRE, Pixels, Size
from tune_paddy.data.system.cpus import usable_cpus
from tune_paddy.training.batches.loaders import ImageReader
from tune_paddy.training.devices import Device, device_by_name
from tune_paddy.training.networks.members import member_plan
from tune_paddy.training.oom import is_out_of_memory, release_memory
from tune_paddy.training.saved.member_files import SavedMember, load_average, load_member
from tune_paddy.training.views import predict

CHUNK = 256
"""Approximate number of images between progress reports, rounded to whole batches to keep results equal."""

Progress = Callable[[int], None]
"""Callback with the number of images predicted since its last call; an exception from it stops prediction."""


@dataclass(frozen=True)
class InferenceSettings:
    """Device and threads of prediction; they change predictions by rounding only.

    Attributes:
        device: `auto`, `cpu`, `cuda`, `cuda:1` and so on, or `mps`.
        threads: Number of threads for decoding, and for torch on the CPU.
    """

    device: str = "auto"
    threads: int = field(default_factory=usable_cpus)


class TolerantReader(ImageReader):
    """Image reader that replaces unreadable images by black ones and records them.

    Attributes:
        broken: Row → reason why its image cannot be read.
    """

    def __init__(
        self,
        paths: Sequence[str],
        size: Size,
        method: str,
        threads: int,
        pixel_range: PixelRange | None = None,
    ) -> None:
        super().__init__(paths, size, method, threads, pixel_range=pixel_range)
        self.broken: dict[int, str] = {}
        self._black = np.zeros((3, *size), np.uint8)

    def read(self, row: int, offset: tuple[float, float] = CENTRE) -> Pixels:
        """Read one image, uint8 [3, H, W]; if that fails, record the reason and return a black image."""
        try:
            return super().read(row, offset)
        except ImageError as error:
            self.broken[row] = error.reason
            return self._black


class TrainedMember:
    """A member's models on a device: one, or one per fold, whose predictions are averaged.

    Args:
        folders: Folder of each model, written by `save_member`.
        batch_size: Initial number of images per batch; halved permanently after out of memory.
        settings: Device and threads.

    Attributes:
        config: Configuration of the first model.
        classes: Class names, in the order of the predictions' columns.
        task: What the labels are.
        pixel_range: Range of the deep images that it was trained on; None: 8 bits, or each by itself.

    Raises:
        InputError: A folder holds no readable model, or the device does not exist.
    """

    def __init__(self, folders: Sequence[Path], *, batch_size: int, settings: InferenceSettings) -> None:
        torch.set_num_threads(settings.threads)
        self._saved: dict[Path, SavedMember] = {folder: load_member(folder) for folder in folders}
        self._averages: dict[Path, nn.Sequential] = {}
        first = self._saved[folders[0]]
        self.config, self.classes, self.task = first.config, first.classes, first.task
        self.pixel_range = first.pixel_range
        self._threads, self._batch_size = settings.threads, batch_size
        self._device: Device = device_by_name(settings.device, self.config.precision)
        for saved in self._saved.values():
            saved.model.to(self._device.torch)

    def load(self, kinds: Collection[str]) -> None:
        """Read what some views need besides the member's own parameters: `ema` has averaged ones.

        Raises:
            InputError: The averaged parameters cannot be read.
        """
        if EMA in kinds:
            for folder in self._saved:
                self._averaged(folder)

    def predict(
        self,
        paths: Sequence[str],
        *,
        kinds: Collection[str] | None = None,
        broken: Mapping[int, str] | None = None,
        progress: Progress = lambda images: None,
    ) -> tuple[dict[str, NDArray[np.float32]], dict[int, str]]:
        """Predict image files.

        Args:
            paths: Paths of the image files.
            kinds: Views to compute, of those that the member has; None: all of them.
            broken: Index in `paths` → reason, of known unreadable files; they are not opened again.
            progress: Callback that counts every image once per model.

        Returns:
            View name → float32 [images, classes], with undefined rows for unreadable images; and index in
            `paths` → reason of all unreadable images.

        Raises:
            InputError: The ema view is wanted, and the averaged parameters cannot be read.
        """
        known = dict(broken or {})
        views = [kind for kind in view_work(vars(self.config)) if kinds is None or kind in kinds]
        sums = {view: np.zeros((len(paths), len(self.classes))) for view in views}
        for folder in self._saved:
            good = [row for row in range(len(paths)) if row not in known]
            for rows in _chunks(good, self._batch_size):
                predicted, found = self._predict_views(folder, [paths[row] for row in rows], views)
                known |= {rows[place]: reason for place, reason in found.items()}
                for view in views:
                    sums[view][rows] += predicted[view]
                progress(len(rows))
        means = {view: (total / len(self._saved)).astype(np.float32) for view, total in sums.items()}
        return means, known

    def _predict_views(
        self, folder: Path, paths: Sequence[str], kinds: Collection[str]
    ) -> tuple[dict[str, NDArray[np.float32]], Mapping[int, str]]:
        saved, own = self._saved[folder], [kind for kind in kinds if kind != EMA]
        if EMA not in kinds:
            return self._predict_chunk(saved, saved.model, paths, own)
        averaged, broken = self._predict_chunk(saved, self._averaged(folder), paths, (PLAIN,))
        others = self._predict_chunk(saved, saved.model, paths, own)[0] if own else {}
        return others | {EMA: averaged[PLAIN]}, broken

    def _predict_chunk(
        self, saved: SavedMember, model: nn.Sequential, paths: Sequence[str], kinds: Collection[str]
    ) -> tuple[dict[str, NDArray[np.float32]], Mapping[int, str]]:
        config = self.config
        plan = member_plan(config)
        while True:
            reader = TolerantReader(paths, config.item_size, config.resize, self._threads, saved.pixel_range)
            try:
                predicted = predict(
                    model,
                    reader,
                    config,
                    device=self._device,
                    batch_size=self._batch_size,
                    stats=(plan.mean, plan.std),
                    n_classes=len(self.classes),
                    task=saved.task,
                    kinds=kinds,
                )
            except Exception as error:
                if not is_out_of_memory(error) or self._batch_size == 1:
                    raise
            else:
                return predicted, reader.broken
            release_memory()
            self._batch_size = max(1, self._batch_size // 2)

    def _averaged(self, folder: Path) -> nn.Sequential:
        """Return a model with averaged parameters, read when they are first needed."""
        if folder not in self._averages:
            self._averages[folder] = load_average(folder).to(self._device.torch)
        return self._averages[folder]

    def synchronize(self) -> None:
        """Wait until the device has finished its queued work, so that a clock measures it."""
        self._device.synchronize()


def _chunks(rows: Sequence[int], batch_size: int) -> Collection[list[int]]:
    """Split rows into chunks of whole batches, about `CHUNK` images each."""
    size = batch_size * max(1, CHUNK // batch_size)
    return [list(rows[start : start + size]) for start in range(0, len(rows), size)]
