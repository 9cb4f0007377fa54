"""Memory that no swap and no dump ever gets: what is touched stays in memory, and the process has no core dump.

Pages are locked as they are touched (`MCL_ONFAULT`), not all that is mapped: that cost 250 MB. Called once, by the main
thread, before a key is opened and before a frame is held. Nothing here ends the start: what the system refuses is said in
the log, and `bodycam selftest` looks at it.
"""

import ctypes
import logging
import os
import resource
from collections.abc import Callable
from pathlib import Path

MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT = 1, 2, 4
PR_SET_DUMPABLE = 4
CAP_IPC_LOCK = 14

log = logging.getLogger("bodycam")


def keep_in_memory() -> bool:
    """Lock what this process touches from now on, and take its dumps away; False when the system refused one of them."""
    libc = ctypes.CDLL(None, use_errno=True)
    return _locked(libc.mlockall) & _undumpable(libc.prctl)


def may_lock_all() -> bool:
    """Whether no limit stands in the way: none is set, or this process has CAP_IPC_LOCK."""
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY:
        return True
    lines = Path("/proc/self/status").read_text("ascii", "replace").splitlines()
    capabilities = next((line.split()[1] for line in lines if line.startswith("CapEff:")), "0")
    return int(capabilities, 16) >> CAP_IPC_LOCK & 1 == 1


def _locked(mlockall: Callable[[int], int]) -> bool:
    """Never what is mapped later under a finite limit: past the limit no memory could be had at all."""
    if not may_lock_all():
        log.warning("memory: not locked: its limit is finite; set LimitMEMLOCK=infinity")
        return False
    if mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0:
        return True
    log.warning("memory: not locked: %s", os.strerror(ctypes.get_errno()))
    return False


def _undumpable(prctl: Callable[..., int]) -> bool:
    if prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0:
        return True
    log.warning("memory: dumps are possible: %s", os.strerror(ctypes.get_errno()))
    return False
