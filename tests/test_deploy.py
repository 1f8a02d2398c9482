"""deploy/: files parse, their commands and options exist, their versions are the tested ones."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import psutil
import pytest
import yaml

import tune_paddy
from tests.cli.commands import parse

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
FILES = sorted(path for path in DEPLOY.iterdir() if path.is_file())
YAML = [path for path in FILES if path.suffix == ".yaml"]
PINS = dict(
    line.partition(" ;")[0].strip().split("==")
    for line in (ROOT / ".ci/pins/constraints.txt").read_text(encoding="utf-8").splitlines()
)
PROGRAMS = ("tune-paddy", "ray", "mlflow")


def commands(path: Path) -> Iterator[list[str]]:
    """Yield the command lines of the programs in a file; variables stand for one argument each."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"\\\n\s*#?\s*", " ", text)  # continued lines, also those of a comment
    text = re.sub(
        r">-\n((?:[ ]+.*\n)+?)(?=[ ]*\w+:|\Z)", lambda block: " ".join(block[1].split()) + "\n", text
    )
    text = text.replace('"${search[@]}"', "--resume night").replace('"', "")
    for program in PROGRAMS:
        for found in re.finditer(rf"(?<![\w/.~:-]){program} [a-z][^\n;&']*", text):
            yield shlex.split(re.sub(r"\$\(\([^)]*\)\)|\$\{?\w+\}?", "1", found[0]), comments=True)


ALL = [(path.name, words) for path in FILES for words in commands(path)]


@pytest.mark.parametrize(("name", "words"), ALL, ids=[f"{name}: {' '.join(words)}" for name, words in ALL])
def test_a_command_exists_with_its_options(name: str, words: list[str]) -> None:
    program, *arguments = words
    if program == "tune-paddy":
        parse(arguments)
        return
    if program == "ray":
        from ray.scripts.scripts import cli as group  # noqa: PLC0415 it takes seconds
    else:
        from mlflow.cli import cli as group  # noqa: PLC0415 it takes seconds
    command = group.get_command(click.Context(group), arguments[0])
    assert command is not None, name
    command.make_context(arguments[0], arguments[1:])


def test_each_program_is_found_in_the_files() -> None:
    """A change of the files must not hide their commands from the test above."""
    found = {(name, words[0], words[1]) for name, words in ALL}
    assert {
        ("compose.yaml", "tune-paddy", "search"),
        ("compose.yaml", "ray", "start"),
        ("compose.yaml", "mlflow", "server"),
        ("kuberay-rayjob.yaml", "tune-paddy", "search"),
        ("ray-cluster.yaml", "ray", "start"),
        ("slurm.sh", "ray", "start"),
        ("slurm.sh", "tune-paddy", "search"),
    } <= found


