import json
import math
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tune_paddy.core.calibration import Calibration, CalibrationPoint, fit_calibration
from tune_paddy.core.errors import InputError
from tune_paddy.training.forecast.calibration_files import (
    GENERIC,
    all_calibrations,
    choose_calibration,
    load_calibration,
    save_calibration,
)
from tune_paddy.training.forecast.footprint import forecast

NOTEBOOK = "notebook-2022"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNE_PADDY_CACHE", str(tmp_path / "cache"))


def calibration(name: str, gpu: str, torch_version: str) -> Calibration:
    return Calibration(name=name, gpu=gpu, context_mib=500, slack=1.1, versions={"torch": torch_version})


@pytest.fixture
def own(tmp_path: Path) -> Path:
    for item in (
        calibration("t4-old", "Tesla T4", "2.9.1"),
        calibration("t4-new", "Tesla T4", "2.15.0+cu132"),
        calibration("a100", "NVIDIA A100-SXM4-40GB", "2.9.1"),
    ):
        save_calibration(item, tmp_path)
    return tmp_path


def test_a_saved_calibration_is_found_by_name_and_by_path(own: Path) -> None:
    assert load_calibration("a100", own) == calibration("a100", "NVIDIA A100-SXM4-40GB", "2.9.1")
    assert load_calibration(str(own / "a100.json")) == load_calibration("a100", own)


def test_a_name_becomes_a_file_name(tmp_path: Path) -> None:
    assert save_calibration(calibration("T4 / torch 2", "Tesla T4", "2"), tmp_path).name == "T4-torch-2.json"


@pytest.mark.parametrize(
    ("gpu", "torch_version", "name"),
    [
        ("Tesla T4", "2.15.1", "t4-new"),
        ("Tesla T4", "2.9.0", "t4-old"),
        ("Tesla T4", "2.20.0", "t4-old"),
        ("NVIDIA A100-SXM4-40GB", "2.15.1", "a100"),
        ("NVIDIA A100-SXM4-80GB", "2.15.1", GENERIC),
        ("L4", "2.15.1", GENERIC),
        (None, "2.15.1", GENERIC),
    ],
)
def test_the_calibration_matches_the_gpu_first_and_torch_second(
    own: Path, gpu: str | None, torch_version: str, name: str
) -> None:
    assert choose_calibration(gpu, torch_version, own).name == name


def test_an_unknown_name_is_refused_with_the_known_ones(own: Path) -> None:
    with pytest.raises(InputError, match=r"'k80'; use one of a100, generic, notebook-2022, t4-new, t4-old"):
        load_calibration("k80", own)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not a valid calibration"),
        ('{"name": "x"}', "context_mib"),
        ('{"nmae": "x"}', "not a valid calibration"),
    ],
)
def test_an_invalid_calibration_file_is_refused_with_the_key(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "broken.json"
    path.write_text(text, "utf-8")
    with pytest.raises(InputError, match=words) as refusal:
        load_calibration(str(path))
    assert str(path) in str(refusal.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_calibration(str(tmp_path / "none.json"))


def test_the_package_ships_a_conservative_generic_calibration(tmp_path: Path) -> None:
    assert {c.name for c in all_calibrations(tmp_path)} == {GENERIC, NOTEBOOK}
    assert load_calibration(GENERIC, tmp_path).margin > 0


def notebook_points() -> tuple[CalibrationPoint, ...]:
    return load_calibration(NOTEBOOK).points


def test_the_notebooks_constants_follow_from_its_figures() -> None:
    shipped = load_calibration(NOTEBOOK)
    assert fit_calibration(shipped.points) == (
        pytest.approx(shipped.context_mib, abs=0.1),
        pytest.approx(shipped.slack, abs=1e-4),
    )


def test_two_of_the_notebooks_figures_forecast_all_others_within_five_per_cent() -> None:
    """Fitted on the smallest and the largest; the mean error of the others is at most 3 %."""
    by_size = sorted(notebook_points(), key=lambda point: point.process_mib)
    context, slack = fit_calibration([by_size[0], by_size[-1]])
    errors = [abs((context + slack * p.raw_mib) / p.process_mib - 1) for p in by_size[1:-1]]
    assert max(errors) < 0.05
    assert sum(errors) / len(errors) < 0.03


@pytest.mark.parametrize("arch", ["convnext_small", "vit_large_patch16_224"])
def test_the_current_forecast_is_the_one_of_the_notebooks_calibration(arch: str, tmp_path: Path) -> None:
    """If a change of the method or of timm changes a figure, fit the constants again."""
    points = [point for point in notebook_points() if point.label.startswith(f"{arch} ")]
    side = 128 if arch == "convnext_small" else 224
    footprint = forecast(arch, (side, side), n_classes=1, unfused=True, cache=tmp_path)
    for point in points:
        at_once = int(point.label.split(", ")[1].split()[0])
        assert footprint.raw_mib(at_once) == pytest.approx(point.raw_mib, rel=0.002)


ODD = [None, True, -1, 0, 2**70, 1e308, math.inf, math.nan, "", "x\n", [[]], {}]
VALUES = st.sampled_from(ODD) | st.floats()


@settings(max_examples=100)
@given(
    content=st.binary(max_size=50)
    | st.dictionaries(st.sampled_from([*Calibration.model_fields, "other"]), VALUES).map(
        lambda fields: json.dumps({"name": "a", "context_mib": 1, "slack": 1, **fields}).encode()
    )
)
@example(content=b'{"name": "a", "context_mib": 1, "slack": Infinity}')
def test_any_content_is_a_calibration_or_gives_a_one_line_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    try:
        found = load_calibration(str(path))
    except InputError as error:
        assert "x.json: " in str(error)  # noqa: PT017 both outcomes are correct
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert found.process_mib(100.0, with_margin=True) > 0
        assert math.isfinite(found.process_mib(100.0))
