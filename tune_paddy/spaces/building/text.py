"""Write a built space as YAML, with the reason of each choice in a comment."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from tune_paddy.core.domains import Choice, Domain, Fixed
from tune_paddy.core.timing.forecast import spoken
from tune_paddy.spaces.building.builder import LONG, ChosenMember, ChosenSpace
from tune_paddy.spaces.building.choice import Chosen
from tune_paddy.spaces.building.estimates import DOWNLOAD, Estimate, Estimates, largest_side
from tune_paddy.spaces.building.facts import Facts, Machine

WIDTH = 112
"""Columns of a line of the file, as far as comments can be broken."""

_PLAIN = re.compile(r"[A-Za-z_][\w./-]*")
"""Texts that YAML reads as they are, apart from words such as `on`."""

_WHY: Mapping[str, str] = {
    "pretrained": "images unlike photographs may need it; it costs little",
    "lr": "of the shipped space, scaled from the published recipes",
    "layer_decay": "how much more slowly each layer learns than the next; 1: off",
    "weight_decay": "around AdamW's usual 0.01",
    "drop_path": "regularises large networks",
    "dropout": "regularises networks that learn from these images alone",
    "min_scale": "from strong crops to almost the whole image",
    "max_rotate": "a photograph has no exact upright",
    "max_lighting": "exposure differs between photographs",
    "mixup": "mixed images; 0: off",
    "cutmix": "pasted images; 0: off",
    "label_smoothing": "for labels that are not all right",
    "resize": "the whole image out of proportion, or its centre in proportion: members that differ",
}
"""Parameter → reason of its range, where the facts change nothing."""

_WHY_FITTED: Mapping[str, str] = {
    "head": "begins as that of a frozen member: few images teach a random one little",
    "schedule": "the whole network from the first step",
    "dropout": "little, for the head begins fitted",
    "lr": "low, or the network forgets what its head was fitted to",
}
"""The same of members that begin with a fitted head."""


def space_text(facts: Facts, chosen: Chosen) -> str:
    """Return the YAML text of a built space.

    Args:
        facts: The facts that it was built from.
        chosen: Its content.
    """
    return "\n".join(
        [*_head(facts, chosen), *_search(facts, chosen), *_defaults(facts, chosen), *_members(facts, chosen)]
    )


def summary(facts: Facts, chosen: Chosen) -> list[str]:
    """Return what a built space trains in its time, and what it leaves out, one line each."""
    parts = []
    if chosen.frozen:
        seconds = sum(member.estimate.seconds for member in chosen.frozen) / facts.machine.at_once
        parts.append(f"{_count(len(chosen.frozen), 'frozen member')} first, about {spoken(seconds)}")
    if chosen.epochs:
        parts.append(
            f"then about {_count(chosen.expected, 'member')} of {_count(chosen.epochs, 'epoch')}, "
            f"of {_count(chosen.networks, 'network')}"
        )
    lines = [f"{facts.minutes:g} minutes, {spoken(facts.seconds)} of them for members: {', '.join(parts)}"]
    if chosen.left_out:
        reasons = [f"{number} {why}" for why, number in sorted(chosen.left_out.items())]
        lines.append(f"Left out of the networks of the shipped spaces: {'; '.join(reasons)}")
    return lines


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _head(facts: Facts, chosen: Chosen) -> Iterator[str]:
    images = facts.images
    height, width = images.size
    kind = "grey images" if images.gray else "images"
    yield from _comment(
        f"Built by tune-paddy for {images.labelled:,} labelled {kind} of {images.classes:,} classes, "
        f"{height}x{width} px (height x width), {images.test:,} to predict, on {_machine(facts.machine)}.",
        "Edit it and use it again: tune-paddy search DATA --space THIS-FILE",
    )
    yield "#"
    yield from _comment(*summary(facts, chosen))
    yield "#"
    yield from _comment(
        "Times are forecasts: the operations of each network x the speed of similar steps, timed on this "
        "machine. They are wrong by a quarter or a third each way; during the search the members that have "
        "ended correct them."
    )
    if facts.to_download & set(_archs(chosen)):
        yield from _comment(f"Downloads of pretrained weights are counted at {DOWNLOAD / 1e6:g} MB/s.")
    yield f"description: Built for {images.labelled} images and {facts.minutes:g} minutes."
    yield ""


def _archs(chosen: Chosen) -> Iterator[str]:
    yield from (member.estimate.config.arch for member in chosen.frozen)
    yield from (one.config.arch for space in chosen.spaces for one in space.members)


def _machine(machine: Machine) -> str:
    if machine.on_gpu:
        most = "up to " if machine.gpu == "auto" else ""
        whole = f"{_count(machine.gpus, 'GPU')}, {most}{machine.gpu_mib:,.0f} MiB for a trial"
        return f"{whole}, {_count(machine.at_once, 'trial')} at once"
    return f"{_count(machine.at_once * machine.cpus, 'CPU')}, {_count(machine.at_once, 'trial')} at once"


def _search(facts: Facts, chosen: Chosen) -> Iterator[str]:
    machine = facts.machine
    known: dict[str, Any] = {
        "minutes": float(f"{facts.minutes:g}"),
        "trials": chosen.trials,
        "cpus": machine.cpus,
        "gpu": machine.gpu,
        "concurrency": None if machine.on_gpu else machine.at_once,
        **facts.settings,
    }
    why = {
        "minutes": "the whole search: start, image cache, members, selection and submission",
        "trials": "more than the time is expected to allow: the time ends the search",
        "concurrency": "as many as the free memory holds",
    }
    yield "search:"
    why |= dict.fromkeys(facts.settings, "chosen by you")
    for name, value in known.items():
        if value is not None:
            yield _line(2, f"{name}: {_value(value)}", why.get(name, ""))
    yield ""


def _defaults(facts: Facts, chosen: Chosen) -> Iterator[str]:
    values = chosen.defaults
    why = {
        "pretrained": "" if values["pretrained"] else "no pretrained weights are at hand for these images",
        "epochs": f"about {_count(chosen.expected, 'member')} fit the time with it",
        "batch_size": f"{facts.load.train:,} images to train on: enough steps an epoch",
        "tta": "augmented passes; each costs a prediction",
        "subsample": "own share of each member: different members blend better"
        if values["subsample"] < 1
        else "there are few images: every member sees all",
        "schedule": "" if values["pretrained"] else "there is no pretrained body to freeze",
    }
    yield "defaults:"
    for name, value in values.items():
        yield _line(2, f"{name}: {_value(value)}", why.get(name, ""))


def _members(facts: Facts, chosen: Chosen) -> Iterator[str]:
    taken = sum(member.estimate.seconds for member in chosen.frozen)
    whole = facts.seconds * facts.machine.at_once
    if chosen.frozen or chosen.recipes:
        yield from ("", "recipes:")
    if chosen.frozen:
        yield from _comment(
            "Heads fitted to the features of networks that do not train. They come first, and take about "
            f"{100 * taken / whole:.0f} % of the time: in the same time they had a lower log loss than "
            "fine-tuned members (benchmarks/recipes.py).",
            indent=2,
        )
        for member in chosen.frozen:
            yield from _recipe(member)
    if chosen.recipes:
        yield from _comment(
            "Middling values, so that a good ensemble is there early.",
            indent=2,
        )
        for member in chosen.recipes:
            yield from _recipe(member)
    if chosen.spaces:
        yield from ("", "spaces:")
    if len(chosen.spaces) > 1:
        yield from _comment(
            "Each is tried once its first member takes a small share of the time, or the others give little. "
            "Then time goes to those whose members have the most weight in the ensemble per second.",
            indent=2,
        )
    if chosen.spaces:
        for space in chosen.spaces:
            yield from _space(facts, space)


def _recipe(member: ChosenMember) -> Iterator[str]:
    yield _line(2, f"- name: {member.name}", _forecast([member.estimate]))
    for name, value in member.values.items():
        why = "its head never saw crops" if (name, value) == ("tta", 0) else ""
        yield _line(4, f"{name}: {_value(value)}", why)


def _space(facts: Facts, space: ChosenSpace) -> Iterator[str]:
    yield _line(2, f"- name: {space.name}", _forecast(space.members))
    for name, domain in space.domains.items():
        why = _reason(name, facts, space)
        if name == "arch" and isinstance(domain, Choice):
            yield _line(4, "arch:", why)
            for arch in domain.values:
                estimates = [one for one in space.members if one.config.arch == arch]
                yield _line(6, f"- {arch}", _forecast(estimates))
        else:
            yield _line(4, f"{name}: {_domain(domain)}", why)
    if space.first:
        yield _line(4, "first:", "what helped most on other images for its time; then the sampler")
    for values in space.first:
        yield _line(6, f"- {{{', '.join(f'{name}: {_value(value)}' for name, value in values.items())}}}")


def _reason(name: str, facts: Facts, space: ChosenSpace) -> str:
    """Return why a parameter has its range in a sub-space."""
    images = facts.images
    if name in _WHY_FITTED and space.domains.get("head") == Fixed("fitted"):
        return _WHY_FITTED[name]
    if name == "arch":
        most = Estimates(facts).most_accum
        memory = f", and fit the memory with an accum of {most} or less" if facts.machine.on_gpu else ""
        return f"those that end in time{memory}"
    if name == "size":
        return _size_reason(facts, space)
    if name == "flip":
        return (
            "grey images may be signs that a mirror changes"
            if images.gray
            else "mirrored, or also turned by quarters, as a leaf may lie"
        )
    if name in ("mixup", "cutmix"):
        return f"{_WHY[name]}; with {LONG} epochs or more"
    return _WHY.get(name, "")


def _size_reason(facts: Facts, space: ChosenSpace) -> str:
    if space.domains.get("schedule") == Fixed("frozen"):
        return "features at a smaller size cost less, and differ"
    most = largest_side(facts.images, pretrained=space.domains.get("pretrained") != Fixed(False))
    return f"images with a shorter side of {facts.images.side} px justify up to {most:.0f} px"


def _forecast(estimates: Sequence[Estimate]) -> str:
    """Return the time of members, and the memory that they take at most."""
    seconds = sorted(one.seconds for one in estimates)
    low, high = spoken(seconds[0]), spoken(seconds[-1])
    time = f"about {low}" if low == high else f"about {low} to {high}"
    return f"{time} and {max(one.forecast_mib for one in estimates):,.0f} MiB at most"


def _line(indent: int, text: str, why: str = "") -> str:
    return f"{' ' * indent}{text}{f' # {why}' if why else ''}"


def _comment(*sentences: str, indent: int = 0) -> Iterator[str]:
    """Break sentences into lines of a comment; each begins a line."""
    for sentence in sentences:
        line = ""
        for word in sentence.split():
            if line and len(line) + len(word) + 1 > WIDTH - indent:
                yield f"{' ' * indent}# {line}"
                line = ""
            line = f"{line} {word}".strip()
        yield f"{' ' * indent}# {line}"


def _domain(domain: Domain) -> str:
    if isinstance(domain, Fixed):
        return _value(domain.value)
    if isinstance(domain, Choice):
        return f"[{', '.join(_value(value) for value in domain.values)}]"
    parts = [f"low: {domain.low:g}", f"high: {domain.high:g}"]
    return f"{{{', '.join([*parts, *(['log: true'] if domain.log else [])])}}}"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(one) for one in value)}]"
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) and yaml.safe_load(value) == value else json.dumps(value)
    return f"{value:.12g}" if isinstance(value, float) else str(value)
