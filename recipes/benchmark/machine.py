"""Description of the machine, and memory of a process."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from recipes.engine.provenance import cpu_name


def machine() -> dict[str, Any]:
    """Describe the processor, its load, the system and the versions of libraries."""
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("av", "numpy", "torch")},
    }


def resident_mb() -> float:
    """Return the resident memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
