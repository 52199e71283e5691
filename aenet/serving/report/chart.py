"""Charts of the report: inline SVG that needs no script, each with its numbers as a table for who cannot see it."""

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 640.0, 312.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 20.0, 24.0, 54.0  # room for the larger words of a narrow window
SHARES = {0.0: "0%", 0.25: "25%", 0.5: "50%", 0.75: "75%", 1.0: "100%"}


@dataclass(frozen=True)
class Axes:
    """From values to pixels of a chart: x from `low` to `high`, y from 0 to `top`; what lies outside ends at the edge.

    `logarithmic` spaces x by its logarithm; `low` is then above 0.
    """

    low: float
    high: float
    top: float = 1.0
    logarithmic: bool = False

    def x(self, value: float) -> float:
        """Return the pixel column of a value."""
        if self.logarithmic:
            part = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return LEFT + min(max(part, 0.0), 1.0) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Return the pixel row of a value."""
        return HEIGHT - BOTTOM - min(max(value / self.top, 0.0), 1.0) * (HEIGHT - TOP - BOTTOM)

    def line(self, xs: Iterable[float], ys: Iterable[float], kind: str) -> str:
        """Return a line through points, styled as class `kind`."""
        points = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in zip(xs, ys, strict=True))
        return f'<polyline class="{kind}" points="{points}"/>'

    def upright(self, value: float, kind: str) -> str:
        """Return a vertical line over the whole height."""
        x = self.x(value)
        return f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{self.y(0.0):.1f}"/>'

    def frame(self, xs: Mapping[float, str], ys: Mapping[float, str], x_label: str) -> str:
        """Return the grid and the labels of both axes."""
        parts = []
        for value, label in ys.items():
            y = self.y(value)
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(text(LEFT - 6, y + 4, label, anchor="end"))
        parts += [text(self.x(value), HEIGHT - BOTTOM + 20, label) for value, label in xs.items()]
        parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, x_label))
        return "".join(parts)


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "middle") -> str:
    """Return words at a place of a chart."""
    style = f' class="{kind}"' if kind else ""
    return f'<text{style} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(words)}</text>'


def card(
    title: str,
    caption: str,
    parts: Iterable[str],
    label: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
) -> str:
    """Return a chart with its heading, a sentence, and a table of its numbers.

    Args:
        title, caption: above the chart.
        parts: SVG elements.
        label: what the chart shows, in words, for who cannot see it.
        columns, rows: the table, folded away until asked for.
    """
    head = "".join(f'<th scope="col" class="n">{html.escape(name)}</th>' for name in columns)
    body = "".join(
        "<tr>" + "".join(f'<td class="n">{html.escape(value)}</td>' for value in row) + "</tr>" for row in rows
    )
    return (
        f'<figure class="card"><figcaption><h2>{html.escape(title)}</h2><p>{html.escape(caption)}</p></figcaption>'
        f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="{html.escape(label)}">{"".join(parts)}</svg>'
        f"<details><summary>Numbers</summary><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        "</details></figure>"
    )
