"""Out of memory at any point: the member resumes with smaller micro-batches, and nothing else changes."""

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.errors import InfeasibleError
from tune_paddy.data.member_data import Parts
from tune_paddy.training import attempt as attempt_module
from tune_paddy.training.devices import Device
from tune_paddy.training.member import train_member
from tune_paddy.training.networks.members import member_network
from tune_paddy.training.networks.model import Body
from tune_paddy.training.results import EpochReport, MemberResult
from tune_paddy.training.runtime import Runtime
from tune_paddy.training.saved.member_files import WEIGHTS
from tune_paddy.training.views import augment

Make = Callable[..., MemberConfig]

Break = Callable[[pytest.MonkeyPatch, "Fault"], None]
Error = Callable[[], Exception]


def cuda_error() -> Exception:
    return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def cudnn_error() -> Exception:
    return RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")


STEPS = 3  # per epoch: 80 of 100 images in batches of at most 32
SHORT = {"epochs": 1}  # after one with a frozen body


class StoppedError(Exception):
    """Stops a member from its report."""


def stop_after(epoch: int) -> Callable[[EpochReport], None]:
    def report(done: EpochReport) -> None:
        if done.epoch == epoch:
            raise StoppedError

    return report


class Fault:
    """Raises once, at the `at`-th call of `meet`."""

    def __init__(self, at: int, error: Error) -> None:
        self.at, self.error, self.met = at, error, 0

    def meet(self) -> None:
        self.met += 1
        if self.met == self.at:
            raise self.error()


def break_body(patch: pytest.MonkeyPatch, fault: Fault, *, training: bool, backward: bool = False) -> None:
    forward = Body.forward

    def faulty(body: Body, images: Tensor) -> Tensor:
        features = forward(body, images)
        if body.training is not training:
            return features
        if backward:
            features.register_hook(lambda _grad: fault.meet())
        else:
            fault.meet()
        return features

    patch.setattr(Body, "forward", faulty)


def break_step(patch: pytest.MonkeyPatch, fault: Fault) -> None:
    """Fail after the optimizer's step: its changes must not survive."""
    step = torch.optim.AdamW.step

    def faulty(optimizer: torch.optim.AdamW, *args: Any, **kwargs: Any) -> Any:
        result = step(optimizer, *args, **kwargs)
        fault.meet()
        return result

    patch.setattr(torch.optim.AdamW, "step", faulty)


def break_tta(patch: pytest.MonkeyPatch, fault: Fault) -> None:
    def faulty(*args: Any) -> Tensor:
        fault.meet()
        return augment(*args)

    patch.setattr("tune_paddy.training.views.augment", faulty)


PLACES: dict[str, tuple[Break, int, int]] = {
    # place: how to break it, at which call, number of finished epochs by then
    "forward, first epoch": (lambda patch, fault: break_body(patch, fault, training=True), 2, 0),
    "forward": (lambda patch, fault: break_body(patch, fault, training=True), STEPS + 2, 1),
    "backward": (lambda patch, fault: break_body(patch, fault, training=True, backward=True), STEPS + 2, 1),
    "optimizer step": (break_step, STEPS + 2, 1),
    "validation": (lambda patch, fault: break_body(patch, fault, training=False), 2, 1),
    "test-time augmentation": (break_tta, 2, 2),
}


@pytest.fixture(scope="module")
def expected(
    parts: Parts, make_config: Make, tmp_path_factory: pytest.TempPathFactory
) -> dict[int, tuple[MemberResult, bytes]]:
    """Members stopped after each number of epochs and resumed with twice the accum, by that number."""
    members = {}
    for done in {done for *_, done in PLACES.values()}:
        folder = tmp_path_factory.mktemp(f"stopped-after-{done}")
        if done:
            with pytest.raises(StoppedError):
                train_member(make_config(**SHORT), parts, Runtime(folder), report=stop_after(done))
        result = train_member(make_config(**SHORT), parts, Runtime(folder, accum=2))
        members[done] = result, (folder / WEIGHTS).read_bytes()
    return members


@pytest.mark.parametrize(
    ("place", "error"),
    [
        *((place, cuda_error) for place in PLACES),
        ("backward", cudnn_error),
        ("optimizer step", MemoryError),
        ("validation", MemoryError),
    ],
)
def test_a_member_finishes_as_if_resumed_with_the_larger_accum(
    *,
    place: str,
    error: Error,
    parts: Parts,
    make_config: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    expected: dict[int, tuple[MemberResult, bytes]],
) -> None:
    break_it, at, done = PLACES[place]
    fault = Fault(at, error)
    break_it(monkeypatch, fault)
    result = train_member(make_config(**SHORT), parts, Runtime(tmp_path))
    reference, weights = expected[done]
    assert fault.met > at
    assert (result.accum, result.ooms) == (2, 1)
    assert (tmp_path / WEIGHTS).read_bytes() == weights
    for view, probs in reference.predictions.test.items():
        assert np.array_equal(result.predictions.test[view], probs)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["member.json", WEIGHTS]


def limit(patch: pytest.MonkeyPatch, images_at_once: int) -> list[int]:
    """Simulate memory for `images_at_once` training images; return the list of tried sizes."""
    forward, tried = Body.forward, []

    def limited(body: Body, images: Tensor) -> Tensor:
        if body.training:
            tried.append(len(images))
            if len(images) > images_at_once:
                raise cuda_error()
        return forward(body, images)

    patch.setattr(Body, "forward", limited)
    return tried


