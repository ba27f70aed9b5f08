"""Run a command, and print the CPU time and the memory of all processes that it starts.

`turns` runs `main` in a separate process with the arguments OUT COMMAND..., so that its only
children are those of the command. It imports nothing else, since the memory of a process starts at
that of its parent.
"""

import ctypes
import json
import os
import resource
import sys
import time
from pathlib import Path

_ADOPT = 36  # PR_SET_CHILD_SUBREAPER: children of processes that have ended become ours


def main() -> int:
    """Run the command, wait for all processes that it leaves behind, and write what they used."""
    out, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_ADOPT, 1, 0, 0, 0)
    start = time.perf_counter()
    process = os.posix_spawn(command[0], command, os.environ)
    _, status = os.waitpid(process, 0)
    seconds = time.perf_counter() - start
    try:
        while True:
            os.waitpid(-1, 0)
    except ChildProcessError:  # none is left
        pass
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = {"wall_s": seconds, "cpu_s": used.ru_utime + used.ru_stime}
    Path(out).write_text(json.dumps(found | {"memory_mb": used.ru_maxrss / 1e3}))
    return os.waitstatus_to_exitcode(status)