def nodes(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key of a YAML document with its value."""
    if isinstance(value, dict):
        yield from value.items()
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(part)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_images_and_versions_are_the_tested_ones(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert set(re.findall(r"\btune-paddy:([\d.]+)", text)) <= {tune_paddy.__version__}
    assert set(re.findall(r"rayVersion: \"?([\d.]+)", text)) <= {PINS["ray"]}
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "requires-python"
    ]
    assert set(re.findall(r"FROM python:([\d.]+)-", text)) <= {needed.removeprefix(">=")}


@pytest.mark.parametrize("path", YAML, ids=lambda path: path.name)
def test_every_image_has_a_version(path: Path) -> None:
    images = [value for key, value in nodes(yaml.safe_load(path.read_text())) if key == "image"]
    assert all(re.fullmatch(r"[\w./-]+:[\w.-]+", image) and not image.endswith(":latest") for image in images)


def test_what_the_image_copies_exists() -> None:
    lines = re.findall(r"^COPY (.+) \S+$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    assert lines
    assert all((ROOT / name).exists() for line in lines for name in line.split())


def test_services_wait_for_services_that_exist_and_ask_for_every_secret() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services = compose["services"]
    assert {
        name for service in services.values() for name in service.get("depends_on", ())
    } <= services.keys()
    used = {
        volume.partition(":")[0]
        for service in services.values()
        for volume in service.get("volumes", ())
        if not volume.startswith("$")
    }
    assert used == compose["volumes"].keys()
    assert yaml.safe_load((DEPLOY / "compose.gpu.yaml").read_text())["services"].keys() <= services.keys()
    secrets = re.findall(r"\$\{(\w+)(:\?)?", (DEPLOY / "compose.yaml").read_text())
    assert {name for name, asked in secrets if not asked} == set()


def test_ray_accepts_the_cluster_of_machines() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config  # noqa: PLC0415 Ray's own check

    config = yaml.safe_load((DEPLOY / "ray-cluster.yaml").read_text())
    validate_config(prepare_config(config))
    assert config["max_workers"] == len(config["provider"]["worker_ips"])


def test_a_job_on_kubernetes_starts_and_resumes_one_search() -> None:
    job = yaml.safe_load((DEPLOY / "kuberay-rayjob.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        pod = group["template"]["spec"]
        mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}
    subprocess.run(["/bin/sh", "-n", "-c", job["spec"]["entrypoint"]], check=True)


def test_the_script_for_slurm_is_valid_bash() -> None:
    subprocess.run(["/bin/bash", "-n", str(DEPLOY / "slurm.sh")], check=True)


STUBS = {
    # Slurm's own: a step is a process of its own, which `srun` kills when it gets SIGTERM itself.
    "srun": """
while [[ $1 == -* ]]; do shift; done
bash -c 'echo "$$" >> "$STATE/steps"; exec "$@"' bash "$@" & step=$!
trap 'kill -KILL "$step"; wait "$step"; exit 137' TERM
wait "$step"
""",
    "scancel": 'kill -TERM $(cat "$STATE/steps")',
    "scontrol": 'if [[ $1 == show ]]; then echo node; else echo "$*" > "$STATE/requeued"; fi',
    "sleep": "exit 0",
    "ray": 'grep SigBlk "/proc/$$/status" > "$STATE/blocked"; exec /bin/sleep 600',
    # A search waits for Ray, too.
    "tune-paddy": """
until [[ -s "$STATE/blocked" ]]; do /bin/sleep 0.02; done
trap 'echo in order > "$STATE/ended"; kill "$waiting"; exit 143' TERM
[[ -n $ENDS ]] && exit 0
/bin/sleep 600 & waiting=$!
echo "$*" > "$STATE/began"
wait "$waiting"
""",
}
"""Program → a script that stands for it."""


class SlurmJob:
    """A run of `slurm.sh` on a machine without Slurm.

    Args:
        folder: Folder of its files.
        ends: Whether the search ends by itself.
    """

    def __init__(self, folder: Path, *, ends: bool = False) -> None:
        self.state = folder
        for name, script in STUBS.items():
            (folder / name).write_text(f"#!/usr/bin/env bash{chr(10)}{script}")
            (folder / name).chmod(0o755)
        self.process = subprocess.Popen(
            [shutil.which("bash") or "bash", DEPLOY / "slurm.sh"],
            env={
                "PATH": f"{folder}:/usr/bin:/bin",
                "STATE": str(folder),
                "ENDS": "yes" if ends else "",
                "SLURM_JOB_ID": "7",
                "SLURM_JOB_NODELIST": "node",
                "SLURM_JOB_NUM_NODES": "1",
                "SLURM_CPUS_PER_TASK": "2",
            },
        )

    def wait_for(self, name: str) -> None:
        """Wait until a stub has written a file."""
        while not (self.state / name).exists() or not (self.state / name).read_text():
            assert self.process.poll() is None, "the job ended before"
            time.sleep(0.02)

    def steps(self) -> list[int]:
        """Return the processes of the steps."""
        return [int(line) for line in (self.state / "steps").read_text().split()]

    def ran(self) -> tuple[int, bool, bool]:
        """Return the exit status; whether the search ended in order; and whether the job was queued again."""
        status = self.process.wait(timeout=600)
        assert not any(psutil.pid_exists(step) for step in self.steps()), "a step is left"
        return status, (self.state / "ended").exists(), (self.state / "requeued").exists()


linux = pytest.mark.skipif(sys.platform != "linux", reason="Slurm and `env --block-signal` are Linux's")


@linux
def test_slurms_signal_to_the_script_ends_the_search_in_order_and_queues_the_job_again(
    tmp_path: Path,
) -> None:
    job = SlurmJob(tmp_path)
    job.wait_for("began")
    job.process.terminate()
    assert job.ran() == (143, True, True)


@linux
def test_a_preemptions_signal_to_all_steps_ends_the_search_in_order_and_queues_the_job_again(
    tmp_path: Path,
) -> None:
    job = SlurmJob(tmp_path)
    job.wait_for("began")
    for step in job.steps():
        os.kill(step, signal.SIGTERM)
    assert job.ran() == (143, True, True)


@linux
def test_rays_steps_of_a_slurm_job_do_not_get_sigterm(tmp_path: Path) -> None:
    job = SlurmJob(tmp_path, ends=True)
    job.ran()
    blocked = int((tmp_path / "blocked").read_text().split()[1], 16)
    assert blocked & 1 << (signal.SIGTERM - 1)


@linux
def test_a_slurm_job_whose_search_ended_is_not_queued_again(tmp_path: Path) -> None:
    assert SlurmJob(tmp_path, ends=True).ran() == (0, False, False)
