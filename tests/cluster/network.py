"""Networks of the machines of a cluster: each has its own, and a cable leads to a switch of this computer.

Without this, all machines share the loopback addresses of the computer, and a program that asks its own
machine instead of another one works by accident.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache

SHARED = "127.0.0.{}"
"""Address of a machine that has no network of its own; the first machine has the last number 2."""

_PRIVATE = f"10.{200 + os.getpid() // 256 % 50}.{os.getpid() % 256}.{{}}"
_SWITCH = f"tp{os.getpid()}"  # another run of the tests has others


@contextmanager
def addresses(machines: Sequence[str]) -> Iterator[dict[str, str]]:
    """Yield the address of each machine.

    Each machine has a network namespace of its name, where the system allows it, while the block runs;
    otherwise all share those of this computer.

    Args:
        machines: Names of the machines.
    """
    with ExitStack() as stack:
        if own_networks():
            _ip("link", "add", _SWITCH, "type", "bridge")
            stack.callback(_ip, "link", "delete", _SWITCH)
            _ip("address", "add", f"{_PRIVATE.format(1)}/24", "dev", _SWITCH)
            _ip("link", "set", _SWITCH, "up")
        form = _PRIVATE if own_networks() else SHARED
        found = {machine: form.format(number) for number, machine in enumerate(machines, 2)}
        for machine, address in found.items() if own_networks() else ():
            _connect(stack, machine, address)
        yield found


def _connect(stack: ExitStack, machine: str, address: str) -> None:
    """Give a machine its network and a cable to the switch; the stack removes both."""
    name = namespace(machine)
    cable = _cable(address)
    _ip("netns", "add", name)
    stack.callback(_ip, "netns", "delete", name)
    _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", name)
    stack.callback(_ip, "link", "delete", cable)
    _ip("link", "set", cable, "master", _SWITCH, "up")
    _ip("-n", name, "address", "add", f"{address}/24", "dev", "eth0")
    for device in ("lo", "eth0"):
        _ip("-n", name, "link", "set", device, "up")


@contextmanager
def cut_off(address: str) -> Iterator[None]:
    """Unplug a machine's cable while the block runs; its processes go on.

    Args:
        address: Its address, from `addresses`, where each machine has a network of its own.
    """
    cable = _cable(address)
    _ip("link", "set", cable, "down")
    try:
        yield
    finally:
        _ip("link", "set", cable, "up")


def inside(machine: str) -> list[str]:
    """Return the beginning of a command that runs in a machine's network, or nothing.

    Args:
        machine: Name of the machine; empty: the network of this computer.
    """
    return ["ip", "netns", "exec", namespace(machine)] if machine and own_networks() else []


def _cable(address: str) -> str:
    return f"{_SWITCH}-{address.rpartition('.')[2]}"


def namespace(machine: str) -> str:
    """Return the name of a machine's network namespace."""
    return f"{_SWITCH}-{machine}"


@cache
def own_networks() -> bool:
    """Return whether this system lets a process make networks and connect them."""
    if shutil.which("ip") is None:
        return False
    try:
        with ExitStack() as stack:
            _ip("link", "add", _SWITCH, "type", "bridge")
            stack.callback(_ip, "link", "delete", _SWITCH)
            _connect(stack, "probe", _PRIVATE.format(254))
    except subprocess.CalledProcessError:
        return False
    return True


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)  # noqa: S607 the system's
