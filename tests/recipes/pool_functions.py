"""What the tests call in other processes."""

import os
import signal
import time


def reads(path: str) -> str:
    """Fall over, hang, or answer, as the path says."""
    if "dies" in path:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "hangs" in path:
        time.sleep(100)
    return path.upper()
