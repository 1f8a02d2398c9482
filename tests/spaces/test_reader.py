from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from tune_paddy.spaces.problems import SpaceError
from tune_paddy.spaces.reader import check_archs, read_sections
from tune_paddy.spaces.rules import ArchCheck

Asked = list[tuple[str, tuple[int, int]]]


def problems(text: str, check_arch: ArchCheck | None = None) -> list[str]:
    """Return the lines of the error for a file called `x`."""
    with pytest.raises(SpaceError) as caught:
        parse_and_check(text, check_arch)
    return str(caught.value).splitlines()


def parse_and_check(text: str, check_arch: ArchCheck | None) -> None:
    sections = read_sections(text, file="x", base=Path())
    if check_arch is not None:
        check_archs(sections.drafts, check_arch)


def only_problem(text: str, check_arch: ArchCheck | None = None) -> str:
    """Return the only line of the error."""
    (found,) = problems(text, check_arch)
    return found


def sub_space(lines: str) -> str:
    """A file whose sub-space has an architecture in line 2 and `lines` from line 3 on."""
    return "spaces:\n  - arch: resnet18\n" + "".join(f"    {line}\n" for line in lines.splitlines())


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("learning_rate: 0.1", "x:3: spaces[0]: no parameter is called 'learning_rate'"),
        ("batchsize: 3", "x:3: spaces[0]: no parameter is called 'batchsize'; did you mean batch_size"),
        ("lr: {low: 0.1, high: 0.01}", "x:3: spaces[0].lr: low 0.1 is not below high 0.01; swap them"),
        ("lr: {low: 0.1, high: 1e-1}", "x:3: spaces[0].lr: low and high are both 0.1; write the value"),
        ("lr: {low: 0.1}", "x:3: spaces[0].lr: a range needs low and high; high is missing"),
        ("mixup: {low: 0, high: 1, log: true}", "x:3: spaces[0].mixup: low 0.0 has no logarithm"),
        ("mixup: {low: 1, high: 2, log: true, step: 1}", "log and step exclude each other"),
        ("mixup: {low: 0, high: 1, log: 1}", "x:3: spaces[0].mixup.log: 1 should be true or false"),
        ("mixup: {low: 0, high: 1, step: -1}", "x:3: spaces[0].mixup.step: -1 should be a number"),
        ("epochs: {low: 2, high: 8, step: 0.5}", "x:3: spaces[0].epochs.step: 0.5 should be a whole"),
        ("epochs: {low: 2, high: 8, step: 4}", "steps of 4 from 2 reach 6, not 8; write high: 6"),
        ("epochs: {low: 2, high: 8, step: 9}", "step 9 is larger than the range from 2 to 8"),
        ("mixup: {low: 0, high: 1, step: 1e-300}", "cuts the range into more than"),
        ("epochs: {low: 2.5, high: 8}", "x:3: spaces[0].epochs.low: 2.5 should be a valid integer"),
        ("lr: {low: 0.1, high: x}", "x:3: spaces[0].lr.high: 'x' should be a number"),
        ("lr: {low: 0.1, hihg: 1}", "no key of a range is called 'hihg'; did you mean high"),
        ("lr: {low: 0.1, high: 999}", "x:3: spaces[0].lr.high: 999 should be less than or equal to 100"),
        ("resize: {low: 1, high: 2}", "x:3: spaces[0].resize: takes no range"),
        ("pretrained: {low: 1, high: 2}", "x:3: spaces[0].pretrained: takes no range"),
        ("lr: []", "x:3: spaces[0].lr: an empty list of choices"),
        ("lr:\n- 0.1\n- 0.01\n- 1e-1", "x:6: spaces[0].lr[2]: 1e-1 is among the choices already"),
        ("size: [224, [224, 224]]", "x:3: spaces[0].size[1]: [224, 224] is among the choices already"),
        ("lr: [0.1, [0.2]]", "x:3: spaces[0].lr[1]: a choice is one value, not [0.2]"),
        ("lr: [0.1, {low: 1}]", "x:3: spaces[0].lr[1]: a choice is one value, not a mapping"),
        ("lr: .nan", "x:3: spaces[0].lr: .nan should be a finite number"),
        ("lr: .inf", "x:3: spaces[0].lr: .inf should be a finite number"),
        ("lr: 1e999", "x:3: spaces[0].lr: 1e999 should be a finite number"),
        ("lr: yes", "x:3: spaces[0].lr: yes should be a valid number"),
        ("lr: '1e-3'", "x:3: spaces[0].lr: '1e-3' should be a valid number"),
        ("lr:", "x:3: spaces[0].lr: an empty value should be a valid number"),
        ("lr: -1", "x:3: spaces[0].lr: -1 should be greater than 0"),
        ("epochs: 12.0", "x:3: spaces[0].epochs: 12.0 should be a valid integer"),
        ("accum: 0", "x:3: spaces[0].accum: 0 should be 'auto' or greater than or equal to 1"),
        ("resize: squash", "x:3: spaces[0].resize: 'squash' should be 'squish', 'crop' or 'pad'"),
        ("size: [[1, 2, 3]]", "x:3: spaces[0].size[0]: [1, 2, 3] should be a side, or a pair"),
        ("size: 4", "x:3: spaces[0].size: 4 should be a side, or a pair [height, width], of 8 to 4096 px"),
        ("size: 224px", "x:3: spaces[0].size: '224px' should be a side"),
        ("pretrained: ''", "x:3: spaces[0].pretrained: '' should not be empty"),
        ('pretrained: "a\\0b"', "x:3: spaces[0].pretrained: 'a\\x00b' holds non-printable"),
        ("name: [a]", "x:3: spaces[0].name: should be 1 to 100 printable characters"),
        ("lr: 0.1\nlr: 0.2", "x:4: duplicate key 'lr', first in line 3; keep one"),
    ],
)
def test_wrong_parameters(lines: str, expected: str) -> None:
    """A wrong parameter is named with its line and with what to do."""
    assert expected in only_problem(sub_space(lines))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("batch_size: 4\naccum: 8", "x:4: spaces[0].accum: 8 is larger than batch_size 4"),
        (
            "accum: [1, 64]\nbatch_size: [32, 64]",
            "x:3: spaces[0].accum: 64 is larger than batch_size 32",
        ),
        (
            "resize_size: 200",
            "x:3: spaces[0].resize_size: [200, 200] is smaller than size [224, 224]",
        ),
        (
            "size: {low: 192, high: 256}\nresize_size: 240",
            "resize_size: [240, 240] is smaller than size [256, 256]",
        ),
        (
            "size: [[224, 64], [64, 224]]\nresize_size: [[224, 224], [256, 200]]",
            "x:4: spaces[0].resize_size: [256, 200] is smaller than size [64, 224]",
        ),
        (
            "flip: none\nflip_view: true",
            "x:4: spaces[0].flip_view: has no symmetry to average over with flip: none; set flip: horizontal",
        ),
        ("patience: 3", "x:3: spaces[0].patience: 3 needs keep: best; set it, or leave patience out"),
        (
            "trivialaugment: true\nrandaugment: 9",
            "x:4: spaces[0].randaugment: 9 and trivialaugment: true exclude each other; leave one out",
        ),
    ],
    ids=["fixed", "choices", "default", "range", "one axis", "view", "patience", "operations"],
)
def test_contradictions(lines: str, expected: str) -> None:
    """Two parameters that contradict each other in any member of a sub-space are refused."""
    assert expected in only_problem(sub_space(lines))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("description: a", "x:1: nothing to train; add recipes or spaces"),
        ("recipes: []", "x:1: nothing to train; add recipes or spaces"),
        ("- arch: a", "x:1: should be a mapping"),
        ("spaces: {arch: a}", "x:1: spaces: should be a list; start each item with a dash"),
        ("spaces:\n  - a", "x:2: spaces[0]: should be a mapping from parameters to values"),
        ("space: []", "x:1: no section is called 'space'; did you mean spaces?"),
        ("spaces:\n  - lr: 0.1", "x:2: spaces[0]: no arch; name a timm model here or under defaults"),
        ("defaults: 3\nspaces: [{arch: a}]", "x:1: defaults: should be a mapping"),
        ("defaults: {name: a}\nspaces: [{arch: a}]", "x:1: defaults: no parameter is called 'name'"),
        ("defaults: {lr: [1, 2]}\nspaces: [{arch: a}]", "x:1: defaults.lr: a list of choices belongs"),
        ("recipes: [{arch: a, lr: {low: 1, high: 2}}]", "x:1: recipes[0].lr: a range belongs under"),
        ("recipes: [{arch: a, name: b}, {arch: a, name: b}]", "recipes[0] is called 'b' too; rename one"),
        ("search: {trial: 3}\nspaces: [{arch: a}]", "x:1: search: no setting is called 'trial'; did you"),
        ("search: {trials: 0}\nspaces: [{arch: a}]", "x:1: search.trials: 0 should be greater than or"),
        ("search: {minutes: .inf}\nspaces: [{arch: a}]", "x:1: search.minutes: .inf should be a finite"),
        ("search: {gpu: true}\nspaces: [{arch: a}]", "search.gpu: true should be 'auto' or a valid number"),
        (
            "search: {gpu: 2}\nspaces: [{arch: a}]",
            "search.gpu: 2 should be 'auto' or up to 1: a member trains on one GPU; more members run at once",
        ),
        ("search: {cpus: {low: 1}}\nspaces: [{arch: a}]", "x:1: search.cpus: a mapping should be"),
        ("search: {trials: 1}\nrecipes:\n- {arch: a}\n- {arch: b}", "x:4: recipes[1]: search.trials is 1"),
        ("description: [a]\nspaces: [{arch: a}]", "x:1: description: should be printable text"),
        ("spaces: [{arch: a}", "x:1: not YAML"),
    ],
)
def test_wrong_sections(text: str, expected: str) -> None:
    """A wrong section is named with its line and with what to do."""
    assert expected in only_problem(text)


