"""The plan of a search: everything that decides it, and the split that all its members share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tune_paddy.core.config import MemberConfig, SearchSettings
from tune_paddy.core.domains import largest
from tune_paddy.core.errors import InputError
from tune_paddy.data.dataset import Dataset
from tune_paddy.data.split import SelectSplit, make_folds, make_select_split
from tune_paddy.search.sampler import MemberSampler, Proposal
from tune_paddy.spaces.space import SearchSpace


@dataclass(frozen=True)
class SearchPlan:
    """Everything that decides a search.

    Attributes:
        name: Unique in the record.
        dataset: Labelled images, and those to predict.
        space: Recipes and sub-spaces.
        settings: Trials, time, resources, objective, seeds.
        folder: Of this search: split, members.
        weights_dir: Folder of pretrained weights, or None.
        ray_address: Of a cluster, or None for this machine.
        ray_gpus: GPUs of this machine that Ray cannot count itself, such as Apple's; None: it counts.
        command: How it was started, for the record.
        data: What the dataset was opened from, for the record; None: its folder.
        asked: What shall follow it, as plain JSON: of use to the caller when it goes on.
        goes_on: Whether it takes up a search of this name that the record has.
        retry_failed: Whether members that failed are tried again when it goes on.
    """

    name: str
    dataset: Dataset
    space: SearchSpace
    settings: SearchSettings
    folder: Path
    weights_dir: Path | None = None
    ray_address: str | None = None
    ray_gpus: int | None = None
    command: str = ""
    data: Path | None = None
    asked: Mapping[str, object] = field(default_factory=dict)
    goes_on: bool = False
    retry_failed: bool = False

    @property
    def total(self) -> int:
        """Members that the search will train unless time runs out."""
        trials = self.settings.trials
        return trials if self.space.spaces else min(trials, len(self.space.recipes))


def preview(plan: SearchPlan, n: int) -> list[Proposal]:
    """Propose the first `n` members of a search and start nothing."""
    sampler = MemberSampler(plan.space.recipes, plan.space.spaces, seed=plan.settings.seed)
    proposals: list[Proposal] = []
    while len(proposals) < min(n, plan.settings.trials):
        proposal = sampler.ask()
        if proposal is None:
            break
        proposals.append(proposal)
    return proposals


def stored_split(plan: SearchPlan) -> SelectSplit:
    """The split that is kept with the search, or, where there is none yet, the one to keep.

    Raises:
        InputError: A class is too small to split, or the stored split is of other images or other folds.
    """
    path = plan.folder / "split.json"
    if path.exists():
        split = SelectSplit.load(path, plan.dataset)
        if split.n_folds != plan.settings.folds:
            raise InputError(
                f"{path}: was made with {split.n_folds} folds, and now {plan.settings.folds} are "
                "asked for; start a search under a new name"
            )
        return split
    settings = plan.settings
    if settings.folds:
        return make_folds(plan.dataset, k=settings.folds, seed=settings.seed)
    return make_select_split(plan.dataset, share=settings.select_share, seed=settings.seed)


def longest(space: SearchSpace) -> int:
    """Epochs of the longest member that the space allows."""
    recipes = [MemberConfig(**recipe.values).total_epochs for recipe in space.recipes]
    extremes = [
        {name: largest(domain) for name, domain in sub.domains.items() if name.endswith("epochs")}
        for sub in space.spaces
    ]
    return max(recipes + [MemberConfig(arch="any", **values).total_epochs for values in extremes])
