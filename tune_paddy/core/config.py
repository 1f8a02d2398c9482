"""The configuration of one member and of one search: every parameter, its unit and its bounds."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError

from tune_paddy.core.arguments.suggestions import did_you_mean
from tune_paddy.core.errors import InputError
from tune_paddy.core.selection.names import RANKED_METRICS, MetricName, ranks_of
from tune_paddy.core.views import SYMMETRIES

MAX_SIDE = 4096
"""Largest image side, in pixels, that a member may be trained at."""

LARGEST_VIEW = 1.4
"""Largest multiple of a member's size that a view may have: its area stays below `EVALUATION_FACTOR`."""

LONGEST_MINUTES = 1e6
"""Longest time that a setting accepts, in minutes: nearly two years. Timers refuse much longer ones."""

SEARCH, RESOURCES, FAULTS = "What is searched", "Resources", "Faults"
"""Headings that the settings of a search stand under."""


def _as_height_width(value: Any) -> Any:
    """Turn one side, in pixels, into (height, width); leave pairs as they are."""
    return (value, value) if isinstance(value, int) and not isinstance(value, bool) else value


Side = Annotated[int, Field(ge=8, le=MAX_SIDE)]
Size = Annotated[
    tuple[Side, Side],
    BeforeValidator(_as_height_width),
    PlainSerializer(list, return_type=list[int]),
]
"""(height, width) in pixels; a single integer means a square."""

Share = Annotated[float, Field(ge=0, le=1)]


RECORDED: Mapping[str, Any] = {"recorded": True}
"""Validation context of what an earlier version may have recorded, which accepted more."""


def _at_most_one(gpus: float, info: ValidationInfo) -> float:
    """Reject a second GPU, which would idle; a recorded one counts for nothing."""
    if info.context == RECORDED:
        return min(gpus, 1.0)
    if gpus > 1:
        raise PydanticCustomError(
            "gpu_count", "Input should be up to 1: a member trains on one GPU; more members run at once"
        )
    return gpus


GpuShare = Annotated[float, Field(ge=0), AfterValidator(_at_most_one)]


def _not_one(folds: int) -> int:
    """Reject a single fold, which splits nothing."""
    if folds == 1:
        raise PydanticCustomError("fold_count", "Input should be at least 2, or 0 for a select split")
    return folds


FoldCount = Annotated[int, Field(ge=0, le=100), AfterValidator(_not_one)]


def _ranked(metric: str) -> str:
    """Refuse a name that is no metric of the most probable classes."""
    if ranks_of(metric) is None:
        raise PydanticCustomError("metric", RANKED_METRICS)
    return metric


RankedMetric = Annotated[str, Field(description=RANKED_METRICS), AfterValidator(_ranked)]


TRAINING_ONLY = (
    "epochs",
    "freeze_epochs",
    "lr",
    "weight_decay",
    "optimizer",
    "layer_decay",
    "clip_grad",
    "ema",
    "keep",
    "patience",
    "mixup",
    "cutmix",
    "randaugment",
    "randaugment_ops",
    "trivialaugment",
    "erasing",
    "calm_epochs",
    "loss",
    "class_weights",
    "sampler",
    "drop_path",
    "dropout",
    "compile",
)
"""Parameters of members without effect on a frozen member, which keeps their defaults."""