def test_all_problems_are_reported() -> None:
    """All problems are reported at once, in the order of their lines."""
    text = "search:\n  trials: x\nspaces:\n  - arch: a\n    lr: -1\n  - arh: b\ndefaults:\n  seed: -1\n"
    assert [line.split(" ")[0] for line in problems(text)] == ["x:2:", "x:5:", "x:6:", "x:8:"]


def test_too_many_problems() -> None:
    """Only the first twenty problems are listed."""
    found = problems("".join(f"wrong{number}: 1\n" for number in range(50)))
    assert len(found) == 21
    assert found[-1] == "x: and 30 more"


def test_long_values() -> None:
    """A message quotes long values only in part."""
    assert len(only_problem(sub_space(f'resize: "{"long" * 1000}"'))) < 500


def recorder(refuse: Callable[[str, tuple[int, int]], bool]) -> tuple[Asked, ArchCheck]:
    """A check that refuses some architectures and sizes, and the list of its calls."""
    asked: Asked = []

    def check(arch: str, size: tuple[int, int], large_view: float) -> str | None:  # noqa: ARG001 of the protocol
        asked.append((arch, size))
        return f"{arch} cannot take {size[0]}x{size[1]}" if refuse(arch, size) else None

    return asked, check


def test_checks_of_architectures() -> None:
    """Each architecture is checked once at each reachable size, for a range at three sizes."""
    asked, check = recorder(lambda arch, size: False)
    text = (
        "recipes: [{arch: b, size: [320, 224]}, {arch: a}]\n"
        "spaces: [{arch: [a, b], size: [224, [320, 224]]}, {arch: c, size: {low: 192, high: 320, step: 32}}]"
    )
    check_archs(read_sections(text, file="x", base=Path()).drafts, check)
    assert asked == [
        ("b", (320, 224)),
        ("a", (224, 224)),
        ("a", (320, 224)),
        ("b", (224, 224)),
        ("c", (192, 192)),
        ("c", (224, 224)),
        ("c", (320, 320)),
    ]


