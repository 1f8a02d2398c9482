"""The ways to search that are compared: each takes a run and a seed, and trains until the budget is spent."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import numpy as np
import optuna
from peers import Smac, SyneTune, installed
from sources import Default, Modelled, Optuna, Program, RandomOrder, Shares, Source, Untried, side_of
from tables import Ensembles, OverBudget, Run, Table, Training

from tune_paddy.core.domains import SubSpace

HALVED = 2.0
"""Reduction factor of the methods that stop trainings: the stages are a quarter, half and all epochs."""
BRACKET = 8
"""Trainings of a bracket of successive halving, and of short schedules before a promotion."""
FROZEN_FIRST = 12
"""Frozen members that come first, where they do."""
PRIOR = 4.0
"""Strength of their losses as a prior on architectures."""
FIRST = 12
"""Members of a sub-space that come first, from the other tables."""
CLOSING = 0.8
"""Share of the budget after which the best contributors are repeated."""


@dataclass(frozen=True)
class Context:
    """What methods share on one table.

    Attributes:
        table: The table.
        spaces: Sub-spaces of the configurations.
        ensembles: Scores of pools.
        portfolio: Names of configurations, from the other tables.
        portfolios: Sub-space that trains → names of its configurations, likewise.
        trials: Members of the search that the others are compared with.
    """

    table: Table
    spaces: Sequence[SubSpace]
    ensembles: Ensembles
    portfolio: Sequence[str]
    portfolios: Mapping[str, Sequence[str]]
    trials: int

    def untried(self, rng: np.random.Generator, trainings: Sequence[Training] | None = None) -> Untried:
        """Return the trainings of the table as candidates."""
        return Untried(self.table.full if trainings is None else trainings, self.spaces, rng)


Method = Callable[[Context, Run, int], None]


def whole(run: Run, source: Source, most: int | None = None) -> None:
    """Train every proposal to its end."""
    done = 0
    with suppress(OverBudget):
        while (most is None or done < most) and (training := source.next()) is not None:
            source.tell(training, run.train(training), training.last)
            done += 1


def asynchronous_halving(run: Run, source: Source, *, keep: bool, first: int = 0) -> None:
    """Ray's ASHA: stop a training whose loss at a stage is not among the best share of those seen there.

    Args:
        run: The search.
        source: Proposals.
        keep: Whether a stopped training predicts, and joins the pool.
        first: First stage at which a training may stop.
    """
    seen: dict[int, list[float]] = {}

    def goes_on(stage: int, loss: float) -> bool:
        if stage < first:
            return True
        others = seen.setdefault(stage, [])
        worst = np.percentile(others, 100 / HALVED) if others else np.inf
        others.append(loss)
        return bool(loss <= worst)

    with suppress(OverBudget):
        while (training := source.next()) is not None:
            _climb(run, source, training, goes_on, keep=keep)


def _climb(
    run: Run, source: Source, training: Training, goes_on: Callable[[int, float], bool], *, keep: bool
) -> None:
    stage = 0
    loss = run.train_to(training, stage)
    while stage < training.last and goes_on(stage, loss):
        stage += 1
        loss = run.train_to(training, stage)
    if keep or stage == training.last:
        run.finish(training, stage)
    source.tell(training, loss, stage)


def successive_halving(run: Run, source: Source, *, keep: bool) -> None:
    """Train a bracket to a quarter, its better half to half, and the better half of that to the end."""
    with suppress(OverBudget):
        while bracket := [one for _ in range(BRACKET) if (one := source.next()) is not None]:
            for training in [one for one in bracket if one.frozen]:
                run.train(training)
            going = [one for one in bracket if not one.frozen]
            stage = 0
            while going:
                ranked = sorted(going, key=lambda one: run.train_to(one, min(stage, one.last)))
                through = -(-len(ranked) // 2) if stage < 2 else 0
                going, stopped = ranked[:through], ranked[through:]
                for training in stopped:
                    reached = min(stage, training.last)
                    if keep or reached == training.last:
                        run.finish(training, reached)
                stage += 1


def _univariate(seed: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.TPESampler(seed=seed, multivariate=False, constant_liar=True)


def random_search(context: Context, run: Run, seed: int) -> None:
    """Train in random order."""
    whole(run, RandomOrder(context.untried(np.random.default_rng(seed))))


def default(context: Context, run: Run, seed: int) -> None:
    """Train what the program proposes today, up to its number of trials."""
    untried = context.untried(np.random.default_rng(seed))
    whole(run, Default(untried, context.spaces, seed, context.trials), context.trials)


def blind(context: Context, run: Run, seed: int, most: int | None = None) -> None:
    """Train what univariate TPE proposes, without frozen members first."""
    untried = context.untried(np.random.default_rng(seed))
    whole(run, Optuna(untried, context.spaces, _univariate(seed)), most)


def blind_to_its_end(context: Context, run: Run, seed: int) -> None:
    """The same, up to the default's number of trials."""
    blind(context, run, seed, context.trials)


