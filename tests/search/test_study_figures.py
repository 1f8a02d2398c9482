from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tune_paddy.search.sampler import MemberSampler
from tune_paddy.search.study_figures import IMPORTANCES, SLICES, write_study_figures
from tune_paddy.spaces.space import SearchSpace, find_space


def study(space: SearchSpace, members: int, *, constant: bool = False) -> MemberSampler:
    """Members of a space whose loss depends on the learning rate, or on nothing."""
    sampler = MemberSampler(space.recipes, space.spaces, seed=1)
    for _ in range(members):
        proposal = sampler.ask()
        assert proposal
        loss = 0.5 if constant else abs(np.log(proposal.config.lr) + 5)
        sampler.tell(proposal.number, loss, {}, pruned=False)
    return sampler


@pytest.mark.parametrize("name", ["digits_demo", "paddy_search"])
def test_a_study_leaves_its_importances_and_slices_at_a_thousand_pixels(name: str, tmp_path: Path) -> None:
    """One whose sub-spaces share parameters, one whose do not."""
    space = SearchSpace.load(find_space(name))
    written = write_study_figures(study(space, 12).trials(), space.spaces, tmp_path / "figures")
    assert written == [tmp_path / "figures" / f"{figure}.png" for figure in (IMPORTANCES, SLICES)]
    for path in written:
        with Image.open(path) as image:
            assert image.width == 1000
            assert len(image.convert("L").getcolors()) > 20


def test_nothing_is_drawn_of_few_members(tmp_path: Path) -> None:
    space = SearchSpace.load(find_space("digits_demo"))
    assert write_study_figures(study(space, 3).trials(), space.spaces, tmp_path / "figures") == []
    assert not (tmp_path / "figures").exists()


def test_a_study_of_equal_losses_ends_nothing(tmp_path: Path) -> None:
    """Nothing can be more important than the rest."""
    space = SearchSpace.load(find_space("digits_demo"))
    written = write_study_figures(study(space, 8, constant=True).trials(), space.spaces, tmp_path)
    assert tmp_path / f"{SLICES}.png" in written
