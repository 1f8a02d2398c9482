"""What the machine that runs the tests can do: tests that need more are skipped, with the reason."""

import os
import shutil
import subprocess
import sys
from functools import cache

import pytest

NOBODY = 65534
"""User and group without rights on most machines."""

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@cache
def chromium() -> str | None:
    """Return the path of a Chromium that runs; None: there is none, or a script that asks to install it."""
    for path in filter(None, map(shutil.which, BROWSERS)):
        shown = subprocess.run([path, "--version"], capture_output=True, check=False)
        if shown.returncode == 0:
            return path
    return None


@cache
def becomes_another_user() -> bool:
    """Return whether this process may become another user: root in some containers may not."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return False
    program = f"import os; os.setgid({NOBODY}); os.setuid({NOBODY})"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0


needs_chromium = pytest.mark.skipif(
    chromium() is None, reason="there is no Chromium; `apt-get install chromium`"
)
needs_second_user = pytest.mark.skipif(not becomes_another_user(), reason="needs a second user")
