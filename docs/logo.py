"""The logo: image, fusion and audio tokens in three columns, with masked tokens faint."""

_COLORS = ("#3b82d0", "#3aa657", "#dd7a2b")
"""Image, fusion and audio; readable on light and dark pages."""
_MASKED = {(0, 1), (2, 0), (2, 2)}
"""Column and row of the masked tokens."""
_SIDE, _STEP = 9, 11


def logo() -> str:
    """Draw the logo as a square SVG with a transparent background."""
    tokens = "\n".join(
        f'<rect x="{0.5 + _STEP * column}" y="{0.5 + _STEP * row}" width="{_SIDE}" '
        f'height="{_SIDE}" rx="2.5" fill="{color}"{_opacity(column, row)}/>'
        for column, color in enumerate(_COLORS)
        for row in range(3)
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" width="32" height="32">\n'
        f"<title>avblocks</title>\n{tokens}\n</svg>\n"
    )


def _opacity(column: int, row: int) -> str:
    return ' opacity="0.3"' if (column, row) in _MASKED else ""
