"""Trials of frozen members."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import timm
from safetensors.torch import save_file

from tests.conftest import Finished
from tune_paddy.core.config import MemberConfig
from tune_paddy.core.memory import TrialMemory
from tune_paddy.data.member_data import make_parts
from tune_paddy.search import trainable
from tune_paddy.search.plan import stored_split
from tune_paddy.search.trainable import TrialContext, run_trial
from tune_paddy.search.trial import Trial
from tune_paddy.tracking.runs import list_members
from tune_paddy.tracking.searches import start_search
from tune_paddy.training.frozen.embedding import Embedder

FROZEN = MemberConfig(arch="test_resnet", size=32, schedule="frozen", tta=0, flip="none")


def test_a_second_search_embeds_only_what_the_first_has_not_seen(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each trial reports its epoch, then its end; the record holds it like another member."""
    parts = make_parts(finished.plan.dataset, stored_split(finished.plan))
    weights = tmp_path / "test_resnet.safetensors"
    save_file(timm.create_model("test_resnet").state_dict(), weights)
    seen: list[str] = []
    compute = Embedder.compute
    monkeypatch.setattr(
        Embedder, "compute", lambda self, paths, codes: seen.extend(paths) or compute(self, paths, codes)
    )
    for name, share in (("first", 0.5), ("second", 1.0)):
        reports: list[dict[str, Any]] = []
        monkeypatch.setattr(trainable.tune, "report", reports.append)
        context = TrialContext(
            store=finished.store,
            search=f"frozen-{name}",
            parent_run_id=start_search(finished.store, name=f"frozen-{name}", params={}, tags={}),
            folder=finished.runs / f"frozen-{name}",
            cpus=1,
            allow_gpu=False,
            objective="log_loss",
            weights_dir=None,
            stall_minutes=None,
        )
        config = FROZEN.model_copy(update={"subsample": share, "pretrained": str(weights)})
        trial = Trial(0, "m", "o", config, TrialMemory(gpu=0.0, accum=1))
        run_trial(trial.to_config(), context=context, parts=parts)
        assert [report["epoch"] for report in reports] == [1, 2]
        assert reports[-1]["outcome"] == "finished"
        (recorded,) = list_members(finished.store, f"frozen-{name}")
        assert recorded.metrics["train_images"] == round(share * len(parts.train))
    assert sorted(seen) == sorted((*parts.train.paths, *parts.select.paths, *parts.test.paths))


def test_the_hashes_of_a_dataset_are_those_of_its_files(finished: Finished) -> None:
    images = make_parts(finished.plan.dataset, stored_split(finished.plan)).images
    assert images is not None
    sums = images.sums_by_path
    assert set(sums) == set(images.paths)
    for path in images.paths[::40]:
        assert sums[path] == hashlib.sha256(Path(path).read_bytes()).hexdigest()
