"""A door to a server: while it is closed, the server is away, as if it had ended, but keeps what it holds."""

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_TICK = 0.05
"""Time after which a thread looks whether the gate is still open, in seconds."""


class Gate:
    """Passes connections on to a port of this computer.

    Attributes:
        port: Port that programs connect to.
        refused: Number of connections that it has closed at once.

    Args:
        target: Port of the server.
    """

    def __init__(self, target: int) -> None:
        self._target, self.refused = target, 0
        self._closed, self._ended = threading.Event(), threading.Event()
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
    def closed(self) -> Iterator[None]:
        """End all connections, and let none through while the block runs."""
        self._closed.set()
        try:
            yield
        finally:
            self._closed.clear()

    def _accept(self) -> None:
        while not self._ended.is_set():
            if not select.select([self._listener], [], [], _TICK)[0]:
                continue
            client, _ = self._listener.accept()
            if self._closed.is_set():
                self.refused += 1
                client.close()
                continue
            self._threads.append(threading.Thread(target=self._pass_on, args=[client]))
            self._threads[-1].start()

    def _pass_on(self, client: socket.socket) -> None:
        """Pass on what either end sends until one of them or the gate ends the connection."""
        with client, suppress(OSError), socket.create_connection(("127.0.0.1", self._target)) as server:
            others = {client: server, server: client}
            while not (self._closed.is_set() or self._ended.is_set()):
                for source in select.select(list(others), [], [], _TICK)[0]:
                    content = source.recv(2**16)
                    if not content:
                        return
                    others[source].sendall(content)
