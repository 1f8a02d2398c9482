import socket
import sys
from contextlib import suppress

import pytest

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.tracking.ui.server import HOST, PORT, free_port, mlflow_page


def test_a_wanted_port_in_use_is_refused_and_another_port_is_found_automatically() -> None:
    for _ in range(10):
        with socket.create_server((HOST, 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(InputError, match=f"^port {port}"):
                free_port(port)
        with suppress(InputError):  # another program may have taken it in the meantime
            assert free_port(port) == port
            break
    else:
        pytest.fail("no port is free after it was closed")
    assert PORT <= free_port(None) < PORT + 100


def test_a_port_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InputError, match=r"^port 70000"):
        free_port(70000)


def test_a_server_that_does_not_start_is_an_error_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(TunePaddyError, match="does not start"), mlflow_page("sqlite:///none.db", 1):
        pass
