"""Write how far the package is from the reference's tensors, for `docs/parity.rst`.

    python tests/parity/measure.py --out docs/results/parity.json

runs `test_parity`, for which ``AVBLOCKS_GOLDEN=DIR`` takes another folder, and writes of each file
and each quantity that it compares how many values there are, how large, how near and how near they
must be.
"""

import argparse
import json
import platform
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parents[1] / "test_parity.py"


def rounded(row: dict[str, Any]) -> dict[str, Any]:
    """Two digits are enough of a deviation."""
    return {k: float(f"{v:.2g}") if isinstance(v, float) else v for k, v in row.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    code = pytest.main(["-q", "-p", "no:cacheprovider", str(TESTS)])
    if code:
        sys.exit(f"nothing written: the tests ended with {code!s}")
    # Not sooner: pytest loads avblocks with its shape checks, once.
    from deviations import deviations

    figures: dict[str, Any] = {
        file: {what: rounded(asdict(row)) for what, row in rows.items()}
        for file, rows in sorted(deviations.items())
    }
    rows = [row for found in deviations.values() for row in found.values()]
    figures["all"] = {
        "quantities": len(rows),
        "values": sum(row.values for row in rows),
        "percent_of_tolerance": round(max(row.percent_of_tolerance for row in rows), 1),
    }
    figures["machine"] = {"processor": platform.machine(), "python": platform.python_version()}
    figures["machine"] |= {name: version(name) for name in ("torch", "torchaudio")}
    out.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"written: {out}")


if __name__ == "__main__":
    main()