def test_sizes_inside_a_range() -> None:
    """A range without a step is refused for an architecture with patches: it reaches 193 px."""
    _, check = recorder(lambda arch, size: size[0] % 16 != 0)
    text = sub_space("size: {low: 192, high: 256}")
    assert only_problem(text, check) == "x:2: spaces[0].arch: resnet18 cannot take 193x193"


def test_lines_of_architectures() -> None:
    """A problem points at the architecture in a list; all problems come together."""
    _, check = recorder(lambda arch, size: arch in "bc")
    assert problems("spaces:\n  - arch:\n      - a\n      - b\n  - arch: c\n", check) == [
        "x:4: spaces[0].arch: b cannot take 224x224",
        "x:5: spaces[1].arch: c cannot take 224x224",
    ]


def test_a_second_check_starts_afresh() -> None:
    """The problems of one check are not reported by the next."""
    drafts = read_sections(sub_space(""), file="x", base=Path()).drafts
    with pytest.raises(SpaceError):
        check_archs(drafts, lambda arch, size, large_view: "too new")
    check_archs(drafts, lambda arch, size, large_view: None)


def test_no_follow_up_problems() -> None:
    """If the size is invalid, the architecture is not checked at the default size."""
    _, check = recorder(lambda arch, size: True)
    assert only_problem(sub_space("size: big"), check).startswith("x:3: spaces[0].size: 'big'")


