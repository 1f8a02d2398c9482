"""Check that Ray answers at an address, within seconds and in words.

Ray itself asks again for minutes, also where another program listens, or where one side alone uses TLS.
"""

import os
import socket
import ssl

from tune_paddy.core.errors import InputError

_SECONDS = 10.0
"""Time to wait for an answer, in seconds."""

_TLS, _CERTIFICATE, _KEY, _AUTHORITY = (
    f"RAY_{name}" for name in ("USE_TLS", "TLS_SERVER_CERT", "TLS_SERVER_KEY", "TLS_CA_CERT")
)
"""Ray's variables; a driver shows the certificate of its machine, as a node does."""

_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""Begin of a connection of HTTP/2, which gRPC uses, with empty settings (RFC 9113, section 3.4)."""

_LAST_PORT = 65_535

_FRAME, _TYPE, _SETTINGS = 9, 3, 4
"""Length of a frame's header in bytes, place of its type, and the type of a server's first frame."""


def require_ray(address: str) -> None:
    """Check that a server of gRPC answers at HOST:PORT; other forms, such as `auto`, are left to Ray.

    With TLS, the chain of the server's certificate is checked, and its name is left to Ray, which replaces
    `localhost` by the address of the machine.

    Args:
        address: Address of a Ray cluster.

    Raises:
        InputError: Nothing answers, the host is unknown, something else than Ray answers, or TLS fails.
    """
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not (host and port.isdecimal()):
        return
    problem = _problem_at(host.strip("[]"), port)
    if problem:
        raise InputError(f"no Ray cluster answers at {address} {problem}", options=("ray_address",))


def _problem_at(host: str, port: str) -> str | None:
    """Return why no usable Ray answers, with what to do; None: one does."""
    if len(port) > len(str(_LAST_PORT)) or not 0 < int(port) <= _LAST_PORT:
        return f"(a port is a number from 1 to {_LAST_PORT})"
    encrypted = os.environ.get(_TLS, "0").lower() in ("1", "true")
    context = _context() if encrypted else None
    try:
        connection = socket.create_connection((host, int(port)), timeout=_SECONDS)
    except (OSError, UnicodeError) as error:  # a name of a host may not be one
        reason = getattr(error, "strerror", None) or error
        return f"({reason}); start one there with `ray start --head`, or leave out `ray_address`"
    with connection:
        return _problem(connection, host, context)


def _problem(connection: socket.socket, host: str, context: ssl.SSLContext | None) -> str | None:
    """Return why what answers on a connection is not a Ray that this program can use; None if it is."""
    try:
        with context.wrap_socket(connection, server_hostname=host) if context else connection as channel:
            channel.sendall(_GREETING)
            frame = _first_frame(channel)
    except TimeoutError:
        return f"(what listens there did not answer for {_SECONDS:g} s; is it busy or stopped?)"
    except ssl.SSLCertVerificationError as error:
        return f"(its certificate is not accepted: {error.verify_message}; see {_AUTHORITY})"
    except ssl.SSLError as error:
        return f"(the server there and {_TLS}={os.environ[_TLS]} do not agree: {error.reason})"
    except OSError:
        frame = b""
    if len(frame) == _FRAME and frame[_TYPE] == _SETTINGS:
        return None
    if frame[:1] in (b"", b"\x15"):  # nothing, or an alert of TLS
        return f"(it ends the connection; if it uses TLS, set {_TLS}=1 and {_AUTHORITY} as there)"
    return "(another program listens there; give the port of `ray start --head`, by default 6379)"


def _first_frame(channel: socket.socket) -> bytes:
    """Return the header of the first frame that a server sends, or less if it ends the connection."""
    frame = b""
    while len(frame) < _FRAME and (part := channel.recv(_FRAME - len(frame))):
        frame += part
    return frame


def _context() -> ssl.SSLContext:
    """Return the settings of TLS that Ray's variables describe.

    Raises:
        InputError: A file is missing or not valid.
    """
    files = [os.environ.get(name, "") for name in (_AUTHORITY, _CERTIFICATE, _KEY)]
    try:
        context = ssl.create_default_context(cafile=files[0])
        context.load_cert_chain(files[1], files[2], password=str)  # otherwise it asks at the terminal
    except OSError as error:
        raise InputError(
            f"{_TLS} is set, but a file of {_AUTHORITY}, {_CERTIFICATE} or {_KEY} cannot be read ({error})"
        ) from error
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # as gRPC does
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.set_alpn_protocols(["h2"])
    return context
