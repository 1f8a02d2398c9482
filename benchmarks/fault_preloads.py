"""Libraries that a process under test preloads: file systems without locks, and a clock that jumps.

They need a C compiler, `cc`; the clock also needs Debian's package `libfaketime`.
"""

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

NO_FLOCK = """
#include <errno.h>
#include <sys/file.h>
int flock(int file, int operation) {
    if (operation & LOCK_UN) return 0;
    errno = ENOLCK;
    return -1;
}
"""
"""Refuse the locks of this program alone; those of SQLite work."""

NO_LOCKS = (
    "#define _GNU_SOURCE\n"
    + NO_FLOCK
    + """
#include <fcntl.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>
int fcntl(int file, int command, ...) {
    va_list list;
    va_start(list, command);
    void *argument = va_arg(list, void *);
    va_end(list);
    int locks = command == F_SETLK || command == F_SETLKW;
    if (locks && ((struct flock *)argument)->l_type != F_UNLCK) {
        errno = ENOLCK;
        return -1;
    }
    return syscall(SYS_fcntl, file, command, argument);
}
int fcntl64(int file, int command, ...) __attribute__((alias("fcntl")));
"""
)
"""Refuse all locks, as a network disk without a lock server does."""

SLEEP = """
#define _GNU_SOURCE
#include <errno.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_nanosleep(clockid_t clock, int flags, const struct timespec *until, struct timespec *left) {
    return syscall(SYS_clock_nanosleep, clock, flags, until, left) ? errno : 0;
}
"""
"""Sleep on the true monotonic clock; libfaketime 0.9.10 answers EINVAL if it leaves that clock alone."""


def preloaded(source: str, library: Path) -> dict[str, str]:
    """Compile a library; return the variables of a process that preloads it."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise FileNotFoundError("these kinds need a C compiler: install one, or leave them out with --only")
    command = [compiler, "-shared", "-fPIC", "-x", "c", "-", "-o", str(library)]
    subprocess.run(command, input=source, text=True, check=True)
    return {"LD_PRELOAD": str(library)}


@dataclass(frozen=True)
class Clock:
    """The clock of the processes under test; their monotonic clock is the true one.

    Attributes:
        file: File that holds its offset.
    """

    file: Path

    def environment(self) -> Mapping[str, str]:
        """Set the true time, and return the variables of a process with this clock."""
        self.set("+0")
        own = preloaded(SLEEP, self.file.with_suffix(".so"))["LD_PRELOAD"]
        faketime = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        return {
            "LD_PRELOAD": f"{own}:{faketime}",
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, offset: str) -> None:
        """Set the offset to the true time, such as `+1d`; processes read it within two seconds."""
        self.file.write_text(offset)