def multivariate(context: Context, run: Run, seed: int) -> None:
    """Train what Optuna's multivariate TPE proposes, in groups."""
    sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True)
    whole(run, Optuna(context.untried(np.random.default_rng(seed)), context.spaces, sampler))


def smac(context: Context, run: Run, seed: int) -> None:
    """Train what SMAC3 proposes."""
    whole(run, Smac(context.untried(np.random.default_rng(seed)), context.spaces, seed))


def bore(context: Context, run: Run, seed: int) -> None:
    """Train what Syne Tune's BORE proposes."""
    whole(run, SyneTune(context.untried(np.random.default_rng(seed)), context.spaces, seed, "BORE"))


def quantiles(context: Context, run: Run, seed: int) -> None:
    """Train what Syne Tune's conformal quantile regression proposes."""
    whole(run, SyneTune(context.untried(np.random.default_rng(seed)), context.spaces, seed, "CQR"))


def asha_quantiles(context: Context, run: Run, seed: int) -> None:
    """The same, stopped by Syne Tune's ASHA at a quarter and half of the epochs."""
    untried = context.untried(np.random.default_rng(seed))
    source = SyneTune(untried, context.spaces, seed, "ASHACQR", stages=2)
    with suppress(OverBudget):
        while (training := source.next()) is not None:
            _climb(run, source, training, partial(source.goes_on, training), keep=False)


def hyperband(context: Context, run: Run, seed: int) -> None:
    """Stop trainings by Optuna's Hyperband pruner, with univariate TPE."""
    pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=4, reduction_factor=2)
    untried = context.untried(np.random.default_rng(seed))
    source = Optuna(untried, context.spaces, _univariate(seed), pruner=pruner)
    with suppress(OverBudget):
        while (training := source.next()) is not None:
            trial = source.trials[training.name]

            def goes_on(stage: int, loss: float, trial: optuna.Trial = trial) -> bool:
                trial.report(loss, 2**stage)
                return not trial.should_prune()

            _climb(run, source, training, goes_on, keep=False)


def asha(context: Context, run: Run, seed: int) -> None:
    """Stop trainings in random order by Ray's ASHA."""
    asynchronous_halving(run, RandomOrder(context.untried(np.random.default_rng(seed))), keep=False)


def asha_keeping(context: Context, run: Run, seed: int) -> None:
    """The same, where stopped members join the pool (a)."""
    asynchronous_halving(run, RandomOrder(context.untried(np.random.default_rng(seed))), keep=True)


def asha_from_half(context: Context, run: Run, seed: int) -> None:
    """The same, where no training stops before half of its epochs, and stopped members join the pool."""
    source = RandomOrder(context.untried(np.random.default_rng(seed)))
    asynchronous_halving(run, source, keep=True, first=1)


