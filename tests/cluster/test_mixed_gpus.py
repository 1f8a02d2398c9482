"""A search on two machines with declared GPUs of two models: each trial is planned for the one that it gets.

The computer has no such GPUs: the trials find none, and train on the CPU. Ray's connections use TLS.
"""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.certificates import tls_variables
from tests.cluster.machines import (
    HEAD,
    PROGRAM,
    ROOT,
    SECOND,
    TWO_NODES,
    Machine,
    free_port,
    mlflow_server,
    ray_node,
    space_of_nets,
)
from tests.conftest import write_small_digits
from tune_paddy.core.gpus import gpu_mib
from tune_paddy.tracking.runs import list_members
from tune_paddy.tracking.store import open_store

TRIALS = 4

SPACE = space_of_nets(TRIALS, 1, "gpu: 1")

pytestmark = [
    *TWO_NODES,
    pytest.mark.skipif(torch.cuda.is_available(), reason="trials would find the GPU of this computer"),
]


def test_trials_are_spread_over_both_models_and_recorded_with_theirs(tmp_path: Path) -> None:
    machines, variables = {}, tls_variables(tmp_path, [HEAD, SECOND])
    for name in ("driver", "first", "second", "server"):
        (tmp_path / name).mkdir()
        address = {"first": HEAD, "second": SECOND}.get(name, "127.0.0.1")
        machines[name] = Machine(tmp_path / name, (), tmp_path / "log", {}, (ROOT,), variables, address)
    data = write_small_digits(tmp_path / "driver" / "digits")
    (tmp_path / "driver" / "space.yaml").write_text(SPACE)
    port = free_port()
    stranger = replace(machines["driver"], variables={})
    with ExitStack() as stack:
        uri = stack.enter_context(mlflow_server(machines["server"]))
        ray_node(stack, machines["first"], cpus=1, port=port, gpu="T4")
        ray_node(stack, machines["second"], cpus=1, port=port, joins=HEAD, gpu="L4")
        command = ["search", str(data), "--space", "space.yaml", "--name", "mixed", "--method", "uniform"]
        command += ["--storage", str(tmp_path / "storage")]
        command += ["--ray-address", f"{HEAD}:{port}", "--tracking-uri", uri]
        refused = stranger.run(*PROGRAM, *command, output="refused.txt")
        search = stack.enter_context(machines["driver"].running(*PROGRAM, *command, output="search.txt"))
        status, text = search.wait(900), machines["driver"].text("search.txt")
        store = open_store(uri, experiment=None, artifact_root=tmp_path, create=False)
        members = list_members(store, "mixed")
    assert refused[0] == 2
    assert "no Ray cluster answers" in refused[1]
    assert "if it uses TLS, set RAY_USE_TLS=1" in refused[1]
    assert status == 0, text
    assert f"1 L4 of {gpu_mib('L4'):,} MiB, 1 T4 of {gpu_mib('T4'):,} MiB" in text.replace("\n", " ")
    assert [member.outcome for member in members] == ["finished"] * TRIALS
    assert {member.tags["tune_paddy.gpu_model"] for member in members} == {"T4", "L4"}
