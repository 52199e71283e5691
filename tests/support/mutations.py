"""Seeded mutations of files, for the tests that hold every reader to a sentence."""

import copy
import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aenet.io.artifacts import MANIFEST, sha256_file
from aenet.io.atomic import write_json
from aenet.io.errors import AenetError

# What somebody may put in the place of any value.
ODD = (
    None, True, -1, 0, 1, 1.5, 1e308, -1e308, 10**30, 2**63, "", "x", "\0", "../secret", "/etc/passwd", "/dev/zero",
    "x" * 10_000, [], {}, [[]], {"": ""}, [0] * 1000, "2026-01-01", "nan", "é\ud7ff", [None], [1, 2], [0.5, "a"],
)  # fmt: skip
_WORDS = (b"\xff" * 8, b"\0" * 8, b"\x7f" + b"\xff" * 7, (1 << 33).to_bytes(8, "little"), b"\xff\xff\xff\x7f")


def mutated_bytes(content: bytes, draw: random.Random) -> bytes:
    """Change, insert, remove, repeat or cut off some of a file's bytes, rather at its beginning or end."""
    out = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 4))):
        near = draw.choice((64, 512, len(out) + 1))
        at = min(draw.randrange(near), len(out))
        if draw.random() < 0.3:
            at = max(0, len(out) - at)
        length = draw.choice((1, 2, 8, 100))
        match draw.randrange(6):
            case 0:
                out[at : at + 1] = bytes([draw.randrange(256)])
            case 1:
                word = draw.choice(_WORDS)
                out[at : at + len(word)] = word
            case 2:
                del out[at : at + length]
            case 3:
                out[at:at] = draw.randbytes(length)
            case 4:
                out[at:at] = out[at : at + length]
            case _:
                del out[at:]
    return bytes(out)


def mutated_tree(tree: Any, draw: random.Random) -> Any:
    """Put something odd in the place of one value of a JSON tree, or remove, double or rename one."""
    out = copy.deepcopy(tree)
    places = list(_places(out))
    holder, key = draw.choice(places)
    match draw.randrange(6):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[str(draw.choice(ODD))] = holder.pop(key)
        case 1:
            holder.insert(key, holder[key])
        case _:
            holder[key] = draw.choice(ODD)
    return out


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    for key, value in list(tree.items() if isinstance(tree, dict) else enumerate(tree)):
        yield tree, key
        if isinstance(value, dict | list):
            yield from _places(value)


def mutated_json(content: bytes, draw: random.Random) -> bytes:
    """Mutate a JSON file as a tree, and now and then as bytes."""
    if draw.random() < 0.2:
        return mutated_bytes(content, draw)
    return json.dumps(mutated_tree(json.loads(content), draw)).encode()


@contextmanager
def exchanged(path: Path, content: bytes) -> Iterator[None]:
    """Let a file have other bytes for a while, with the digests right in all manifests above it."""
    folders = [folder for folder in path.parents if (folder / MANIFEST).exists()]
    kept = {file: file.read_bytes() for file in (path, *(folder / MANIFEST for folder in folders))}
    path.write_bytes(content)
    for folder in folders:
        _seal(folder, path)
    try:
        yield
    finally:
        for file, before in kept.items():
            file.write_bytes(before)


def _seal(folder: Path, path: Path) -> None:
    """Bring the digest of `path` into a folder's manifest, and that of an inner manifest of a shard."""
    manifest = json.loads((folder / MANIFEST).read_bytes()) if path != folder / MANIFEST else None
    if manifest is None:
        return
    name = path.relative_to(folder).as_posix()
    if name in manifest.get("files", {}):
        manifest["files"][name] = {"sha256": sha256_file(path), "bytes": path.stat().st_size}
    shard = name.partition("/")[0]
    if shard in manifest.get("shards", {}):
        manifest["shards"][shard] = sha256_file(folder / shard / MANIFEST)
    write_json(folder / MANIFEST, manifest)


def outcomes(
    path: Path, mutate: Callable[[bytes, random.Random], bytes], use: Callable[[], object], seed: int, count: int
) -> list[str]:
    """Use a file's mutations and return what was said of them, nothing for those that passed.

    Raises:
        AssertionError: one of them ends in something else than a sentence: on one line, without a word of Python's.
    """
    content, said = path.read_bytes(), []
    for number in range(count):
        draw = random.Random(f"{path.name} {seed} {number}")
        with exchanged(path, mutate(content, draw)):
            try:
                use()
            except AenetError as sentence:
                said.append(str(sentence))
            except BaseException as error:
                raise AssertionError(f"{path.name}, mutation {number}: {type(error).__name__}: {error}") from error
            else:
                said.append("")
    for text in filter(None, said):
        assert len(text) < 1500 and "\n" not in text and "Traceback" not in text, text
    return said