def asha_half(context: Context, run: Run, seed: int) -> None:
    """Ray's ASHA in random order, where no training stops before half of its epochs."""
    source = RandomOrder(context.untried(np.random.default_rng(seed)))
    asynchronous_halving(run, source, keep=False, first=1)


def halving(context: Context, run: Run, seed: int) -> None:
    """Stop trainings in random order by successive halving."""
    successive_halving(run, RandomOrder(context.untried(np.random.default_rng(seed))), keep=False)


def halving_keeping(context: Context, run: Run, seed: int) -> None:
    """The same, where stopped members join the pool (a)."""
    successive_halving(run, RandomOrder(context.untried(np.random.default_rng(seed))), keep=True)


def frozen_first(context: Context, run: Run, seed: int) -> None:
    """Train frozen members of different features first; their losses weight the architectures (c)."""
    rng = np.random.default_rng(seed)
    untried = context.untried(rng)
    first = different_features(context.table, rng)[:FROZEN_FIRST]

    def arch() -> str:
        losses: dict[str, float] = {}
        for name, _ in run.pool:
            training = context.table.trainings[name]
            if training.frozen:
                body = training.values["arch"]
                losses[body] = min(training.loss, losses.get(body, np.inf))
        best = min(losses.values())
        shares = np.exp([-PRIOR * (loss - best) / best for loss in losses.values()])
        return str(rng.choice(list(losses), p=shares / shares.sum()))

    sampler = _univariate(seed)
    whole(run, Optuna(untried, context.spaces, sampler, first=first, arch=arch))


def different_features(table: Table, rng: np.random.Generator) -> list[Training]:
    """Return one random frozen member for each kind of features, in random order."""
    frozen = [one for one in table.full if one.frozen]
    order = [frozen[place] for place in rng.permutation(len(frozen))]
    return list({one.features: one for one in order}.values())


def short_first(context: Context, run: Run, seed: int) -> None:
    """Train short complete schedules, then the better half of each bracket in full (d).

    Only configurations that have both are candidates, see `with_short`.
    """
    _promote(context, run, seed, keep=True)


def with_short(context: Context, run: Run, seed: int) -> None:
    """Train the candidates of `short_first` in full, in random order."""
    rng = np.random.default_rng(seed)
    candidates = [one for one in context.table.full if context.table.other(one, "short") or one.frozen]
    whole(run, RandomOrder(context.untried(rng, candidates)))


