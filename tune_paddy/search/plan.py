"""Plan of a search: its inputs and settings, and the select split that all its members share."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tune_paddy.core.config import MemberConfig, SearchSettings
from tune_paddy.core.domains import Fixed, largest
from tune_paddy.core.errors import InputError
from tune_paddy.core.timing.speed import TimedNetwork
from tune_paddy.data.dataset import Dataset
from tune_paddy.data.split import SelectSplit, make_split
from tune_paddy.data.storage.storage import Storage
from tune_paddy.search.sampling.first_members import Beginning, FirstMember, first_members
from tune_paddy.search.sampling.sampler import MemberSampler, PastTrial, Proposal
from tune_paddy.search.teaching.targets import TaughtTargets
from tune_paddy.spaces.space import SearchSpace
from tune_paddy.tracking.files import SPLIT_FILE
from tune_paddy.training.saved.shelf import MEMBERS, Shelf, members_in


@dataclass(frozen=True)
class SearchPlan:
    """Inputs and settings of a search.

    Attributes:
        name: Name of the search, unique in the record.
        dataset: Labelled images and test images.
        space: Recipes and sub-spaces.
        settings: Number of trials, time budget, resources, objective and seed.
        folder: Folder of the search: split, space and members.
        weights_dir: Folder of pretrained weights, or None.
        ray_address: Address of a Ray cluster; None: this machine.
        ray_gpus: Number of GPUs that Ray cannot count itself, such as Apple's; None: Ray counts them.
        command: Command line that started the search, for the record.
        data: Path that the dataset was opened from, for the record; None: the dataset's folder.
        competition: Kaggle's name of the competition of the images, for the record; empty if unknown.
        follow_up: Options for the steps after the search, as plain JSON; the record keeps them for a resume.
        resumed: Whether the plan resumes the recorded search of this name.
        retry_failed: Whether a resumed search retries failed members.
        started: Start of the command by the monotonic clock, in s, from which the time budget counts; None:
            it counts from the start of the training.
        timed: Timed networks, from which the members of a built space are forecast; (): none are known.
        decode: Time to read one image from its file on one thread, in s; 0 without timed networks.
        targets: Soft labels and pseudo-labels that teachers gave the search; None: it has no teacher.
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
    competition: str = ""
    follow_up: Mapping[str, Any] = field(default_factory=dict)
    resumed: bool = False
    retry_failed: bool = False
    targets: TaughtTargets | None = None
    started: float | None = None
    timed: tuple[TimedNetwork, ...] = ()
    decode: float = 0.0

    def __post_init__(self) -> None:
        """Refuse the address of a Ray client: through one, Ray Tune moves the search into the cluster.

        The files of the search, its record and its progress would stay on this machine.
        """
        if self.ray_address is not None and self.ray_address.startswith("ray://"):
            raise InputError(
                f"{self.ray_address} is the address of a Ray client, with which a search cannot run; run the "
                "command on a machine of the cluster, with the address that `ray start --address` has",
                options=("ray_address",),
            )

    @property
    def storage(self) -> Storage | None:
        """Folder of all members in the storage; None: their folder is on a disk that all machines share."""
        return members_in(self.settings.model_dump(), self.name)

    @property
    def images(self) -> Storage | None:
        """Storage of the images for the machines of a cluster; None: they have the same paths everywhere."""
        address = self.settings.storage
        return None if address is None or self.ray_address is None else Storage.at(address)

    @property
    def shelf(self) -> Shelf:
        """Files of the members."""
        return Shelf(self.folder / MEMBERS, self.storage)

    @property
    def total(self) -> int:
        """Number of members that the search trains unless its time runs out."""
        trials, beginning = self.settings.trials, self._beginning
        trained = any(not member.frozen for member in beginning.members)
        if beginning.most is None or (self.space.spaces and self.shares_time and trained):
            return trials  # the latter may be repeated with other seeds
        return min(trials, beginning.most)

    @property
    def frozen(self) -> int:
        """Number of frozen members among them; sampled ones count as trained unless all are frozen."""
        all_frozen = all(sub.domains.get("schedule") == Fixed("frozen") for sub in self.space.spaces)
        sampled = max(0, self.total - len(self.first)) if all_frozen else 0
        return min(sum(member.frozen for member in self.first) + sampled, self.total)

    @property
    def first(self) -> tuple[FirstMember, ...]:
        """Members that are known before the sampler proposes others, see `first_members`."""
        return self._beginning.members

    @cached_property
    def _beginning(self) -> Beginning:
        return first_members(
            self.space.recipes,
            self.space.spaces,
            seed=self.settings.seed,
            trials=self.settings.trials,
            by_share=self.shares_time,
        )

    @property
    def shares_time(self) -> bool:
        """Whether the time is shared among the sub-spaces by what they give: there is a time budget."""
        return self.settings.minutes is not None

    def sampler(self) -> MemberSampler:
        """Return a new source of the members."""
        return MemberSampler(
            self.space.recipes,
            self.space.spaces,
            seed=self.settings.seed,
            trials=self.settings.trials,
            by_share=self.shares_time,
        )


