"""Draw docs/images/architecture.png: `python docs/images/architecture.py`.

The packages of the library stand in the layers of the import contract (pyproject.toml), and an arc leads from a package
to each one below it that it imports; its number counts the imports. The picture carries those counts, and is drawn
again only where they, or this script, have changed.
"""

import ast
import hashlib
import json
import tomllib
from collections import Counter
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import grimp
import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path as Curve
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PICTURE = Path(__file__).with_name("architecture.png")
ORCHESTRATION = ("flows", "stages")
EVERYWHERE = "io"  # every package imports it: a number in its box, no arcs
LEFT, RIGHT, HEIGHT, SAID = 0.0, 6.9, 0.78, 96  # of the boxes; letters of a package's sentence
WIDE = 8.0  # reach of an arc over all boxes

Imports = Counter[tuple[str, str]]


@dataclass(frozen=True)
class Plan:
    """What is drawn.

    Attributes:
        layers: packages side by side, the highest layer first.
        imports: how often one package imports another.
        modules: how many modules a package has.
        sentences: the first line of a package's docstring.
    """

    layers: list[list[str]]
    imports: Imports
    modules: Counter[str]
    sentences: dict[str, str]

    def record(self) -> str:
        """Return as text, which the picture carries, what it shows and which script drew it."""
        imports = {f"{above} {below}": count for (above, below), count in sorted(self.imports.items())}
        script = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
        modules = dict(sorted(self.modules.items()))
        return json.dumps({"layers": self.layers, "imports": imports, "modules": modules, "script": script})


def plan() -> Plan:
    """Read layers, imports and sentences from the project."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (rooms,) = [one["layers"] for one in contracts if one.get("containers") == ["aenet"]]
    layers = [[*ORCHESTRATION], *([name.strip() for name in layer.split("|")] for layer in rooms)]
    drawn = {name for layer in layers for name in layer}
    graph = grimp.build_graph("aenet", *ORCHESTRATION, cache_dir=None)  # its cache misses some edits
    imports: Imports = Counter()
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            above, below = _package(module), _package(imported)
            if above != below and {above, below} <= drawn:
                imports[above, below] += 1
    modules = Counter(name for name in map(_package, graph.modules) if name in drawn)
    return Plan(layers, imports, modules, {name: _sentence(name) for name in drawn})


def _package(module: str) -> str:
    first, _, rest = module.partition(".")
    return rest.split(".")[0] if first == "aenet" and rest else first


def _sentence(name: str) -> str:
    path = ROOT / name if name in ORCHESTRATION else ROOT / "aenet" / name
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    said = (ast.get_docstring(ast.parse(file.read_text())) or "").partition("\n")[0]
    return said if len(said) <= SAID else said[: SAID - 3].rsplit(" ", 1)[0] + " ..."


def draw(of: Plan) -> Figure:
    """Return the picture."""
    rooms = [name for layer in of.layers for name in layer]
    figure = Figure(figsize=(12.5, 0.62 * len(rooms) + 0.4), dpi=110, layout="tight")
    axes = figure.add_subplot()
    axes.set_axis_off()
    y = {name: float(len(rooms) - row) for row, name in enumerate(rooms)}
    for layer in of.layers:
        axes.add_patch(_rectangle((LEFT - 0.14, y[layer[-1]] - 0.45), RIGHT - LEFT + 0.28, len(layer) - 0.1, "#e4e8ee"))
    colours = dict(zip(rooms, cycle(mpl.colormaps["tab20"].colors), strict=False))
    for name in rooms:
        _box(axes, y[name], _title(of, name), of.sentences[name], colours[name])
    ends: Counter[str] = Counter()
    arcs = {edge: n for edge, n in of.imports.items() if edge[1] != EVERYWHERE and edge[0] not in ORCHESTRATION}
    for (above, below), count in sorted(arcs.items(), key=lambda arc: y[arc[0][0]] - y[arc[0][1]]):
        top = y[above] - 0.02 - 0.05 * min(ends[f"from {above}"], 5)
        bottom = y[below] + 0.26 - 0.05 * min(ends[f"to {below}"], 9)
        ends.update((f"from {above}", f"to {below}"))
        _arc(axes, (top, bottom), WIDE * (top - bottom) / len(rooms), count, colours[above])
    axes.set_xlim(LEFT - 0.2, RIGHT + 0.75 * WIDE)
    axes.set_ylim(0.45, len(rooms) + 0.55)
    return figure


def _title(of: Plan, name: str) -> str:
    modules = f"{of.modules[name]} module{'s' * (of.modules[name] > 1)}"
    if name in ORCHESTRATION:
        imports = sum(count for (above, _), count in of.imports.items() if above == name)
        return f"{name}   {modules}, {imports} imports of what is below"
    imported = sum(count for (_, below), count in of.imports.items() if below == name)
    return f"aenet.{name}   {modules}" + (f", imported {imported} times by all others" if name == EVERYWHERE else "")


def _rectangle(corner: tuple[float, float], width: float, height: float, colour: str) -> FancyBboxPatch:
    return FancyBboxPatch(corner, width, height, boxstyle="round,pad=0,rounding_size=0.1", fc=colour, ec="none")


def _box(axes: Axes, y: float, title: str, said: str, colour: tuple[float, float, float]) -> None:
    axes.add_patch(_rectangle((LEFT, y - HEIGHT / 2), RIGHT - LEFT, HEIGHT, "white"))
    axes.add_patch(_rectangle((LEFT, y - HEIGHT / 2), 0.1, HEIGHT, mpl.colors.to_hex(colour)))
    axes.text(LEFT + 0.22, y + 0.15, title, va="center", fontsize=10, weight="bold", color="#112")
    axes.text(LEFT + 0.22, y - 0.17, said, va="center", fontsize=8, color="#334")


def _arc(axes: Axes, ends: tuple[float, float], wide: float, count: int, colour: tuple[float, float, float]) -> None:
    """Draw an arc at the boxes' right; its reach grows with the boxes it passes, its width with the imports."""
    (top, bottom), start = ends, RIGHT + 0.14
    reach = start + 0.3 + wide
    points = [(start, top), (reach, top), (reach, bottom), (start, bottom)]
    codes = [Curve.MOVETO, Curve.CURVE4, Curve.CURVE4, Curve.CURVE4]
    axes.add_patch(PathPatch(Curve(points, codes), fc="none", ec=colour, lw=0.8 + 0.5 * count**0.5))
    axes.plot(start + 0.05, bottom, marker="<", color=colour, markersize=5)
    x, y = start + 0.75 * (reach - start), (top + bottom) / 2  # the middle of the curve
    axes.text(x, y, str(count), fontsize=7.5, ha="center", va="center", color="#112", bbox=_PAPER)


_PAPER = {"boxstyle": "round,pad=0.12", "fc": "white", "ec": "none", "alpha": 0.9}


def drawn(picture: Path = PICTURE) -> str:
    """Return the counts that a picture carries; empty where there is none."""
    if not picture.exists():
        return ""
    with Image.open(picture) as image:
        return str(image.info.get("Comment", ""))


def main() -> None:
    """Draw the picture, if the one there shows other counts."""
    of = plan()
    if drawn() != of.record():
        draw(of).savefig(PICTURE, metadata={"Comment": of.record(), "Software": ""})


if __name__ == "__main__":
    main()
