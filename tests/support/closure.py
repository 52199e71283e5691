"""The import closure of a stage: every module of ours whose code can change what the stage writes."""

from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[2]
# These watch the work and never change its outcome: an edit of theirs must not cost a run.
WATCHERS = ("aenet.tracking", "aenet.progress", "stages.running")


def import_closure(stage: str) -> set[str]:
    """Return the files, relative to the project, of all modules `stages.STAGE` imports, lazily or not."""
    graph = grimp.build_graph("aenet", "stages", cache_dir=None)  # its cache misses some edits
    for watcher in WATCHERS:
        for name in [m for m in graph.modules if m == watcher or m.startswith(watcher + ".")]:
            graph.remove_module(name)
    modules = {f"stages.{stage}"} | graph.find_upstream_modules(f"stages.{stage}")
    return {file for module in modules if (file := _file(module)) is not None}


def _file(module: str) -> str | None:
    path = Path(*module.split("."))
    if (ROOT / path).is_dir():
        return None  # packages are empty of behaviour
    return path.with_suffix(".py").as_posix()