class MemberConfig(BaseModel):
    """Configuration of one member; frozen, and complete enough to retrain it.

    The parameters from `min_scale` to `p_lighting` are those of fastai's `aug_transforms`, with its defaults.
    `min_scale` alone has the value of the notebook that the project grew out of, 0.75; fastai's 1 crops
    nothing.
    """

    # Its rules are compiled at the first use: help screens need the fields alone.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    arch: str = Field(min_length=1, description="timm model name; deprecated names are accepted")
    pretrained: bool | str = Field(
        True, description="true: timm's weights; false: random; a path: a folder or .safetensors file"
    )
    size: Size = Field(
        (224, 224),
        description="input of the network: side or [height, width]",
        json_schema_extra={"unit": "px"},
    )
    resize: Literal["squish", "crop", "pad"] = Field(
        "squish", description="how an image gets to resize_size before augmentation"
    )
    resize_size: Size | None = Field(
        None,
        description="side or [height, width] after resizing; none: the same as size",
        json_schema_extra={"unit": "px"},
    )
    batch_size: int = Field(64, ge=1, le=65536, description="images per optimizer step")
    accum: Literal["auto"] | Annotated[int, Field(ge=1)] = Field(
        "auto", description="micro-batch = batch_size / accum, rounded up; auto: the smallest accum that fits"
    )
    epochs: int = Field(12, ge=1, le=10_000, description="epochs with the whole network training")
    freeze_epochs: int = Field(
        1,
        ge=0,
        le=10_000,
        description="fine_tune only: epochs before, with only the head training: linear probing, then "
        "fine-tuning (LP-FT, Kumar et al. 2022)",
    )
    schedule: Literal["fine_tune", "one_cycle", "frozen"] = Field(
        "fine_tune",
        description="as fastai's method of that name; frozen: only a linear head is fitted, in one pass",
    )
    lr: float = Field(0.01, gt=0, le=100, description="peak learning rate (fine_tune: fastai's base_lr)")
    weight_decay: float = Field(0.01, ge=0, le=10, description="decoupled weight decay")
    optimizer: Literal[
        "adamw", "sgd", "nadamw", "radam", "adopt", "laprop", "mars", "lamb", "lion", "muon"
    ] = Field("adamw", description="torch's AdamW, SGD with momentum, or one of timm's optimizers")
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="learning rate of a layer / that of the next one, in the body; 1: off"
    )
    clip_grad: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="largest norm of a step's gradient; 0: any"
    )
    ema: float = Field(0.0, ge=0, lt=1, description="decay of the average of the parameters; 0: none")
    keep: Literal["last", "best"] = Field(
        "last", description="epoch whose parameters predict; best: of the lowest calibrated log loss"
    )
    patience: int = Field(
        0, ge=0, le=10_000, description="keep: best only: epochs without a better one before the end; 0: all"
    )
    min_scale: float = Field(0.75, gt=0, le=1, description="smallest random crop, share of the area")
    flip: Literal["none", "horizontal", "dihedral"] = Field(
        "horizontal", description="dihedral: the eight flips and quarter turns"
    )
    max_rotate: float = Field(
        10.0, ge=0, le=180, description="largest rotation", json_schema_extra={"unit": "degrees"}
    )
    max_zoom: float = Field(1.1, ge=1, le=4, description="largest zoom factor")
    max_warp: float = Field(0.2, ge=0, lt=1, description="magnitude of the perspective warp")
    max_lighting: float = Field(0.2, ge=0, lt=1, description="brightness and contrast change")
    p_affine: Share = Field(0.75, description="probability of each of rotation, zoom and warp")
    p_lighting: Share = Field(0.75, description="probability of each of brightness and contrast")
    mixup: float = Field(0.0, ge=0, le=10, description="alpha of mixup's Beta distribution; 0: off")
    cutmix: float = Field(0.0, ge=0, le=10, description="alpha of CutMix's Beta distribution; 0: off")
    randaugment: int = Field(
        0, ge=0, le=30, description="magnitude of RandAugment on torchvision's scale of 0 to 30; 0: off"
    )
    randaugment_ops: int = Field(2, ge=1, le=8, description="operations of RandAugment for each image")
    trivialaugment: bool = Field(
        False, description="one random operation of random magnitude for each image (TrivialAugment)"
    )
    erasing: Share = Field(0.0, description="probability that a random box of an image is erased")
    calm_epochs: int = Field(
        0, ge=0, le=10_000, description="last epochs, with flips and mild crops as the only augmentation"
    )
    loss: Literal["auto", "cross_entropy", "focal", "bce"] = Field(
        "auto", description="auto: cross_entropy, or bce for several labels an image"
    )
    class_weights: Literal["none", "balanced", "effective"] = Field(
        "none", description="weights of the classes in the loss; balanced: inverse to their images"
    )
    sampler: Literal["uniform", "balanced"] = Field(
        "uniform", description="balanced: an epoch draws images so that all classes are equally frequent"
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="mass spread over all classes")
    drop_path: float = Field(0.0, ge=0, lt=1, description="stochastic depth of the body")
    dropout: float = Field(0.5, ge=0, lt=1, description="dropout before the last layer of the head")
    head: Literal["concat_pool", "linear", "fitted"] = Field(
        "concat_pool",
        description="concat_pool: fastai's, on mean and max; linear: timm's pooling and one layer; fitted: "
        "mean, max and one layer, which begins fitted to the pretrained features",
    )
    precision: Literal["auto", "fp32", "fp16", "bf16"] = Field(
        "auto", description="auto: bf16 where the device has it, else fp16 on CUDA, else fp32"
    )
    compile: bool = Field(
        False, description="torch.compile the network: a slow first epoch; no gain on a CPU"
    )
    tta: int = Field(4, ge=0, le=64, description="augmented passes of test-time augmentation; 0: none")
    flip_view: bool = Field(
        False, description="a further view, the mean over the symmetries that `flip` allows: two or eight"
    )
    large_view: float = Field(
        1.0,
        ge=1,
        le=LARGEST_VIEW,
        description="a further view of the whole image at this multiple of size; 1: none",
    )
    zoom_view: float = Field(
        1.0, ge=0.5, le=1, description="a further view of this central share of each side; 1: none"
    )
    subsample: float = Field(0.8, gt=0, le=1, description="share of the training images that the member sees")
    seed: int = Field(42, ge=0, lt=2**31, description="seed of initial parameters, order and augmentation")

    @model_validator(mode="before")
    @classmethod
    def _forget_what_has_no_effect(cls, values: Any) -> Any:
        """Give a frozen member the defaults of what only training uses, so that equal members are equal."""
        if isinstance(values, Mapping) and values.get("schedule") == "frozen":
            return {name: value for name, value in values.items() if name not in TRAINING_ONLY}
        return values

    @model_validator(mode="after")
    def _check_contradictions(self) -> "MemberConfig":
        if isinstance(self.accum, int) and self.accum > self.batch_size:
            raise ValueError(f"accum {self.accum} is larger than batch_size {self.batch_size}; lower it")
        if self.flip_view and self.flip == "none":
            raise ValueError(
                "flip_view has no symmetry to average over with flip: none; set flip: horizontal or "
                "dihedral, or leave flip_view out"
            )
        if self.resize_size is not None and any(
            r < s for r, s in zip(self.resize_size, self.size, strict=True)
        ):
            raise ValueError(
                f"resize_size {list(self.resize_size)} is smaller than size {list(self.size)}; raise it"
            )
        self._check_augmentation()
        if self.class_weights != "none" and self.sampler == "balanced":
            raise ValueError(
                f"class_weights {self.class_weights} and sampler balanced both make up for unequal classes; "
                "set one of them"
            )
        if self.patience and self.keep == "last":
            raise ValueError(f"patience {self.patience} needs keep: best; set it, or leave patience out")
        return self

    def _check_augmentation(self) -> None:
        if self.randaugment and self.trivialaugment:
            raise ValueError(
                f"randaugment {self.randaugment} and trivialaugment: true exclude each other; leave one out"
            )
        if self.calm_epochs > self.epochs:
            raise ValueError(f"calm_epochs {self.calm_epochs} is larger than epochs {self.epochs}; lower it")

    @property
    def short_name(self) -> str:
        """Architecture without the tag of its pretrained weights, and size, such as `convnext_tiny-224`."""
        height, width = self.size
        return f"{self.arch.partition('.')[0]}-{height if height == width else f'{height}x{width}'}"

    @property
    def item_size(self) -> tuple[int, int]:
        """(height, width) of an image after resizing, before augmentation, in px."""
        return self.resize_size or self.size

    @property
    def frozen(self) -> bool:
        """Whether the body keeps its pretrained weights, and the head alone is fitted to its features."""
        return self.schedule == "frozen"

    @property
    def begins_fitted(self) -> bool:
        """Whether the head is fitted to the features of the body before the whole network trains."""
        return self.head == "fitted" and not self.frozen

    @property
    def symmetries(self) -> int:
        """Number of symmetries that `flip` allows, the image itself included."""
        return SYMMETRIES[self.flip]

    @property
    def full_epochs(self) -> int:
        """Number of epochs after the frozen ones; the single pass of a frozen member counts as one."""
        return 1 if self.frozen else self.epochs

    @property
    def total_epochs(self) -> int:
        """Number of epochs of the schedule, frozen ones included."""
        return self.full_epochs + (self.freeze_epochs if self.schedule == "fine_tune" else 0)


