"""ONNX files from anybody: numbers and ONNX's own operators, or a sentence, whatever the order of fields."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from aenet.data.card import CARD
from aenet.io.atomic import write_json
from aenet.io.errors import AenetError, CorruptArtifact
from aenet.serving.sessions.onnxgraph import check_graph
from aenet.serving.sessions.session import OnnxBranch
from tests.support import world
from tests.support.world import CPU

WEIGHTS = "secret.bin"


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, content: bytes | int) -> bytes:
    """One protobuf field: bytes with their length, or a whole number."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def plain(folder: Path) -> onnx.ModelProto:
    return onnx.load(world.make_model(folder / "plain") / "ground.onnx")


def outside(order: str) -> bytes:
    """A tensor named `bias` whose number lies in another file, its fields in one of several orders."""
    entry = {"key first": field(1, b"location") + field(2, WEIGHTS.encode())}
    entry["value first"] = field(2, WEIGHTS.encode()) + field(1, b"location")
    entry["key twice"] = field(1, b"locatiom") + entry["value first"]
    kept = field(13, entry.get(order, entry["value first"]))
    if order == "long numbers":  # the same tag and length, in more bytes than they need
        content = field(2, WEIGHTS.encode()) + field(1, b"location")
        kept = bytes([0xEA, 0x80, 0x00, 0x80 | len(content), 0x00]) + content
    parts = [field(1, 1), field(2, 1), field(8, b"bias"), kept, field(14, 1)]
    if order == "before all":
        parts = parts[::-1]
    if order == "in memory":
        parts[3] = field(13, field(2, b"*/_ORT_MEM_ADDR_/*") + field(1, b"location"))
    if order == "only said":
        parts.remove(kept)
    if order == "a number too long":  # 1 once it is cut to 32 bits
        parts[-1] = field(14, (1 << 32) + 1)
    return b"".join(parts)


ORDERS = ["key first", "value first", "key twice", "long numbers", "before all", "in memory", "only said"]


def with_tensor(model: onnx.ModelProto, tensor: bytes, where: str) -> bytes:
    """Return a model's bytes with a tensor, given as bytes, at one of the places where ONNX has tensors."""
    kept = [one for one in model.graph.initializer if one.name != "bias"]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    constant = field(2, b"bias") + field(4, b"Constant")
    part = {
        "initializer": field(5, tensor),
        "attribute": field(1, constant + field(5, field(1, b"value") + field(5, tensor) + field(20, 4))),
        "list of an attribute": field(1, constant + field(5, field(1, b"value") + field(10, tensor) + field(20, 9))),
        "sparse initializer": field(15, field(1, tensor) + field(3, 1)),
        "sparse attribute": field(1, constant + field(5, field(1, b"sparse_value") + field(22, field(2, tensor)))),
    }[where]
    # A second `graph` in the file is joined with the first.
    return field(7, part) + model.SerializeToString()


def deploy(folder: Path, content: bytes) -> Path:
    """Make `content` the ground branch of a model whose card has its digest."""
    model = world.make_model(folder / "model")
    (model / "ground.onnx").write_bytes(content)
    card = json.loads((model / CARD).read_bytes())
    card["sha256"]["ground.onnx"] = hashlib.sha256(content).hexdigest()
    write_json(model / CARD, card)
    return model


@pytest.mark.parametrize("order", [*ORDERS, "a number too long"])
def test_weights_elsewhere_are_found_whatever_the_order_of_fields(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    """onnxruntime takes a relative name from the current folder: there the file lies, and must not be read."""
    (tmp_path / WEIGHTS).write_bytes(b"\0\0\x80?")
    monkeypatch.chdir(tmp_path)
    content = with_tensor(plain(tmp_path), outside(order), "initializer")
    if order != "a number too long":
        assert onnx.load_from_string(content).graph.initializer[0].data_location == TensorProto.EXTERNAL
    with pytest.raises(CorruptArtifact, match=r"ground\.onnx keeps weights outside its file"):
        OnnxBranch(deploy(tmp_path, content), "ground", CPU)


@pytest.mark.parametrize("where", ["attribute", "list of an attribute", "sparse initializer", "sparse attribute"])
def test_weights_elsewhere_are_found_wherever_tensors_may_stand(tmp_path: Path, where: str) -> None:
    content = with_tensor(plain(tmp_path), outside("value first"), where)
    with pytest.raises(CorruptArtifact, match="keeps weights outside its file"):
        OnnxBranch(deploy(tmp_path, content), "ground", CPU)


def _endless() -> onnx.NodeProto:
    """A loop of 2^62 turns."""
    turn = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Identity", ["was"], ["is"])],
        "turn",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("was", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("is", TensorProto.FLOAT, None),
        ],
    )
    return helper.make_node("Loop", ["turns", "go on", "biased"], ["turned"], body=turn)


