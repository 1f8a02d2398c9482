from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tune_paddy.core.config import MemberConfig
from tune_paddy.data.image_cache.cache import GB, ImageSet
from tune_paddy.data.image_cache.shards import SUFFIX
from tune_paddy.data.images import ImageError
from tune_paddy.data.member_data import Parts
from tune_paddy.training.batches import decoding, loaders
from tune_paddy.training.batches.decoding import opened_cache
from tune_paddy.training.member import train_member
from tune_paddy.training.results import MemberResult
from tune_paddy.training.runtime import Runtime

Train = Callable[..., tuple[MemberResult, tuple[str, ...]]]


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNE_PADDY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "images"


@pytest.fixture
def train(parts: Parts, make_config: Callable[..., MemberConfig], tmp_path: Path) -> Train:
    """Return a function that trains a member in its own folder with a cache of `limit` GB."""

    def run(limit: float, parts: Parts = parts, **changes: object) -> tuple[MemberResult, tuple[str, ...]]:
        images = image_set(parts)
        config = make_config(**changes)
        folder = tmp_path / f"member-{len(list(tmp_path.iterdir()))}"
        with opened_cache(limit, images, config, threads=2) as (cached, refusals):
            return train_member(config, parts, Runtime(folder=folder, cached=cached)), refusals

    return run


def image_set(parts: Parts) -> ImageSet:
    return ImageSet("0123456789abcdef", (*parts.train.paths, *parts.select.paths, *parts.test.paths))


@pytest.mark.parametrize(("method", "size"), [("squish", (40, 36)), ("crop", (32, 48)), ("pad", (32, 48))])
def test_a_member_trained_from_the_cache_equals_one_trained_from_the_files(
    train: Train, monkeypatch: pytest.MonkeyPatch, method: str, size: tuple[int, int]
) -> None:
    """Bit by bit: the cache holds decoded pixels, and crops are drawn afterwards in whole pixels."""
    files, _ = train(0, resize=method, resize_size=size)
    monkeypatch.delattr(loaders, "load_scaled")  # from now on nothing is decoded for a batch
    cached, refusals = train(1, resize=method, resize_size=size)
    assert refusals == ()
    for part in ("select", "test"):
        for view, probs in getattr(files.predictions, part).items():
            assert np.array_equal(getattr(cached.predictions, part)[view], probs), (part, view)
    losses = [[epoch["train_loss"] for epoch in result.history] for result in (files, cached)]
    assert losses[0] == losses[1]


def test_members_of_one_size_decode_each_image_once_in_total(
    train: Train, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []
    real = decoding.load_scaled

    def counting(path: str, **options: object) -> np.ndarray:
        decoded.append(path)
        return real(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(decoding, "load_scaled", counting)
    monkeypatch.delattr(loaders, "load_scaled")
    for seed in (0, 1):
        train(1, seed=seed, epochs=1)
    assert sorted(decoded) == sorted(image_set(parts).paths)


@pytest.mark.parametrize("limit", [0.0, 1 / GB], ids=["switched off", "too small"])
def test_a_member_trains_without_space_for_the_cache(
    train: Train, parts: Parts, cache_folder: Path, limit: float
) -> None:
    result, refusals = train(limit, epochs=1)
    assert len(result.predictions.test["plain"]) == len(parts.test)
    assert len(refusals) == (limit > 0)
    assert all("no image cache: 151 images" in refusal for refusal in refusals)
    assert list(cache_folder.glob(f"*/*{SUFFIX}")) == []


@pytest.mark.parametrize("limit", [0, 1])
def test_a_missing_image_is_named_with_and_without_the_cache(
    train: Train, parts: Parts, tmp_path: Path, limit: float
) -> None:
    gone = replace(parts.test, paths=(str(tmp_path / "gone.png"), *parts.test.paths[1:]))
    with pytest.raises(ImageError, match=r"gone\.png: there is no such file"):
        train(limit, replace(parts, test=gone), epochs=1)
