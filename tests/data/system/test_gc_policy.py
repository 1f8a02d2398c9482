"""Effects of the policy on the collector, in a separate process since they are permanent."""

import subprocess
import sys

import pytest

LOOP = """
import weakref
class Loop: pass
gc.disable(); loop = Loop(); loop.me = loop; seen = weakref.ref(loop)
del loop; assert seen(); give_memory_back(); assert not seen()
"""
HEAD = "import gc; from tune_paddy.data.system.gc_policy import *; "


@pytest.mark.parametrize(
    "code",
    [
        "collect_rarely(); assert gc.get_threshold() == THRESHOLDS",
        "\nwith imports_kept(): assert not gc.isenabled()\nassert gc.isenabled() and gc.get_freeze_count()",
        "\ntry:\n    with imports_kept(): raise ImportError\nexcept ImportError: assert gc.isenabled()",
        LOOP,
    ],
    ids=["collects rarely", "keeps imports", "collects again after a failed import", "gives memory back"],
)
def test_the_policy_controls_the_collector(code: str) -> None:
    subprocess.run([sys.executable, "-c", HEAD + code], check=True, timeout=600)
