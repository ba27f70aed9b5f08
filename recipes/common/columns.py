"""`align`: cells as a table."""

from collections.abc import Sequence


def align(lines: Sequence[Sequence[str]]) -> str:
    """Format cells as a table: the first column to the left, the others to the right.

    >>> print(align([["", "top1"], ["fusion", "7.50"]]))
            top1
    fusion  7.50
    """
    first, *widths = (max(map(len, column)) for column in zip(*lines, strict=True))
    return "\n".join(
        "  ".join([f"{title:{first}}", *(f"{c:>{w}}" for c, w in zip(cells, widths, strict=True))])
        for title, *cells in lines
    )
