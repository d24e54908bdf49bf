"""Small line charts as SVG, for pages that must open anywhere without a network."""

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 460, 230, 46, 12, 12, 34
COLOURS = ("#0b63a5", "#c2410c", "#1b7f4b", "#7a3e9d")
DASHES = ("none", "7 3", "2 3", "8 3 2 3")  # colours alone are not told apart by everybody
TICKS = 5

Points = Sequence[tuple[float, float]]


def line_chart(lines: Mapping[str, Points], x_title: str, mark: float | None = None, top: float | None = None) -> str:
    """An SVG with one line a name and a legend; the y axis begins at 0.

    Args:
        lines: name -> (x, y) points in rising x.
        x_title: below the x axis.
        mark: an x that a dashed line marks.
        top: end of the y axis; by default the largest y.
    """
    points = [point for line in lines.values() for point in line]
    if not points:
        return "<p>nothing to draw</p>"
    x_low, x_high = min(x for x, _ in points), max(x for x, _ in points)
    y_high = top or max(max(y for _, y in points), 1e-9)

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_low) / (x_high - x_low or 1) * (WIDTH - LEFT - RIGHT)
        return LEFT + across, HEIGHT - BOTTOM - min(y, y_high) / y_high * (HEIGHT - TOP - BOTTOM)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(", ".join(lines))}">']
    labelled = ""
    for step in range(TICKS):
        value, along = y_high * step / (TICKS - 1), round(x_low + (x_high - x_low) * step / (TICKS - 1))
        y, x = place(x_low, value)[1], place(along, 0)[0]
        parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" class="grid"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>')
        if str(along) != labelled:  # few epochs have fewer numbers than there are ticks
            labelled = str(along)
            parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 14}" text-anchor="middle">{labelled}</text>')
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 4}" text-anchor="middle">{escape(x_title)}</text>')
    if mark is not None:
        x = place(mark, 0)[0]
        parts.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{HEIGHT - BOTTOM}" class="mark"/>')
    for (name, line), colour, dash in zip(lines.items(), COLOURS * len(lines), DASHES * len(lines), strict=False):
        if len(line) == 1:
            x, y = place(*line[0])
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>')
        way = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in line))
        look = f'fill="none" stroke="{colour}" stroke-dasharray="{dash}"'
        parts.append(f'<polyline points="{way}" {look}><title>{escape(name)}</title></polyline>')
    return "".join([*parts, "</svg>", _legend(lines)])


def _legend(lines: Mapping[str, Points]) -> str:
    keys = zip(lines, COLOURS * len(lines), DASHES * len(lines), strict=False)
    words = " ".join(f"{_key(colour, dash)} {escape(name)}" for name, colour, dash in keys)
    return f'<p class="legend">{words}</p>'


def _key(colour: str, dash: str) -> str:
    line = f'<line x2="28" y1="4" y2="4" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"/>'
    return f'<svg style="width:28px;height:8px" viewBox="0 0 28 8" aria-hidden="true">{line}</svg>'
