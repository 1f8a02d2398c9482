import pytest

from tune_paddy.core.errors import InputError
from tune_paddy.core.gpus import GPU_MIB, gpu_mib, same_model


@pytest.mark.parametrize("name", GPU_MIB)
def test_every_gpu_is_found_by_its_own_name_in_any_spelling(name: str) -> None:
    assert gpu_mib(name) == gpu_mib(name.upper().replace(" ", "-")) == GPU_MIB[name]


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("Tesla P100-PCIE-16GB", "Tesla P100"),
        ("NVIDIA A100-SXM4-80GB", "A100 80GB"),
        ("NVIDIA H100 80GB HBM3", "H100 80GB"),
        ("NVIDIA GeForce RTX 3090", "GeForce RTX 3090"),
        ("3090", "GeForce RTX 3090"),
        ("h100", "H100 80GB"),
        ("Tesla V100-SXM2-32GB", "Tesla V100 32GB"),
    ],
)
def test_names_from_drivers_and_people_are_recognised(name: str, known: str) -> None:
    assert gpu_mib(name) == GPU_MIB[known]


def test_a_name_without_a_unique_capacity_is_refused() -> None:
    with pytest.raises(InputError, match="ambiguous: use Tesla V100 16GB or Tesla V100 32GB"):
        gpu_mib("V100")


def test_a_wrong_capacity_is_refused() -> None:
    with pytest.raises(InputError, match="did you mean Tesla P100"):
        gpu_mib("Tesla P100 12GB")


@pytest.mark.parametrize("name", ["", "Voodoo 3", "GPU"])
def test_an_unknown_gpu_is_refused_with_all_names(name: str) -> None:
    with pytest.raises(InputError, match="Tesla T4") as refusal:
        gpu_mib(name)
    assert "`gpu_memory`" in str(refusal.value)


def test_names_of_one_model_are_distinguished_from_those_of_another() -> None:
    assert same_model("NVIDIA A100-SXM4-40GB", "a100 40GB")
    assert same_model("Tesla P100", "Tesla P100-PCIE-16GB")
    assert not same_model("A100 40GB", "A100 80GB")
    assert not same_model("L4", "L40S")
