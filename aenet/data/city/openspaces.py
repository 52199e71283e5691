"""The river, squares, ponds, pitches and paths, drawn flat."""

import numpy as np

from aenet.data.city import palette
from aenet.data.city.amenities import Amenities, Square
from aenet.data.city.canvas import Canvas
from aenet.data.city.houses import rectangle
from aenet.data.city.layers import Kind
from aenet.data.city.plan import Plan


def draw_river(canvas: Canvas, plan: Plan) -> None:
    """Banks, water, and deeper water in the middle."""
    network = plan.network
    canvas.line(network.river, network.river_width + 7, palette.BANK, Kind.GRASS)
    canvas.line(network.river, network.river_width, palette.WATER, Kind.WATER)
    canvas.line(network.river, network.river_width * 0.6, palette.WATER * 0.9, Kind.WATER)


def draw_amenities(canvas: Canvas, found: Amenities) -> None:
    """Squares with bands and a fountain, ponds, pitches, paths."""
    for square in found.squares:
        _square(canvas, square)
    for line, sandy in found.paths:
        canvas.line(line, 2.2, palette.SAND if sandy else palette.SOIL * 1.1, Kind.BARE)
    for shore, water in found.ponds:
        canvas.polygon(shore, palette.SAND * 0.9, Kind.BARE)
        canvas.polygon(water, palette.WATER, Kind.WATER)
    for pitch in found.pitches:
        _pitch(canvas, *pitch)


def _square(canvas: Canvas, square: Square) -> None:
    middle = np.array([square.x, square.y])
    along, across = (
        np.array([np.cos(square.angle), np.sin(square.angle)]),
        np.array([-np.sin(square.angle), np.cos(square.angle)]),
    )
    for k in np.arange(-square.reach, square.reach + 0.1, 4.5):
        for a, b in ((along, across), (across, along)):
            canvas.line(
                np.stack([middle + a * k - b * square.reach, middle + a * k + b * square.reach]),
                0.6,
                palette.SETTS * 0.84,
            )
    canvas.disk(square.x, square.y, 4.0, palette.KERB, Kind.PAVED)
    canvas.disk(square.x, square.y, 3.2, palette.WATER * 1.15, Kind.WATER)


def _pitch(canvas: Canvas, x: float, y: float, angle: float) -> None:
    """A football pitch with its lines."""
    for k in range(8):
        stripe = rectangle(x + (k - 3.5) * 7.5 * np.cos(angle), y + (k - 3.5) * 7.5 * np.sin(angle), angle, 3.8, 20.0)
        canvas.polygon(stripe, palette.LAWN * (1.0 if k % 2 else 1.1), Kind.GRASS)
    for half_u, half_v in ((29.0, 19.0), (0.01, 19.0)):
        ring = rectangle(x, y, angle, half_u, half_v)
        canvas.line(np.concatenate([ring, ring[:1]]), 0.4, palette.PAINT)
    for end in (-1, 1):
        ring = rectangle(x + end * 24.5 * np.cos(angle), y + end * 24.5 * np.sin(angle), angle, 4.5, 9.0)
        canvas.line(np.concatenate([ring, ring[:1]]), 0.4, palette.PAINT)
