from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from tune_paddy.search.sampling.sampler import MemberSampler
from tune_paddy.search.sampling.study_figures import IMPORTANCES, LEAST, SLICES, write_study_figures
from tune_paddy.spaces.space import SearchSpace, find_space


def study(space: SearchSpace, members: int, *, constant: bool = False) -> MemberSampler:
    """Return a sampler after some members, whose loss depends on the learning rate, or is constant."""
    sampler = MemberSampler(space.recipes, space.spaces, seed=1)
    for _ in range(members):
        proposal = sampler.ask()
        assert proposal
        loss = 0.5 if constant else abs(np.log(proposal.config.lr) + 5)
        sampler.tell(proposal.number, loss, {}, pruned=False)
    return sampler


@pytest.mark.parametrize("name", ["digits_demo", "paddy_search"])
def test_importances_and_slices_of_a_study_are_a_thousand_pixels_wide(name: str, tmp_path: Path) -> None:
    """The sub-spaces of one study share parameters; those of the other do not."""
    space = SearchSpace.load(find_space(name))
    written = write_study_figures(study(space, LEAST).trials(), space.spaces, tmp_path / "figures")
    assert written == [tmp_path / "figures" / f"{figure}.png" for figure in (IMPORTANCES, SLICES)]
    for path in written:
        with Image.open(path) as image:
            assert image.width == 1000
            assert len(image.convert("L").getcolors()) > 20


def test_a_backend_without_bitmaps_is_left_as_it_was(tmp_path: Path) -> None:
    """MPLBACKEND may name one for the user's own figures."""
    space, before = SearchSpace.load(find_space("digits_demo")), plt.get_backend()
    plt.switch_backend("pdf")
    try:
        written = write_study_figures(study(space, LEAST).trials(), space.spaces, tmp_path)
        assert [path.name for path in written] == [f"{IMPORTANCES}.png", f"{SLICES}.png"]
        assert plt.get_backend() == "pdf"
    finally:
        plt.switch_backend(before)


def test_few_members_give_no_figures(tmp_path: Path) -> None:
    space = SearchSpace.load(find_space("digits_demo"))
    assert write_study_figures(study(space, LEAST - 1).trials(), space.spaces, tmp_path / "figures") == []
    assert not (tmp_path / "figures").exists()


def test_a_study_of_equal_losses_raises_no_error(tmp_path: Path) -> None:
    """No parameter is more important than the others."""
    space = SearchSpace.load(find_space("digits_demo"))
    written = write_study_figures(study(space, LEAST, constant=True).trials(), space.spaces, tmp_path)
    assert tmp_path / f"{SLICES}.png" in written
