"""The seconds that a member takes, from the seconds of one image in each kind of step."""

from dataclasses import dataclass, replace

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.views import FLIPS, PLAIN, all_passes, view_work


@dataclass(frozen=True)
class StepCost:
    """Seconds per image of one kind of member on one device, and the seconds to build its network.

    Attributes:
        train: Training step of the whole network: augmentation, forward, backward and optimizer, in s/image;
            of a frozen member, the features of an image in one symmetry.
        frozen: Training step while only the head and the norms train, in s/image; 0 of a frozen member.
        predict: Prediction without augmentation, in s/image.
        tta_pass: One augmented pass of test-time augmentation, in s/image.
        build: Building of the network, in s.
        fit: Fit of a head to features, in s per image and symmetry; 0: it was not timed.
    """

    train: float
    frozen: float
    predict: float
    tta_pass: float
    build: float
    fit: float = 0.0

    def scaled(self, factor: float) -> "StepCost":
        """Return the cost of steps that take `factor` times as long; building is not scaled."""
        return replace(
            self,
            train=self.train * factor,
            frozen=self.frozen * factor,
            predict=self.predict * factor,
            tta_pass=self.tta_pass * factor,
            fit=self.fit * factor,
        )


@dataclass(frozen=True)
class Workload:
    """Number of images that one model of a search trains on and predicts.

    Attributes:
        train: Images that a member may train on, before its `subsample`.
        select: Images of the select split, predicted after each epoch and at the end.
        test: Images of the test set, predicted at the end.
        models: Models per member: the number of folds, or 1.
        decode: Reading of one image that no cache holds, in s; 0: a cache holds the images.
        cached: Whether a cache holds the features of frozen members.
        others: Labelled images of the other folds, which each model predicts at its end to teach students; 0
            without folds.
    """

    train: int
    select: int
    test: int
    models: int = 1
    decode: float = 0.0
    cached: bool = True
    others: int = 0


@dataclass(frozen=True)
class MemberTime:
    """Forecast time of a member on one device.

    Attributes:
        epoch: One epoch with the whole network training, and the prediction of the select split, in s.
        total: The member from its first step to its last prediction, in s.
        source: `record`: from members of its kind that earlier searches trained; `timed`: from timed steps
            of its kind; `operations`: from those of another kind, by the number of operations.
    """

    epoch: float
    total: float
    source: str


def epoch_seconds(config: MemberConfig, cost: StepCost, load: Workload) -> float:
    """Return the seconds of an epoch with the whole network training, for one model."""
    images = max(1, round(config.subsample * load.train))
    judged = _networks(config) * load.select
    return images * _trained(config, cost) + judged * cost.predict + (images + judged) * load.decode


def member_seconds(config: MemberConfig, cost: StepCost, load: Workload, *, start: float = 0.0) -> float:
    """Return the seconds of a member that runs to its last epoch; early stopping only lowers them.

    Args:
        config: Configuration of the member.
        cost: Cost of its steps.
        load: Images of one model.
        start: Time that a trial takes before its first step and after its last prediction, in s.
    """
    if config.frozen and load.models > 1 and _keeps_features(config, load):
        return start + _frozen_folds_seconds(config, cost, load)
    frozen = config.total_epochs - config.full_epochs
    images = max(1, round(config.subsample * load.train))
    first = images if config.begins_fitted else 0  # whose features are those of a prediction
    training = images * (frozen * cost.frozen + config.full_epochs * _trained(config, cost))
    fitting = _fitting_seconds(config, cost, load) if config.begins_fitted else 0.0
    judged, asked = _networks(config) * load.select, load.select + load.test
    validation = config.total_epochs * judged * cost.predict
    unaugmented = all_passes(vars(config)) - config.tta
    answers = asked * (unaugmented * cost.predict + config.tta * cost.tta_pass) + load.others * cost.predict
    reads = first + config.total_epochs * (images + judged) + _networks(config) * asked + load.others
    return start + load.models * (
        cost.build + fitting + training + validation + answers + reads * load.decode
    )


def _frozen_folds_seconds(config: MemberConfig, cost: StepCost, load: Workload) -> float:
    """Return the seconds of a frozen member with folds, whose features a cache holds from the first fold on.

    An image is embedded once, whichever folds train on it or predict it; each fold fits a head of its own,
    and computes the views that need other features.
    """
    images = max(1, round(config.subsample * load.train))
    labelled = load.train + load.select
    embedded = min(labelled, load.models * images)
    training = config.symmetries * (embedded * cost.train + load.models * images * cost.fit)
    work = view_work(vars(config))
    kept = sum(work[kind].own for kind in (PLAIN, FLIPS) if kind in work) + 1
    others = all_passes(vars(config)) - kept - config.tta
    predicted = (labelled - embedded + load.test) * kept * cost.predict
    asked = load.models * (load.select + load.test)
    anew = asked * (others * cost.predict + config.tta * cost.tta_pass)
    return load.models * cost.build + training + predicted + anew


def _fitting_seconds(config: MemberConfig, cost: StepCost, load: Workload) -> float:
    """Return the seconds for one model to fit the head that it begins with; folds share cached features."""
    images = max(1, round(config.subsample * load.train))
    own = (load.train + load.select) / load.models if _keeps_features(config, load) else images
    return min(images, own) * cost.predict + images * cost.fit


def _keeps_features(config: MemberConfig, load: Workload) -> bool:
    """Return whether a cache holds the features of a member's body, which is then a pretrained one."""
    return load.cached and config.pretrained is not False


def _trained(config: MemberConfig, cost: StepCost) -> float:
    """Return the seconds that an image takes in an epoch with the whole network training."""
    return config.symmetries * (cost.train + cost.fit) if config.frozen else cost.train


def _networks(config: MemberConfig) -> int:
    """Return the number of networks that a member predicts with: its own, and the averaged one."""
    return 2 if config.ema else 1
