"""The site of `make docs`: the project's own Markdown pages, and a reference of what is called from Python.

The source folder is the project's root, so that links between README, docs and results are the same in the repository
and on the site.
"""

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

import aenet

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "AENet"
release = aenet.__version__
author = "the AENet contributors"
project_copyright = "the AENet contributors, Apache-2.0"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "README"
include_patterns = ["*.md", "docs/**.md", "benchmarks/results/*.md", "weights/README.md"]
exclude_patterns = [
    ".*", "aenet", "stages", "flows", "tests", "data", "models", "demo", "reports", "build", "mlartifacts", "mlruns",
    "gallery*", "out", "places", "photos", "imagery", "*.egg-info",
]  # fmt: skip
templates_path: list[str] = []

myst_heading_anchors = 3  # links to sections, as repositories show them
myst_links_external_new_tab = False
suppress_warnings = ["myst.header"]  # a page of results may begin with a smaller heading

default_role = "code"  # docstrings write code in single backticks
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "exclude-members": "model_config"}
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_use_ivar = True  # attributes are told in the docstring of their class
napoleon_google_docstring = True

html_theme = "furo"
html_title = "AENet"
html_show_sourcelink = False
html_copy_source = False
html_static_path = ["site"]
html_css_files = ["wide.css"]

# What the site's sidebar holds; in the repository the README's links do that.
_SIDEBAR = {
    "README": {
        "Tutorials": ["docs/tutorials/gis-analyst", "docs/tutorials/researcher", "docs/tutorials/ml-engineer"],
        "How to": [
            "docs/data", "docs/photos", "docs/compression", "docs/reproduce", "docs/tracking", "docs/scheduling",
            "docs/gpu", "SECURITY",
        ],
        "Reference": ["docs/reference", "CHANGELOG"],
        "To carry it on": ["docs/architecture", "docs/extending", "CONTRIBUTING", "docs/decisions/README"],
    },
    "docs/decisions/README": {"": ["docs/decisions/0*"]},
}  # fmt: skip
_ORPHANS = ("benchmarks/results/", "docs/results/", "weights/")  # reached by links only


def _complete(app: "Sphinx", page: str, source: list[str]) -> None:
    """Add the sidebar's lists of pages, and say of pages that only links lead to that this is meant."""
    for caption, pages in _SIDEBAR.get(page, {}).items():
        listed = "\n".join(f"/{name}" for name in pages)
        title = f":caption: {caption}\n" if caption else ""
        source[0] += f"\n```{{toctree}}\n:hidden:\n:glob:\n{title}\n{listed}\n```\n"
    here = Path(app.srcdir, page).parent
    for folder in set(re.findall(r"\]\(([\w./-]+)\)", source[0])):
        if (here / folder / "README.md").exists():  # a repository shows it as the folder's page
            source[0] = source[0].replace(f"]({folder})", f"]({folder}/README.md)")
    if page.startswith(_ORPHANS) or page not in {"README", *_listed()}:
        source[0] = "---\norphan: true\n---\n" + source[0]


def _listed() -> list[str]:
    root = Path(__file__).resolve().parents[1]
    named = [name for lists in _SIDEBAR.values() for pages in lists.values() for name in pages]
    return [
        path.relative_to(root).with_suffix("").as_posix() for name in named for path in sorted(root.glob(f"{name}.md"))
    ]


def _start_page(app: "Sphinx", error: Exception | None) -> None:
    """The README is the start page, under the name that servers and people look for."""
    if error is None and app.builder.name == "html":
        shutil.copyfile(Path(app.outdir, "README.html"), Path(app.outdir, "index.html"))


def _signature(_app: "Sphinx", _what: str, _name: str, found: Any, *_: Any) -> tuple[str, None] | None:
    """Show a configuration by its keys and defaults; bounds and types are told beside each key."""
    if not (isinstance(found, type) and issubclass(found, BaseModel)):
        return None
    fields = found.model_fields.items()
    shown = [name if field.is_required() else f"{name}={field.default!r}" for name, field in fields]
    return f"({', '.join(shown)})", None


def _as_meant(_app: "Sphinx", what: str, _name: str, _found: Any, _options: Any, lines: list[str]) -> None:
    """Read docstrings as they are meant, before napoleon reads them.

    `height, width: ...` is one entry, a sentence with a colon is no type, and what is indented is written as it stands.
    """
    for number, line in enumerate(lines):
        after = lines[number + 1 : number + 3]
        if found := re.match(r"\s+\w+(?:, \w+)+: ", line):
            lines[number] = found[0].replace(", ", ",") + line[found.end() :]
        elif what in ("attribute", "data") and number == 0 and ": " in line:
            lines[number] = line.replace(": ", " - ", 1)
        elif re.search(r"[^:]:$", line) and len(after) == 2 and not after[0] and after[1].startswith("    "):
            lines[number] = f"{line}:"


def setup(app: "Sphinx") -> None:
    """Connect them to Sphinx."""
    app.connect("autodoc-process-signature", _signature)
    app.connect("autodoc-process-docstring", _as_meant, priority=400)  # before napoleon
    app.connect("source-read", _complete)
    app.connect("build-finished", _start_page)