def _loop(model: onnx.ModelProto) -> None:
    for name, kind, value in (("turns", TensorProto.INT64, 1 << 62), ("go on", TensorProto.BOOL, True)):
        model.graph.initializer.append(helper.make_tensor(name, kind, [], [value]))
    model.graph.node.insert(len(model.graph.node) - 1, _endless())
    model.graph.node[-1].input[0] = "turned"


def _loop_without_its_name(model: onnx.ModelProto) -> None:
    """The operator may be given twice, and the last counts; the graph inside shows it all the same."""
    _loop(model)
    model.graph.node[-2].op_type = "Identity"


def _scan(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Scan", ["biased"], ["scanned"]))


def _choice(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("If", ["biased"], ["chosen"]))


def _sequence(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("SequenceMap", ["biased"], ["mapped"]))


def _plug_in(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    model.graph.node.append(helper.make_node("EPContext", ["biased"], ["y"], domain="com.microsoft"))


def _unknown(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("evil", 1))
    model.graph.node.append(helper.make_node("Run", ["biased"], ["y"], domain="evil"))


def _function(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("evil", 1))
    body = [helper.make_node("Identity", ["x"], ["y"])]
    model.functions.append(helper.make_function("evil", "f", ["x"], ["y"], body, [helper.make_opsetid("", 20)]))


def _loop_in_a_function(model: onnx.ModelProto) -> None:
    _function(model)
    model.functions[0].node.append(_endless())


def _training(model: onnx.ModelProto) -> None:
    model.training_info.append(onnx.TrainingInfoProto())
    model.training_info[0].algorithm.name = "x"


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_loop, "operator Loop|graph inside a graph"),
        (_loop_without_its_name, "graph inside a graph"),
        (_scan, "operator Scan"),
        (_choice, "operator If"),
        (_sequence, "operator SequenceMap"),
        (_plug_in, "'com.microsoft'"),
        (_unknown, "'evil'"),
        (_function, "functions of its own"),
        (_loop_in_a_function, "functions of its own"),
        (_training, "graph of training"),
    ],
)
def test_a_graph_without_end_or_of_another_maker_is_refused(
    tmp_path: Path, change: Callable[[onnx.ModelProto], None], reason: str
) -> None:
    model = plain(tmp_path)
    change(model)
    with pytest.raises(CorruptArtifact, match=reason):
        OnnxBranch(deploy(tmp_path, model.SerializeToString()), "ground", CPU)


def _cut(content: bytes) -> bytes:
    return content[:-3]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\x10\0\0\0ORTM" + bytes(64), id="onnxruntime's own format"),
        pytest.param(b"\x0a\x7fxxORTM" + bytes(200), id="both at once"),
        pytest.param(b"\x0b\x0c", id="a group"),
        pytest.param(b"\xff" * 11, id="a number without end"),
        pytest.param(b"\x3a\xff\xff\xff\xff\x0f", id="longer than the file"),
        pytest.param(b"\x00\x00", id="field 0"),
        pytest.param(b"\x08\x01" * 1_000_001, id="parts without end"),
    ],
)
def test_what_is_no_onnx_file_is_refused_before_it_is_opened(content: bytes) -> None:
    with pytest.raises(CorruptArtifact, match=r"x\.onnx is (no ONNX file|in onnxruntime's own format)"):
        check_graph(content, Path("x.onnx"))


def test_a_plain_branch_passes_and_a_digest_still_counts(tmp_path: Path) -> None:
    content = plain(tmp_path).SerializeToString()
    check_graph(content, Path("x"))
    folder = deploy(tmp_path, content)
    assert OnnxBranch(folder, "ground", CPU).runs_on.startswith("CPU")
    (folder / "ground.onnx").write_bytes(_cut(content))
    with pytest.raises(AenetError, match="SHA-256"):
        OnnxBranch(folder, "ground", CPU)
