"""A gate before a server; shut, the server is away, does not answer or fails, but keeps its data."""

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum

_TICK = 0.05
"""Time after which a thread looks whether the gate is still open, in seconds."""

_FAILURE = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class State(Enum):
    """What happens to connections."""

    OPEN = "they are passed on"
    CLOSED = "they are ended"
    HELD = "they get no answer"
    FAILING = "every request gets the answer 500"


class Gate:
    """Passes connections on to a port of this computer.

    Attributes:
        port: Port that programs connect to.
        refused: Number of connections that it has ended or held, or to which it has answered 500.

    Args:
        target: Port of the server.
    """

    def __init__(self, target: int) -> None:
        self._target, self.refused = target, 0
        self._state, self._ended = State.OPEN, threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self.port = int(self._listener.getsockname()[1])

    def __enter__(self) -> "Gate":
        self._threads[0].start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        for thread in list(self._threads):
            thread.join()
        self._listener.close()

    @contextmanager
    def shut(self, state: State) -> Iterator[None]:
        """Treat all connections in another way while the block runs."""
        self._state = state
        try:
            yield
        finally:
            self._state = State.OPEN

    def _accept(self) -> None:
        while not self._ended.is_set():
            if not select.select([self._listener], [], [], _TICK)[0]:
                continue
            client, _ = self._listener.accept()
            self.refused += self._state is not State.OPEN
            self._threads.append(threading.Thread(target=self._serve, args=[client]))
            self._threads[-1].start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            if self._state is State.FAILING:
                client.recv(2**16)
                client.sendall(_FAILURE)
            if self._state in (State.OPEN, State.HELD):
                self._pass_on(client)

    def _pass_on(self, client: socket.socket) -> None:
        """Pass on what either end sends until one of them or the gate ends the connection."""
        with socket.create_connection(("127.0.0.1", self._target)) as server:
            others = {client: server, server: client}
            while self._state in (State.OPEN, State.HELD) and not self._ended.is_set():
                if self._state is State.HELD:
                    self._ended.wait(_TICK)
                    continue
                for source in select.select(list(others), [], [], _TICK)[0]:
                    content = source.recv(2**16)
                    if not content:
                        return
                    others[source].sendall(content)
