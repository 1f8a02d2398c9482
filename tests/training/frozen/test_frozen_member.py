"""Frozen members: trained, saved, resumed and repeated like other members, with each image embedded once."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.frozen.conftest import ARCH, Passes
from tune_paddy.core.config import MemberConfig
from tune_paddy.core.errors import DivergedError
from tune_paddy.core.predictions import check
from tune_paddy.core.tasks.task import Task
from tune_paddy.data.image_cache.cache import ImageSet
from tune_paddy.data.member_data import Part, Parts
from tune_paddy.training.batches.loaders import ImageReader, subsample_rows
from tune_paddy.training.devices import Device
from tune_paddy.training.folds import train_folds
from tune_paddy.training.frozen import embedding
from tune_paddy.training.frozen.store import EmbeddingCache
from tune_paddy.training.member import train_member
from tune_paddy.training.networks.model import build_model
from tune_paddy.training.networks.plan import plan_body
from tune_paddy.training.results import EpochReport, MemberResult
from tune_paddy.training.runtime import Runtime
from tune_paddy.training.saved.member_files import load_member
from tune_paddy.training.views import predict

Make = Callable[..., MemberConfig]


@dataclass(frozen=True)
class Trained:
    """A member, its folder, its reports and the filled cache."""

    config: MemberConfig
    folder: Path
    result: MemberResult
    reports: list[EpochReport]
    cache: EmbeddingCache


@pytest.fixture(scope="module")
def trained(parts: Parts, frozen: Make, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder, reports = tmp_path_factory.mktemp("frozen"), []
    cache = EmbeddingCache(folder / "embeddings", 10**9)
    config = frozen(flip_view=True)
    runtime = Runtime(folder / "member", embeddings=cache)
    result = train_member(config, parts, runtime, report=reports.append)
    return Trained(config, folder / "member", result, reports, cache)


def equal(first: MemberResult, second: MemberResult) -> bool:
    """Return whether the predictions are equal, bit by bit."""
    pairs = [(first.predictions.select, second.predictions.select)]
    pairs += [(first.predictions.test, second.predictions.test)]
    return all(np.array_equal(a[view], b[view]) for a, b in pairs for view in a)


def test_a_frozen_member_learns_in_one_epoch(trained: Trained) -> None:
    """Nine of ten are wrong by chance."""
    result = trained.result
    assert check(result.predictions) is None
    assert result.metrics["plain/error_rate"] < 0.4
    assert set(result.predictions.select) == {"plain", "tta", "flips"}
    assert [(report.epoch, report.metrics) for report in trained.reports] == [(1, result.history[0])]
    assert result.history[0]["log_loss"] == result.metrics["plain/log_loss"]
    assert result.notes == ()


def test_the_body_keeps_its_weights_and_statistics(trained: Trained) -> None:
    before = build_model(ARCH, 10, size=(32, 32), pretrained=trained.config.pretrained, frozen=True)
    saved = load_member(trained.folder).model
    for name, value in before[0].state_dict().items():
        assert torch.equal(saved[0].state_dict()[name], value)


def test_a_loaded_frozen_member_predicts_the_same(trained: Trained, parts: Parts) -> None:
    saved, config = load_member(trained.folder), trained.config
    plan = plan_body(config.arch, config.size, config.drop_path)
    views = predict(
        saved.model,
        ImageReader(parts.test.paths, config.item_size, config.resize, 1),
        saved.config,
        device=Device("cpu", "fp32"),
        batch_size=64,
        stats=(plan.mean, plan.std),
        n_classes=10,
    )
    for view, probs in views.items():  # the head reads other numbers of images at once
        np.testing.assert_allclose(probs, trained.result.predictions.test[view], atol=1e-5)


def test_a_second_training_embeds_nothing_and_equals_the_first(
    trained: Trained, parts: Parts, tmp_path: Path, passes: Passes
) -> None:
    again = train_member(trained.config, parts, Runtime(tmp_path, embeddings=trained.cache))
    assert passes.images == []
    assert equal(again, trained.result)


def test_each_image_is_decoded_once_for_all_its_symmetries(
    parts: Parts, frozen: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded, read = [], ImageReader.read

    def counted(reader: ImageReader, row: int, *arguments: object) -> object:
        decoded.append(reader.paths[row])
        return read(reader, row, *arguments)

    config = frozen(flip="dihedral", tta=0)
    monkeypatch.setattr(ImageReader, "read", counted)
    result = train_member(config, parts, Runtime(tmp_path))
    rows = subsample_rows(parts.train.labels, config).tolist()
    assert [decoded.count(parts.train.paths[row]) for row in rows] == [1] * len(rows)
    assert result.metrics["embedded_images"] == len(rows)


def test_a_member_records_how_many_of_its_images_it_embedded_itself(
    trained: Trained, parts: Parts, frozen: Make, tmp_path: Path
) -> None:
    """An image of which the cache has one symmetry does not count: half of its work was done before."""
    assert trained.result.metrics["embedded_images"] == trained.result.metrics["train_images"]
    for flip in ("horizontal", "dihedral"):
        again = train_member(frozen(flip=flip), parts, Runtime(tmp_path / flip, embeddings=trained.cache))
        assert again.metrics["embedded_images"] == 0


def test_the_features_of_a_file_that_was_replaced_are_not_kept_under_its_old_hash(
    parts: Parts, frozen: Make, tmp_path: Path, passes: Passes
) -> None:
    """The hashes are those of the time when the dataset was opened."""
    replaced = tmp_path / "replaced.png"
    replaced.write_bytes(Path(parts.train.paths[0]).read_bytes())
    paths = [str(replaced), *parts.train.paths[1:]]
    hashes = [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in paths]
    train = replace(parts.train, paths=paths)
    known = replace(parts, train=train, images=ImageSet("", paths, sums=tuple(hashes)))
    replaced.write_bytes(Path(paths[1]).read_bytes())
    cache = EmbeddingCache(tmp_path / "embeddings", 10**9)
    config = frozen(subsample=1.0, flip="none", tta=0)
    train_member(config, known, Runtime(tmp_path / "first", embeddings=cache))
    replaced.write_bytes(Path(parts.train.paths[0]).read_bytes())
    passes.images.clear()
    train_member(config, known, Runtime(tmp_path / "second", embeddings=cache))
    assert passes.images == [(str(replaced), 0)]


def test_a_random_body_leaves_nothing_in_the_cache(parts: Parts, frozen: Make, tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path / "embeddings", 10**9)
    train_member(frozen(pretrained=False, tta=0), parts, Runtime(tmp_path / "member", embeddings=cache))
    assert not cache.folder.exists()


def test_a_member_without_a_cache_equals_one_with_it(trained: Trained, parts: Parts, tmp_path: Path) -> None:
    assert equal(train_member(trained.config, parts, Runtime(tmp_path)), trained.result)


def test_another_seed_embeds_only_the_images_that_the_first_did_not_see(
    trained: Trained, parts: Parts, frozen: Make, tmp_path: Path, passes: Passes
) -> None:
    """Also where the images lie elsewhere: the contents of the files count."""
    paths = parts.train.paths
    hashes = [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in paths]
    sums = ImageSet("", paths, sums=tuple(hashes))
    seen = set(subsample_rows(parts.train.labels, trained.config).tolist())
    other = frozen(seed=7)
    wanted = [row for row in subsample_rows(parts.train.labels, other).tolist() if row not in seen]
    cache = EmbeddingCache(tmp_path / "embeddings", 10**9)
    for config in (trained.config, other):
        passes.images.clear()
        known = replace(parts, images=sums)
        train_member(config, known, Runtime(tmp_path / str(config.seed), embeddings=cache))
    assert passes.images == [(parts.train.paths[row], code) for code in (0, 1) for row in wanted]


def test_the_select_and_test_images_of_another_member_are_not_embedded_again(
    trained: Trained, parts: Parts, frozen: Make, tmp_path: Path, passes: Passes
) -> None:
    """Its time to predict an image is measured without the cache, since a served image is not in one."""
    other = frozen(flip_view=True, label_smoothing=0.1, tta=0)
    result = train_member(other, parts, Runtime(tmp_path, embeddings=trained.cache))
    assert passes.images == []
    assert set(result.predictions.test) == {"plain", "flips"}
    assert result.metrics["predict_ms_per_image"] > 0


def test_folds_embed_each_image_once(parts: Parts, frozen: Make, tmp_path: Path, passes: Passes) -> None:
    every = parts.train + parts.select
    dealt = replace(
        parts,
        train=every.take(np.zeros(len(every), np.bool_)),
        select=every,
        folds=np.arange(len(every)) % 2,
    )
    cache = EmbeddingCache(tmp_path / "embeddings", 10**9)
    config = frozen(subsample=1.0, flip="none", tta=0)
    result = train_folds(config, dealt, Runtime(tmp_path / "member", embeddings=cache))
    assert sorted(passes.images) == sorted((path, 0) for path in (*every.paths, *parts.test.paths))
    assert check(result.predictions) is None


def test_an_interrupted_member_continues_with_what_it_has_embedded(
    trained: Trained, parts: Parts, tmp_path: Path, passes: Passes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "SEGMENT", 16)

    class KilledError(Exception):
        """Simulates the death of the process."""

    def die(_images: int) -> None:
        if len(passes.images) >= 64:
            raise KilledError

    runtime = Runtime(tmp_path / "member", accum=4, embeddings=EmbeddingCache(tmp_path / "embeddings", 10**9))
    passes.fail = die
    with pytest.raises(KilledError):
        train_member(trained.config, parts, runtime)
    passes.fail = lambda images: None
    again = train_member(trained.config, parts, runtime)
    images = 80 + len(parts.select) + len(parts.test)
    assert len(passes.images) == len(set(passes.images)) == 2 * images
    assert again.metrics["embedded_images"] == 80 - 32
    for view, probs in again.predictions.select.items():  # other batches round differently
        np.testing.assert_allclose(probs, trained.result.predictions.select[view], atol=1e-3)


def test_out_of_memory_halves_the_batch(
    trained: Trained, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that fits predicts the same, apart from rounding."""
    sizes: list[int] = []
    in_order = ImageReader.in_order

    def scarce(reader: ImageReader, batch_size: int) -> object:
        sizes.append(batch_size)
        if batch_size > 32:
            raise MemoryError
        return in_order(reader, batch_size)

    monkeypatch.setattr(ImageReader, "in_order", scarce)
    result = train_member(trained.config, parts, Runtime(tmp_path))
    assert (result.ooms, result.accum, sizes[:2]) == (1, 2, [64, 32])
    for view, probs in result.predictions.select.items():
        np.testing.assert_allclose(probs, trained.result.predictions.select[view], atol=1e-3)


def test_features_that_are_not_finite_end_the_member_as_diverged(
    parts: Parts, frozen: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "normalize", lambda images, *stats: images * float("nan"))
    with pytest.raises(DivergedError, match=f"^{ARCH} has features that are not finite numbers$"):
        train_member(frozen(), parts, Runtime(tmp_path))


def test_a_frozen_member_predicts_several_labels(parts: Parts, frozen: Make, tmp_path: Path) -> None:
    """Whether a digit is even, below five, or neither prime nor zero; one label is on no image."""
    holds = [lambda n: n % 2 == 0, lambda n: n < 5, lambda n: n in (1, 4, 6, 8, 9), lambda n: n > 9]

    def several(part: Part) -> Part:
        labels = [[int(test(n)) for test in holds] for n in part.labels.tolist()]
        return replace(part, labels=np.array(labels, np.int64).reshape(len(part.labels), 4))

    task = Task.of("multilabel")
    changed = {name: several(getattr(parts, name)) for name in ("train", "select")}
    known = replace(parts, classes=tuple("abcd"), task=task, **changed)
    result = train_member(frozen(tta=0, head="linear"), known, Runtime(tmp_path))
    assert check(result.predictions) is None
    assert result.metrics["plain/log_loss"] < np.log(2)