class SearchSettings(BaseModel):
    """Settings of a search: the keys under `search:` in a space; an option of the command overrides each.

    The fields are the one source of the options of `tune-paddy search` and of the reference: `group` is the
    heading that an option stands under, `unit` the unit of its value, `negative` whether a second option
    turns off what a resumed search has recorded.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    trials: int = Field(
        20,
        ge=1,
        le=1_000_000,
        description="members to train, the recipes included",
        json_schema_extra={"group": SEARCH},
    )
    minutes: float | None = Field(
        None,
        gt=0,
        le=LONGEST_MINUTES,
        description="time of the whole search, selection and submission included; none: no limit",
        json_schema_extra={"group": SEARCH, "unit": "minutes"},
    )
    stop_when_flat: bool = Field(
        False,
        description="start no further member once more time is not expected to pay",
        json_schema_extra={"group": SEARCH, "negative": True},
    )
    concurrency: int | None = Field(
        None,
        ge=1,
        description="trials at once; none: as many as fit",
        json_schema_extra={"group": RESOURCES},
    )
    cpus: float = Field(
        1,
        gt=0,
        allow_inf_nan=False,
        description="CPUs of one trial",
        json_schema_extra={"group": RESOURCES},
    )
    gpu: Literal["auto"] | GpuShare = Field(
        0.0,
        description="share of a GPU for a trial; 0.25: four on one; auto: the least that its forecast allows",
        json_schema_extra={"group": RESOURCES},
    )
    gpu_memory: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="memory of each GPU; none: detected",
        json_schema_extra={"group": RESOURCES, "unit": "MiB"},
    )
    max_accum: int | None = Field(
        None,
        ge=1,
        description="largest accum to choose, or to try when memory runs out; none: batch_size",
        json_schema_extra={"group": RESOURCES},
    )
    cache_limit: float | None = Field(
        None,
        ge=0,
        le=1e6,
        description="largest size of each of two folders on a machine, resized images and features; 0: off; "
        "none: half of its memory",
        json_schema_extra={"group": RESOURCES, "unit": "GB"},
    )
    scheduler: Literal["none", "asha"] = Field(
        "none",
        description="asha: stop the worse half of trials midway",
        json_schema_extra={"group": SEARCH},
    )
    objective: Literal["calibrated_log_loss", MetricName] | RankedMetric = Field(
        "calibrated_log_loss",
        description="what the sampler minimises, on the select split; scores such as F1 are minimised as "
        "1 − score",
        json_schema_extra={"group": SEARCH},
    )
    licences: Literal["any", "commercial"] = Field(
        "any",
        description="pretrained weights to use; commercial: those under Apache, MIT, BSD, CC BY 4.0 or CC0 "
        "licences",
        json_schema_extra={"group": SEARCH},
    )
    select_share: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="share of the labelled images that no member trains on",
        json_schema_extra={"group": SEARCH},
    )
    folds: FoldCount = Field(
        0,
        description="instead of a select split: k ≥ 2 models a member, each image judged by one",
        json_schema_extra={"group": SEARCH},
    )
    soften: str | None = Field(
        None,
        min_length=1,
        description="finished search with the same folds that softens the labels; none: hard labels",
        json_schema_extra={"group": SEARCH},
    )
    mix: float | None = Field(
        None,
        ge=0,
        le=1,
        description="share of that search in the targets of labelled images; none: 0.3",
        json_schema_extra={"group": SEARCH},
    )
    pseudo: str | None = Field(
        None,
        min_length=1,
        description="finished search with the same split that labels the images to predict, to train on "
        "them; some competitions forbid it; none: off",
        json_schema_extra={"group": SEARCH},
    )
    stall_minutes: float | None = Field(
        30.0,
        gt=0,
        le=LONGEST_MINUTES,
        description="time after which a trial that reports nothing is restarted; none in a space: never",
        json_schema_extra={"group": FAULTS, "unit": "minutes"},
    )
    keep_weights: Literal["selected", "all", "none"] = Field(
        "selected",
        description="members whose weights stay on disk; selected: of the best ensembles, and the ten best",
        json_schema_extra={"group": RESOURCES},
    )
    storage: str | None = Field(
        None,
        min_length=1,
        description="shared folder, or an address such as s3://bucket/prefix, for the members' files and the "
        "images, where machines share no disk; none: off",
        json_schema_extra={"group": RESOURCES},
    )
    retries: int = Field(
        1,
        ge=0,
        le=100,
        description="how often a trial that died is restarted",
        json_schema_extra={"group": FAULTS},
    )
    seed: int = Field(
        42,
        ge=0,
        lt=2**31,
        description="seed of the select split and the sampler",
        json_schema_extra={"group": SEARCH},
    )

    @classmethod
    def recorded(cls, values: Mapping[str, Any] | None) -> "SearchSettings":
        """Read the settings of a recorded search, also of an earlier version: see `RECORDED`.

        Args:
            values: Setting → value; None, for settings that could not be parsed, is refused.

        Raises:
            ValidationError: A setting is unknown, or a value is out of bounds.
        """
        return cls.model_validate(values, context=RECORDED)

    def override(self, values: Mapping[str, Any]) -> "SearchSettings":
        """Return a copy with some settings overridden.

        Args:
            values: Setting → value.

        Raises:
            InputError: A setting is unknown, or a value is out of bounds; the error's `options` names it.
        """
        try:
            return SearchSettings(**{**self.model_dump(exclude_unset=True), **values})
        except ValidationError as error:
            name = str(error.errors()[0]["loc"][0])
            problems = [problem for problem in error.errors() if problem["loc"][0] == name]
            if problems[0]["type"] == "extra_forbidden":
                hint = did_you_mean(name, SearchSettings.model_fields)
                raise InputError(f"{name}: unknown setting{hint}", options=(name,)) from error
            raise InputError(
                f"{name}: {values.get(name)} {requirement(problems)}", options=(name,)
            ) from error


def requirement(problems: Sequence[Mapping[str, Any]]) -> str:
    """Return what a field allows, from pydantic's errors for one value: "should be …"."""
    parts = (problem["msg"].removeprefix("Input should be ") for problem in problems)
    return "should be " + " or ".join(dict.fromkeys(parts))