def test_unknown_architectures() -> None:
    """An unknown name is reported once, for any number of sizes."""
    text = sub_space("size: [192, 224, 256]")
    found = only_problem(text, lambda arch, size, large_view: f"timm has no model {arch!r}")
    assert found == "x:2: spaces[0].arch: timm has no model 'resnet18'"


def test_an_architecture_is_checked_at_both_ends_of_its_views() -> None:
    asked: list[float] = []

    def check(arch: str, size: tuple[int, int], large_view: float) -> None:  # noqa: ARG001 of the protocol
        asked.append(large_view)

    parse_and_check("spaces: [{name: a, arch: x, large_view: {low: 1.0, high: 1.25}}]", check)
    parse_and_check("spaces: [{name: a, arch: y, large_view: {low: 1.1, high: 1.25}}]", check)
    parse_and_check("spaces: [{name: a, arch: z, large_view: [1.0, 1.15, 1.3]}]", check)
    assert asked == [1.01, 1.25, 1.1, 1.25, 1.15, 1.3]


@pytest.mark.parametrize(
    ("lines", "asked"),
    [
        ("layer_decay: 0.7", ["resnet18"]),
        ("layer_decay: {low: 0.6, high: 1.0}", ["resnet18"]),
        ("layer_decay: 0.9\nschedule: [frozen, fine_tune]", ["resnet18"]),
        ("layer_decay: 1.0", []),
        ("size: 48", []),
    ],
)
def test_the_layers_of_an_architecture_are_checked_if_a_member_needs_them(
    lines: str, asked: list[str]
) -> None:
    found: list[str] = []

    def check_layers(arch: str, size: tuple[int, int]) -> str:  # noqa: ARG001 of the protocol
        found.append(arch)
        return "no layers"

    sections = read_sections(sub_space(lines), file="x", base=Path())
    with pytest.raises(SpaceError, match=r"^x:2: spaces\[0\].arch: no layers$") if asked else nullcontext():
        check_archs(sections.drafts, lambda *_: None, check_layers)
    assert found == asked


def test_the_layers_of_frozen_members_are_not_checked() -> None:
    text = "defaults: {layer_decay: 0.7}\nrecipes: [{arch: a, schedule: frozen}]"
    check_archs(read_sections(text, file="x", base=Path()).drafts, lambda *_: None, lambda *_: "no layers")