@dataclass(frozen=True)
class Preview:
    """The next members of a search, as far as they are known before any of them trains.

    Attributes:
        proposals: The members: resumed and known ones, then possible ones.
        known: Number of the first ones, which run in any case, and in this order.
    """

    proposals: tuple[Proposal, ...]
    known: int


def preview(plan: SearchPlan, n: int, past: Sequence[PastTrial] = ()) -> Preview:
    """Return the next `n` members that a search would propose; start nothing.

    Where the time is shared, each sub-space is tried once, unless a recipe lies in it; after that the
    ensemble decides which is next, and here they take turns.

    Args:
        plan: Plan of the search.
        n: Maximum number of members.
        past: Trials of earlier sessions.
    """
    sampler = plan.sampler()
    proposals = sampler.replay(past)[:n]
    known = len(proposals)
    most = min(n, max(known, plan.settings.trials - sum(trial.ended for trial in past)))
    turns = Counter(sampler.family_of(trial.proposal) for trial in past)
    while len(proposals) < most:
        family = min(sampler.families, key=turns.__getitem__, default=None)
        known += sampler.knows_more and family is None
        proposal = sampler.ask(family)
        if proposal is None:
            break
        turns[sampler.family_of(proposal)] += 1
        proposals.append(proposal)
    return Preview(tuple(proposals), known)


def new_split(plan: SearchPlan) -> SelectSplit:
    """Split the images of a plan by its settings alone, whatever its folder holds.

    Raises:
        InputError: The classes cannot be split.
    """
    settings = plan.settings
    return make_split(plan.dataset, folds=settings.folds, share=settings.select_share, seed=settings.seed)


def stored_split(plan: SearchPlan) -> SelectSplit:
    """Return the split that is stored with the search; make a new one if there is none.

    Raises:
        InputError: The classes cannot be split, or the stored split has other images or folds.
    """
    path = plan.folder / SPLIT_FILE
    if path.exists():
        split = SelectSplit.load(path, plan.dataset)
        if split.n_folds != plan.settings.folds:
            raise InputError(
                f"{path}: has {split.n_folds} folds, but `folds` is {plan.settings.folds}; "
                "start a search under a new name"
            )
        return split
    return new_split(plan)


def longest(space: SearchSpace) -> int:
    """Return the number of epochs of the longest member that the space allows."""
    recipes = [MemberConfig(**recipe.values).total_epochs for recipe in space.recipes]
    extremes = [
        {name: largest(domain) for name, domain in sub.domains.items() if name.endswith("epochs")}
        for sub in space.spaces
        if sub.domains.get("schedule") != Fixed("frozen")
    ]
    return max([1, *recipes, *(MemberConfig(arch="any", **values).total_epochs for values in extremes)])
