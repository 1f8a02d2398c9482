import pytest

from tests.conftest import Finished
from tune_paddy.data.image_cache.cache import GB, ImageCache, ImageSet, Progress, Resizing, _in_use
from tune_paddy.data.image_cache.shards import SUFFIX
from tune_paddy.data.system.files import cache_folder
from tune_paddy.search.image_cache import resizings, watch_cache
from tune_paddy.spaces.space import SearchSpace

SPACE = """
recipes:
  - {name: one, arch: test_resnet, size: 32, resize_size: [64, 48], resize: crop}
spaces:
  - {name: two, arch: test_resnet, size: [32, [40, 24]], resize: [squish, pad]}
  - {name: three, arch: test_resnet, size: {low: 32, high: 96, step: 32}}
  - {name: four, arch: test_resnet, size: 32, resize_size: [[64, 48], 80]}
"""


@pytest.fixture
def space() -> SearchSpace:
    return SearchSpace.parse(SPACE, name="sizes")


@pytest.fixture
def images() -> ImageSet:
    return ImageSet("0123", ("x",) * 100_000)


def test_a_search_fills_the_cache_by_itself(finished: Finished) -> None:
    """All trials share the single entry of their size."""
    fingerprint = finished.plan.dataset.fingerprint  # searches of other tests leave entries of other sizes
    (entry,) = cache_folder("images").glob(f"{fingerprint}-squish-32x32-*")
    assert list(entry.glob(f"*{SUFFIX}"))
    assert not _in_use(entry), "no living process has pinned it; killed ones of other tests leave their pins"


def test_every_resizing_that_a_space_allows_is_listed(space: SearchSpace) -> None:
    assert set(resizings(space)) == {
        Resizing((64, 48), "crop"),
        Resizing((32, 32), "squish"),
        Resizing((40, 24), "squish"),
        Resizing((32, 32), "pad"),
        Resizing((40, 24), "pad"),
        Resizing((96, 96), "squish"),
        Resizing((64, 48), "squish"),
        Resizing((80, 80), "squish"),
    }


def test_a_note_of_one_line_reports_images_that_do_not_fit(images: ImageSet, space: SearchSpace) -> None:
    """The set of 100,000 images at 96x96 px is the first that exceeds 2 GB."""
    note = watch_cache(2, images, space).note
    assert note
    assert "\n" not in note
    assert "100000 images, squish 96×96, take 2.8 GB, and the limit is 2.0 GB" in note
    assert watch_cache(5, images, space).note is None


def test_there_is_no_note_without_a_cache(images: ImageSet, space: SearchSpace) -> None:
    assert watch_cache(0, images, space).note is None
    assert watch_cache(2, None, space).note is None


def test_the_cache_watch_reads_the_progress_of_this_machines_cache(
    space: SearchSpace, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNE_PADDY_CACHE", str(tmp_path))
    seen = []
    images = ImageSet("0123", ("a", "b"))
    preparing = watch_cache(1, images, space).progress

    def load(_path):
        import numpy as np  # noqa: PLC0415

        seen.extend(preparing())
        return np.zeros((3, 8, 8), np.uint8)

    ImageCache(tmp_path / "images", GB).open(images, Resizing((8, 8), "squish"), load).close()
    assert seen == [Progress("squish 8×8", 0, 2)] * 2
    assert list(preparing()) == []