def test_accum_doubles_until_it_fits(
    parts: Parts, make_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The predictions are those of a member that started with this accum."""
    reference = train_member(make_config(**SHORT), parts, Runtime(tmp_path / "reference", accum=4))
    tried = limit(monkeypatch, 7)
    result = train_member(make_config(**SHORT), parts, Runtime(tmp_path / "limited"))
    assert (result.accum, result.ooms) == (4, 2)
    assert (tried[0], tried[1], max(tried[2:])) == (27, 14, 7)
    assert sum(tried[2:]) == 2 * 80
    for view, probs in reference.predictions.select.items():
        assert np.array_equal(result.predictions.select[view], probs)


def test_an_allocator_that_thrashes_raises_accum_before_it_fails(
    parts: Parts, make_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The predictions are those of a member that started with the larger accum."""
    config = make_config(batch_size=8, epochs=1, tta=0)
    reference = train_member(config, parts, Runtime(tmp_path / "reference", accum=2))
    forward, retries = Body.forward, []

    def tight(body: Body, images: Tensor) -> Tensor:
        if body.training and len(images) > 4:
            retries.append(len(images))
        return forward(body, images)

    monkeypatch.setattr(Body, "forward", tight)
    monkeypatch.setattr(Device, "alloc_retries", lambda _self: len(retries))
    result = train_member(config, parts, Runtime(tmp_path / "tight"))
    assert (result.accum, result.ooms) == (2, 1)
    assert retries == [8] * 5
    for view, probs in reference.predictions.select.items():
        assert np.array_equal(result.predictions.select[view], probs)


def test_at_the_largest_accum_a_thrashing_member_still_finishes(
    parts: Parts, make_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = iter(range(10_000))
    monkeypatch.setattr(Device, "alloc_retries", lambda _self: next(counts))
    config = make_config(batch_size=8, epochs=1, tta=0)
    result = train_member(config, parts, Runtime(tmp_path, max_accum=2))
    assert (result.accum, result.ooms) == (2, 1)


def test_a_member_that_does_not_fit_one_image_at_a_time_is_infeasible(
    parts: Parts, make_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = limit(monkeypatch, 0)
    with pytest.raises(InfeasibleError) as caught:
        train_member(make_config(batch_size=6), parts, Runtime(tmp_path))
    assert str(caught.value) == (
        "test_vit at 32x32 px does not fit even with accum 6, one image at a time: "
        "CUDA out of memory. Tried to allocate 2.00 GiB"
    )
    assert tried == [6, 3, 2, 1]


@pytest.mark.parametrize(("most", "tried"), [(4, [6, 3, 2]), (5, [6, 3, 2, 2]), (1, [6])])
def test_accum_is_not_raised_beyond_the_largest_allowed(
    *,
    most: int,
    tried: list[int],
    parts: Parts,
    make_config: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Doubling does not skip the largest one either."""
    seen = limit(monkeypatch, 0)
    words = f"with accum {most}, {tried[-1]} images at a time, the largest allowed: CUDA out of memory"
    with pytest.raises(InfeasibleError, match=words):
        train_member(make_config(batch_size=6), parts, Runtime(tmp_path, max_accum=most))
    assert seen == tried


def test_a_members_own_accum_may_exceed_the_largest_allowed(
    parts: Parts, make_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = limit(monkeypatch, 0)
    with pytest.raises(InfeasibleError, match="with accum 3, 2 images at a time"):
        train_member(make_config(batch_size=6, accum=3), parts, Runtime(tmp_path, max_accum=2))
    assert tried == [2]


def test_an_error_without_a_message_is_reported_by_its_type(
    parts: Parts, make_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_body(monkeypatch, Fault(1, MemoryError), training=True)
    with pytest.raises(InfeasibleError, match=r"one image at a time: MemoryError$"):
        train_member(make_config(batch_size=1), parts, Runtime(tmp_path))


@pytest.mark.parametrize("place", ["forward", "backward", "optimizer step", "validation"])
def test_other_errors_are_not_swallowed(
    place: str, parts: Parts, make_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_it, at, _ = PLACES[place]
    fault = Fault(at, lambda: RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    break_it(monkeypatch, fault)
    with pytest.raises(RuntimeError, match=r"^mat1 and mat2 shapes cannot be multiplied$"):
        train_member(make_config(**SHORT), parts, Runtime(tmp_path))
    assert fault.met == at


@pytest.mark.parametrize(("wanted", "used"), [("auto", 4), (2, 2)])
def test_a_members_own_accum_overrides_the_runtimes(
    wanted: object, used: int, parts: Parts, make_config: Make, tmp_path: Path
) -> None:
    config = make_config(accum=wanted, epochs=1, freeze_epochs=0, tta=0)
    assert train_member(config, parts, Runtime(tmp_path, accum=4)).accum == used


def test_a_failed_attempt_is_freed_before_the_next_starts(
    parts: Parts, make_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two networks at once would need more memory than there is."""
    built: list[weakref.ref[nn.Module]] = []
    alive: list[int] = []

    def watched(*args: Any, **kwargs: Any) -> nn.Module:
        alive.append(sum(reference() is not None for reference in built))
        model = member_network(*args, **kwargs)
        built.append(weakref.ref(model))
        return model

    monkeypatch.setattr(attempt_module, "member_network", watched)
    limit(monkeypatch, 7)
    train_member(make_config(**SHORT), parts, Runtime(tmp_path))
    assert alive == [0, 0, 0]
