"""What the tests call in other processes."""

import os
import signal
import time
from pathlib import Path


def reads(path: str) -> str:
    """Fall over, hang, or answer, as the path says."""
    if "dies" in path:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "hangs" in path:
        time.sleep(100)
    return path.upper()


def writes_its_number(path: Path) -> None:
    """Name this process in a file, and hang."""
    path.with_suffix(".tmp").write_text(str(os.getpid()))
    path.with_suffix(".tmp").rename(path)
    time.sleep(1000)