def _promote(context: Context, run: Run, seed: int, *, keep: bool) -> None:
    rng, table = np.random.default_rng(seed), context.table
    candidates = [one for one in table.full if table.other(one, "short") or one.frozen]
    source = RandomOrder(context.untried(rng, candidates))
    with suppress(OverBudget):
        while bracket := [one for _ in range(BRACKET) if (one := source.next()) is not None]:
            losses: list[tuple[float, str]] = []
            for training in bracket:
                short = table.other(training, "short")
                if short is None:
                    run.train(training)
                    continue
                losses.append((run.train_to(short, short.last), training.name))
                if keep:
                    run.finish(short, short.last)
            for _, name in sorted(losses)[: -(-len(losses) // 2)]:
                run.train(table.trainings[name])


def per_second(context: Context, run: Run, seed: int) -> None:
    """Choose by a forest's expected improvement of the loss per second (e)."""
    rng = np.random.default_rng(seed)
    whole(run, Modelled(run, context.untried(rng), context.table, cost=True, rng=rng))


def by_improvement(context: Context, run: Run, seed: int) -> None:
    """The same without the seconds: what the forest alone does."""
    rng = np.random.default_rng(seed)
    whole(run, Modelled(run, context.untried(rng), context.table, cost=False, rng=rng))


def by_weight(context: Context, run: Run, seed: int) -> None:
    """Choose by a forest's forecast of the weight in the ensemble (f)."""
    rng = np.random.default_rng(seed)
    source = Modelled(
        run, context.untried(rng), context.table, cost=False, rng=rng, ensembles=context.ensembles
    )
    whole(run, source)


def closing(context: Context, run: Run, seed: int) -> None:
    """Repeat the best contributors with other seeds in the last fifth of the budget (g), after `blind`."""
    table, untried = context.table, context.untried(np.random.default_rng(seed))
    source = Optuna(untried, context.spaces, _univariate(seed))
    with suppress(OverBudget):
        while run.spent < CLOSING * run.budget and (training := source.next()) is not None:
            source.tell(training, run.train(training), training.last)
        weights = context.ensembles.weights(tuple(run.pool))
        for name in sorted(weights, key=lambda name: -weights[name]):
            for kind in ("seed1", "seed2"):
                again = table.other(table.trainings[name], kind)
                if again is not None:
                    run.train(again)
        whole(run, source)


def _known(context: Context) -> list[Training]:
    return _members(context, context.portfolio)


def _members(context: Context, names: Sequence[str]) -> list[Training]:
    return [context.table.trainings[name] for name in names]


def portfolio_first(context: Context, run: Run, seed: int) -> None:
    """Train the portfolio of the other tables first, then what univariate TPE proposes (h)."""
    untried = context.untried(np.random.default_rng(seed))
    whole(run, Optuna(untried, context.spaces, _univariate(seed), first=_known(context)))


def together(context: Context, run: Run, seed: int) -> None:
    """Train the portfolio, then choose by the forest's improvement per second (h, e)."""
    rng = np.random.default_rng(seed)
    source = Modelled(run, context.untried(rng), context.table, cost=True, rng=rng, first=_known(context))
    whole(run, source)


def together_by_weight(context: Context, run: Run, seed: int) -> None:
    """Train the portfolio, then choose by the forecast weight in the ensemble per second (h, e, f)."""
    rng = np.random.default_rng(seed)
    source = Modelled(
        run,
        context.untried(rng),
        context.table,
        cost=True,
        rng=rng,
        ensembles=context.ensembles,
        first=_known(context),
    )
    whole(run, source)


def frozen_per_second(context: Context, run: Run, seed: int) -> None:
    """Train frozen members of different features, then choose by improvement per second (c, e)."""
    rng = np.random.default_rng(seed)
    first = different_features(context.table, rng)
    whole(run, Modelled(run, context.untried(rng), context.table, cost=True, rng=rng, first=first))


def shares(context: Context, run: Run, seed: int) -> None:
    """Give the time to the sub-spaces whose members have the most weight per second (i)."""
    _by_shares(context, run, seed, first=())


def frozen_shares(context: Context, run: Run, seed: int) -> None:
    """Train frozen members of different features, then give the time by weight per second (c, i)."""
    first = different_features(context.table, np.random.default_rng(seed))
    _by_shares(context, run, seed, first=first)


def portfolio_shares(context: Context, run: Run, seed: int) -> None:
    """Train the portfolio, then give the time by weight per second (h, i)."""
    _by_shares(context, run, seed, first=_known(context))


def _by_shares(context: Context, run: Run, seed: int, first: Sequence[Training]) -> None:
    untried = context.untried(np.random.default_rng(seed))
    names = [space.name for space in context.spaces]
    family = Shares(run, untried, context.ensembles, names)
    whole(run, Optuna(untried, context.spaces, _univariate(seed), first=first, family=family))


def program(context: Context, run: Run, seed: int) -> None:
    """Search a built space as the program does: two frozen members, then the sub-spaces by share (h, i).

    The first members of networks without pretrained weights are those that helped most on the other tables.
    """
    _program(context, run, seed, frozen=2)


def program_three(context: Context, run: Run, seed: int) -> None:
    """The same after three frozen members."""
    _program(context, run, seed, frozen=3)


def program_one(context: Context, run: Run, seed: int) -> None:
    """The same after one frozen member."""
    _program(context, run, seed, frozen=1)


def program_tuned(context: Context, run: Run, seed: int) -> None:
    """The same, where fine-tuned members begin with those that helped most on the other tables, too."""
    _program(context, run, seed, frozen=2, tuned=True)


def program_before(context: Context, run: Run, seed: int) -> None:
    """The program before: three frozen members and a middling untrained network, then by share."""
    first = known_members(context.table, 3, ("scratch",))
    _by_program(context, run, seed, first, {"tuned": known_members(context.table, 0, ("tuned",))})


def _program(context: Context, run: Run, seed: int, *, frozen: int, tuned: bool = False) -> None:
    openings = {name: _members(context, names[:FIRST]) for name, names in context.portfolios.items()}
    if not tuned:
        openings["tuned"] = known_members(context.table, 0, ("tuned",))
    _by_program(context, run, seed, known_members(context.table, frozen, ()), openings)


def _by_program(
    context: Context,
    run: Run,
    seed: int,
    first: Sequence[Training],
    openings: Mapping[str, Sequence[Training]],
) -> None:
    untried = context.untried(np.random.default_rng(seed))
    source = Program(
        run, untried, context.ensembles, context.spaces, _univariate(seed), first=first, openings=openings
    )
    whole(run, source)


def known_members(table: Table, frozen: int, kinds: Sequence[str]) -> list[Training]:
    """Return the recipes of a built space: frozen members at the largest side, and middling others."""
    plain = [one for one in table.full if one.frozen and not one.values["label_smoothing"]]
    plain.sort(key=lambda one: (-side_of(one), -one.values["zoom_view"], one.name))
    bodies = {one.values["arch"]: one for one in reversed(plain)}
    chosen = sorted(bodies.values(), key=lambda one: one.values["arch"], reverse=True)[:frozen]
    middling = {
        "scratch": ("resnet10t.c3_in1k", 32, 0.0032),
        "tuned": ("tf_efficientnet_lite0.in1k", 64, 0.011),
    }
    for kind in kinds:
        arch, side, lr = middling[kind]
        rivals = [one for one in table.full if one.origin == kind]
        chosen += [
            min(
                rivals,
                key=lambda one: (
                    one.values["arch"] != arch,
                    side_of(one) != side,
                    -one.values["epochs"],
                    abs(np.log(one.values["lr"] / lr)),
                ),
            )
        ]
    return chosen


DEFAULT = "today's default"
BASELINES: Mapping[str, Method] = {
    DEFAULT: default,
    "random": random_search,
    "TPE univariate, nothing first": blind,
    "TPE multivariate, group": multivariate,
    "Optuna Hyperband": hyperband,
    "Ray ASHA": asha,
    "Ray ASHA, from half of the epochs": asha_half,
    "successive halving": halving,
    **({"SMAC3": smac} if installed("smac") else {}),
    **(
        {"Syne Tune BORE": bore, "Syne Tune CQR": quantiles, "Syne Tune ASHA + CQR": asha_quantiles}
        if installed("syne_tune")
        else {}
    ),
}
LEVERS: Mapping[str, Method] = {
    "a: ASHA, stopped ones join": asha_keeping,
    "a: ASHA from half, stopped ones join": asha_from_half,
    "a: halving, stopped ones join": halving_keeping,
    "c: frozen first, prior": frozen_first,
    "d: random among those with short schedules": with_short,
    "d: short schedules, promotion": short_first,
    "forest, improvement": by_improvement,
    "e: forest, improvement per second": per_second,
    "f: forest, weight in the ensemble": by_weight,
    "g: closing phase": closing,
    "h: portfolio, then TPE": portfolio_first,
    "c+e": frozen_per_second,
    "i: weight per second of the sub-spaces": shares,
    "c+i": frozen_shares,
    "h+i": portfolio_shares,
    "built space (program)": program,
    "built space, three frozen first": program_three,
    "built space, one frozen first": program_one,
    "built space, first fine-tuned ones, too": program_tuned,
    "built space, before": program_before,
    "h+e": together,
    "h+e+f": together_by_weight,
}
