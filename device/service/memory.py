"""Memory that no swap and no dump ever gets: what is touched stays in memory, and the process has no core dump.

Pages are locked as they are touched (`MCL_ONFAULT`), not all that is mapped: that cost 250 MB. Called once, by the main
thread, before a key is opened and before a frame is held. Nothing here ends the start: what the system refuses is said in
the log, and `bodycam selftest` looks at it.
"""

import ctypes
import logging
import os
from collections.abc import Callable

MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT = 1, 2, 4
PR_SET_DUMPABLE = 4

log = logging.getLogger("bodycam")


def keep_in_memory() -> bool:
    """Lock what this process touches from now on, and take its dumps away; False when the system refused one of them."""
    libc = ctypes.CDLL(None, use_errno=True)
    return _locked(libc.mlockall) & _undumpable(libc.prctl)


def _locked(mlockall: Callable[[int], int]) -> bool:
    for flags, what in (
        (MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT, "as it is touched"),
        (MCL_CURRENT | MCL_ONFAULT, "as far as it is mapped now"),
    ):
        if mlockall(flags) == 0:
            log.debug("memory: locked, %s", what)
            return flags & MCL_FUTURE != 0
        log.warning("memory: not locked %s: %s; set LimitMEMLOCK=infinity", what, os.strerror(ctypes.get_errno()))
    return False


def _undumpable(prctl: Callable[..., int]) -> bool:
    if prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0:
        return True
    log.warning("memory: dumps are possible: %s", os.strerror(ctypes.get_errno()))
    return False
