"""Servers that are not Ray, or not as this program speaks to it; `tests/cluster` connects to a real Ray."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

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
        listener.settimeout(10)

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
    assert str(error.value).startswith(f"no Ray cluster answers at {place} (")
    assert words in str(error.value)
    assert error.value.options == ("ray_address",)


def test_a_server_that_never_answers_is_refused_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(InputError, match=r"did not answer for 0\.1 s"):
            require_ray(place)


def in_pieces(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in SETTINGS:
        connection.sendall(bytes([byte]))
        time.sleep(0.01)
    connection.recv(GREETING)


def test_a_first_frame_may_come_in_pieces() -> None:
    with server(in_pieces) as place:
        require_ray(place)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("a..b:6379", "start one there"),
        (f"{'a' * 64}.com:6379", "start one there"),
        ("127.0.0.1:99999", "a port is a number from 1 to 65535"),
        (f"127.0.0.1:{'9' * 5000}", "a port is a number"),
        ("127.0.0.1:0", "a port is a number"),
    ],
    ids=["an empty label", "a long label", "a large port", "a very large port", "port 0"],
)
def test_an_address_that_cannot_be_is_refused_in_one_line(place: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        require_ray(place)


def test_with_tls_the_authority_of_the_servers_certificate_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ours", "strange"):
        (tmp_path / name).mkdir()
    ours, strange = (tls_variables(tmp_path / name, ["127.0.0.1"]) for name in ("ours", "strange"))
    use(ours, monkeypatch)
    with server(encrypted(ours)) as place:
        require_ray(place)
    with (
        server(encrypted(strange)) as place,
        pytest.raises(InputError, match="certificate is not accepted"),
    ):
        require_ray(place)


@pytest.mark.parametrize("value", ["1", "true", "True"])
def test_the_name_in_a_certificate_is_left_to_ray(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray connects to the address of this machine where `localhost` is given."""
    variables = tls_variables(tmp_path, ["10.9.8.7"])
    use({**variables, "RAY_USE_TLS": value}, monkeypatch)
    with server(encrypted(variables)) as place:
        require_ray(place.replace("127.0.0.1", "localhost"))


def test_an_authority_may_be_signed_by_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file of authorities has the nearest one alone."""
    variables = tls_variables(tmp_path, ["127.0.0.1"], intermediate=True)
    use(variables, monkeypatch)
    with server(encrypted(variables)) as place:
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


def test_a_key_that_needs_a_password_is_refused_and_not_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = tls_variables(tmp_path, ["127.0.0.1"])
    key = Path(variables["RAY_TLS_SERVER_KEY"])
    secret = serialization.BestAvailableEncryption(b"secret")
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key.write_bytes(loaded.private_bytes(pem, pkcs8, secret))
    use(variables, monkeypatch)
    with pytest.raises(InputError, match="cannot be read"):
        require_ray("127.0.0.1:9")
