"""Features of images under a frozen body."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from tune_paddy.core.config import MemberConfig
from tune_paddy.training.batches.augment import as_floats, normalize
from tune_paddy.training.batches.loaders import ImageReader
from tune_paddy.training.devices import Device
from tune_paddy.training.frozen.embedding import Embedder, weights_digest
from tune_paddy.training.networks.model import build_model

STATS = ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))


@pytest.mark.parametrize(
    ("arch", "head", "width"),
    [("test_resnet", "concat_pool", 2), ("test_vit", "concat_pool", 1), ("test_convnext", "linear", 1)],
    ids=["a map, pooled twice", "tokens", "timm's pooling"],
)
def test_an_embedding_holds_the_features_of_each_image_in_each_symmetry(
    arch: str, head: str, width: int, frozen: Callable[..., MemberConfig], reader: ImageReader
) -> None:
    config = frozen(arch=arch, flip="dihedral", head=head)
    model = build_model(arch, 3, size=config.size, head=head, frozen=True)
    embedder = Embedder(
        model, config, Device("cpu", "fp32"), STATS, 4, lambda paths: reader_of(paths, config)
    )
    paths = reader.paths[:5]
    features = embedder.embed(paths).features
    images = as_floats(torch.stack([torch.from_numpy(reader.read(row)) for row in range(5)]))
    turned = {0: images, 1: images.flip(3), 2: images.flip(2), 4: images.transpose(2, 3)}
    assert features.shape[:2] == (8, 5)
    with torch.inference_mode():
        for symmetry, seen in turned.items():
            body = model[0](normalize(seen.clone(), *STATS))
            pooled = torch.cat([body.amax((2, 3)), body.mean((2, 3))], 1) if width == 2 else body
            np.testing.assert_allclose(features[symmetry], pooled.numpy(), atol=1e-4, rtol=1e-4)


def reader_of(paths: list[str], config: MemberConfig) -> ImageReader:
    return ImageReader(paths, config.item_size, config.resize, 1)


def test_the_digest_of_weights_ignores_their_layout_and_sees_each_value() -> None:
    body = build_model("test_resnet", 3, size=(32, 32))[0]
    digest = weights_digest(body)
    assert weights_digest(body.to(memory_format=torch.channels_last)) == digest
    with torch.no_grad():
        next(body.parameters())[0, 0, 1, 1] += 1e-3
    assert weights_digest(body) != digest
