"""SVG drawing of boxes and arrows in three columns."""

from xml.sax.saxutils import escape

Lines = tuple[str, ...]
"""Lines of text in a box: the first is its title, the last its size."""

_WIDTH, _BOX, _MARGIN, _LINE = 760, 210, 20, 17
_LEFT = {"image": _MARGIN, "fusion": (_WIDTH - _BOX) // 2, "audio": _WIDTH - _BOX - _MARGIN}
_MIDDLE = {stream: left + _BOX // 2 for stream, left in _LEFT.items()}
_FILL = {"image": "#dcebfa", "fusion": "#def2de", "audio": "#fde7d0"}
_EDGE = {"image": "#2867b2", "fusion": "#2a7f3f", "audio": "#b8601a"}
_INK = "#7b7b7b"
"""Color of text on the page: it has the same contrast on white and on dark gray."""
_HEAD = (
    '<marker id="{stream}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="6" markerHeight="6" '
    'orient="auto"><path d="M0 0L10 5L0 10z" fill="{edge}"/></marker>'
)
_FILE = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" \
height="{height}" font-family="Helvetica, Arial, sans-serif" font-size="12">
<title>{title}</title>
<defs>{heads}</defs>
{parts}
</svg>
"""


class Drawing:
    """Drawing of boxes in the columns image, fusion and audio, from top to bottom."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.y = _MARGIN
        self.ends: dict[str, int] = {}
        """Lower edge of the last box of each stream."""

    def row(self, boxes: dict[str, Lines], *, gap: int = 0, copies: int = 1) -> None:
        """Add a box to the column of each stream, with an arrow from the box before.

        Args:
            boxes: Text of the box of each stream that has one.
            gap: Space above.
            copies: Number of blocks that a box represents.
        """
        self.y += gap
        height = 14 + _LINE * max(map(len, boxes.values()), default=0)
        shifts = (8, 4, 0) if copies > 1 else (0,)
        for stream, lines in boxes.items():
            x = _MIDDLE[stream]
            if stream in self.ends:
                self._arrow(stream, (x, self.ends[stream]), (x, self.y))
            for shift in shifts:
                self._box(stream, (_LEFT[stream] + shift, self.y + shift), (_BOX, height))
            size = f"{copies} x {lines[-1]}" if copies > 1 else lines[-1]
            self._write((*lines[:-1], size), x)
            self.ends[stream] = self.y + height + shifts[0]
        self.y += height + shifts[0]

    def layers(self, label: str, boxes: dict[str, Lines], *, copies: int) -> None:
        """Add layers of the same structure, in a frame, with arrows for the tokens they read."""
        self.y += 22
        top, frame = self.y, len(self.parts)
        fused = "fusion" in boxes
        self.row(boxes, gap=64 if fused else 34, copies=copies)
        self.y += 12
        place = f'x="5" y="{top}" width="{_WIDTH - 10}" height="{self.y - top}" rx="10"'
        self.parts.insert(frame, f'<rect {place} fill="none" stroke="#999"/>')
        self.parts.append(f'<text x="18" y="{top + 19}" fill="{_INK}">{escape(label)}</text>')
        for stream, side in (("image", -1), ("audio", 1)) if fused else ():
            own, fusion = _MIDDLE[stream], _MIDDLE["fusion"]
            self._arrow(stream, (own, top + 4), (fusion + 70 * side, top + 64))
            if stream in boxes:
                self._arrow("fusion", (fusion, top + 4), (own - 70 * side, top + 64))

    def decoders(self, **boxes: Lines) -> None:
        """Add a box below image and audio, with arrows from the fusion tokens."""
        above, width = self.y, 340
        self.y += 50
        for stream, lines in boxes.items():
            left = _MARGIN if stream == "image" else _WIDTH - _MARGIN - width
            port = left + (width - 60 if stream == "image" else 60)
            self._arrow(stream, (_MIDDLE[stream], above), (_MIDDLE[stream], self.y))
            self._arrow("fusion", (_MIDDLE["fusion"], above), (port, self.y))
            self._box(stream, (left, self.y), (width, 14 + _LINE * len(lines)))
            self._write(lines, left + width // 2)
        self.y += 14 + _LINE * max(map(len, boxes.values()))

    def svg(self, caption: str) -> str:
        """Return the text of the file, with a caption below."""
        self._text(caption, _WIDTH // 2, self.y + 26, ink=_INK)
        return _FILE.format(
            width=_WIDTH,
            height=self.y + 42,
            title=escape(caption),
            heads="".join(_HEAD.format(stream=s, edge=edge) for s, edge in _EDGE.items()),
            parts="\n".join(self.parts),
        )

    def _box(self, stream: str, corner: tuple[int, int], size: tuple[int, int]) -> None:
        (x, y), (width, height) = corner, size
        place = f'x="{x}" y="{y}" width="{width}" height="{height}" rx="8"'
        self.parts.append(f'<rect {place} fill="{_FILL[stream]}" stroke="{_EDGE[stream]}"/>')

    def _write(self, lines: Lines, x: int) -> None:
        for number, line in enumerate(lines):
            self._text(line, x, self.y + 20 + _LINE * number, title=number == 0)

    def _text(self, line: str, x: int, y: int, *, title: bool = False, ink: str = "#444") -> None:
        style = 'font-size="14" font-weight="bold" fill="#111"' if title else f'fill="{ink}"'
        text = escape(line).replace(" x ", " &#215; ")
        line = f'<text x="{x}" y="{y}" text-anchor="middle" {style}>{text}</text>'
        self.parts.append(line)

    def _arrow(self, stream: str, start: tuple[int, int], end: tuple[int, int]) -> None:
        (x, y), (to_x, to_y) = start, end
        bend = 2 * (to_y - y) // 3
        way = f"M{x} {y}C{x} {y + bend} {to_x} {to_y - bend} {to_x} {to_y}"
        ink = f'fill="none" stroke="{_EDGE[stream]}" stroke-width="1.6"'
        self.parts.append(f'<path d="{way}" {ink} marker-end="url(#{stream})"/>')
