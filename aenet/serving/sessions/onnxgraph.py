"""What an exported network may hold: one ONNX file, walked through to its end before onnxruntime sees it.

A graph is data, yet it can name other files, or places in memory, as its weights, ask for code of a plug-in, or turn
for ever. An exported branch does none of that. Fields of a message may come in any order, and a message in several
parts, which protobuf joins: so nothing is looked for as a run of bytes, and every message between the model and its
tensors is read field by field. The numbers of fields are those of ONNX 1.23's `onnx.proto`, the wire format that of
https://protobuf.dev/programming-guides/encoding.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from aenet.io.errors import CorruptArtifact

Kind = Literal["model", "graph", "node", "attribute", "tensor", "sparse"]
Field = tuple[int, int, memoryview]  # its number, a whole number, or (with a length) bytes

_MOST_FIELDS = 1_000_000  # a branch has some ten thousand
_ORT = b"ORTM"  # of onnxruntime's own format, at byte 4: no protobuf, and not looked into
_DOMAINS = (b"", b"ai.onnx")  # of the operators that ONNX itself defines
# They run a graph of their own, as often as the numbers in it say.
_CONTROL = (b"If", b"Loop", b"Scan", b"SequenceMap")
# Field -> the message in it, by the message it stands in.
_BELOW: dict[Kind, dict[int, Kind]] = {
    "model": {7: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 10: "tensor", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
# Fields that no branch needs, whatever they hold, by the message they stand in.
_NEVER: dict[Kind, dict[int, str]] = {
    "model": {20: "holds a graph of training", 25: "holds functions of its own"},
    "attribute": {6: "holds a graph inside a graph", 11: "holds a graph inside a graph"},
    "tensor": {13: "keeps weights outside its file, where no digest covers them"},
}
_OPERATOR, _DOMAIN = 4, 7  # of a node
_LOCATION = 14  # of a tensor: zero where its numbers are in the file


class _Refused(Exception):
    """What was found, in words that follow the file's name."""


def check_graph(content: bytes, path: Path) -> None:
    """Refuse an ONNX file that is more than numbers and ONNX's own operators, each run once.

    Args:
        content: the file's bytes.
        path: stands for it in errors.

    Raises:
        CorruptArtifact: it is no ONNX file; it keeps weights elsewhere; or it holds operators of another maker,
            functions, control flow or a graph of training.
    """
    left = [_MOST_FIELDS]
    waiting: list[tuple[memoryview, Kind]] = [(memoryview(content), "model")]
    try:
        if content[4:8] == _ORT:
            raise _Refused("is in onnxruntime's own format, which is not looked into")
        while waiting:
            message, kind = waiting.pop()
            for number, value, inner in _fields(message, left):
                _check(kind, number, value, inner)
                if inner and (below := _BELOW[kind].get(number)):
                    waiting.append((inner, below))
    except _Refused as found:
        raise CorruptArtifact(f"{path} {found}; a branch that was exported does not: export the model again") from found


def _check(kind: Kind, number: int, value: int, content: memoryview) -> None:
    """Refuse one field of a message."""
    if (found := _NEVER.get(kind, {}).get(number)) or (kind == "tensor" and number == _LOCATION and (value or content)):
        raise _Refused(found or _NEVER["tensor"][13])
    if kind == "node" and number == _OPERATOR and bytes(content) in _CONTROL:
        raise _Refused(f"holds the operator {bytes(content).decode()}, which runs a graph as often as it likes")
    if kind == "node" and number == _DOMAIN and bytes(content) not in _DOMAINS:
        name = bytes(content[:80]).decode(errors="replace")
        raise _Refused(f"asks for an operator of {name!r}, which is not ONNX's own")


def _fields(message: memoryview, left: list[int]) -> Iterator[Field]:
    """Yield the fields of a message; `left` counts down how many may still come."""
    at, nothing = 0, message[:0]
    while at < len(message):
        left[0] -= 1
        tag, at = _number(message, at)
        number, wire = tag >> 3, tag & 7
        if left[0] < 0 or not 0 < number < 1 << 29:
            raise _Refused(f"is no ONNX file, or has more than {_MOST_FIELDS:,} parts")
        match wire:
            case 0:
                value, at = _number(message, at)
                yield number, value, nothing
            case 1 | 2 | 5:
                size, at = _number(message, at) if wire == 2 else ({1: 8, 5: 4}[wire], at)
                if size > len(message) - at:
                    raise _Refused("is no ONNX file, or was cut short")
                yield number, size, message[at : at + size]
                at += size
            case _:  # groups, which no version of ONNX had
                raise _Refused("is no ONNX file")


def _number(message: memoryview, at: int) -> tuple[int, int]:
    """Return the whole number that begins `at`, seven bits a byte, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise _Refused("is no ONNX file, or was cut short")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _Refused("is no ONNX file")
