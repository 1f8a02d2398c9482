"""Servers that are not Ray, or not as this program speaks to it; `tests/cluster` connects to a real Ray."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.certificates import tls_variables
from tune_paddy.core.errors import InputError
from tune_paddy.search.ray import address
from tune_paddy.search.ray.address import require_ray

SETTINGS = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
GREETING = 24
"""Length of the first words of HTTP/2, in bytes."""

Answer = Callable[[socket.socket], None]


@contextmanager
def server(answer: Answer) -> Iterator[str]:
    """Serve one connection; yield the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):  # the other end may leave first
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(10)
                    answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def grpc(connection: socket.socket) -> None:
    assert connection.recv(GREETING).startswith(b"PRI * HTTP/2.0")
    connection.sendall(SETTINGS)


def web(connection: socket.socket) -> None:
    connection.recv(100)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def tls_alert(connection: socket.socket) -> None:
    connection.recv(100)
    connection.sendall(b"\x15\x03\x01\x00\x02\x02\x46")


def encrypted(variables: dict[str, str]) -> Answer:
    """Return gRPC over TLS, with a certificate."""

    def answer(connection: socket.socket) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(variables["RAY_TLS_SERVER_CERT"], variables["RAY_TLS_SERVER_KEY"])
        with context.wrap_socket(connection, server_side=True) as channel:
            grpc(channel)

    return answer


def use(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_a_server_of_grpc_is_accepted() -> None:
    with server(grpc) as place:
        require_ray(place)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (web, "another program listens there; give the port of `ray start --head`"),
        (tls_alert, "ends the connection; if it uses TLS, set RAY_USE_TLS=1 and RAY_TLS_CA_CERT as there"),
        (lambda connection: None, "ends the connection; if it uses TLS"),
    ],
    ids=["a web server", "a server of TLS", "a server that hangs up"],
)
def test_a_server_that_is_not_ray_is_refused_with_what_to_do(answer: Answer, words: str) -> None:
    with server(answer) as place, pytest.raises(InputError) as error:
        require_ray(place)
    assert str(error.value).startswith(f"no Ray cluster answers at {place}: ")
    assert words in str(error.value)
    assert error.value.options == ("ray_address",)


def test_a_server_that_never_answers_is_refused_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(InputError, match=r"timed out"):
            require_ray(place)


def test_with_tls_the_certificate_of_the_server_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [tmp_path / name for name in ("ours", "strange", "elsewhere")]
    for folder in folders:
        folder.mkdir()
    places = (["127.0.0.1"], ["127.0.0.1"], ["10.0.0.1"])
    ours, strange, elsewhere = map(tls_variables, folders, places)
    for trusted, shown, words in (
        (ours, ours, None),
        (ours, strange, "its certificate is not accepted"),
        (elsewhere, elsewhere, "IP address mismatch"),
    ):
        use(trusted, monkeypatch)
        with server(encrypted(shown)) as place:
            if words is None:
                require_ray(place)
                continue
            with pytest.raises(InputError, match=words):
                require_ray(place)


def test_tls_of_one_side_alone_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(tls_variables(tmp_path, ["127.0.0.1"]), monkeypatch)
    with server(web) as place, pytest.raises(InputError, match="RAY_USE_TLS=1 do not agree"):
        require_ray(place)


def test_a_missing_certificate_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    use({"RAY_USE_TLS": "1", "RAY_TLS_CA_CERT": "/no/such.crt"}, monkeypatch)
    with server(lambda connection: None) as place, pytest.raises(InputError, match="cannot be read"):
        require_ray(place)


@pytest.mark.parametrize("form", ["auto", "local", ""])
def test_other_forms_of_address_are_left_to_ray(form: str) -> None:
    require_ray(form)
