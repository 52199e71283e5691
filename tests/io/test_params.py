"""params.yaml: what is mistyped is named, what is meant is offered, and YAML is read as DVC reads it."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError

from aenet.io.errors import AenetError
from aenet.io.params import Config, check_sections, read_section, read_yaml
from aenet.presets import set_values


class Adam(Config):
    kind: Literal["adam"]
    weight_decay: float = 0.0


class Sgd(Config):
    kind: Literal["sgd"]
    momentum: float


class Toy(Config):
    epochs: int
    lr: float = 0.1
    size: tuple[int, int] = (128, 512)
    name: str = "x"
    flip: bool = False
    optimizer: Annotated[Adam | Sgd, Field(discriminator="kind")] = Adam(kind="adam")


def read(tmp_path: Path, text: str, section: str = "train") -> Toy:
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    return read_section(tmp_path / "params.yaml", section, Toy)


def test_values_arrive_typed(tmp_path: Path) -> None:
    text = "train:\n  epochs: 3\n  size: [64, 256]\n  optimizer: {kind: sgd, momentum: 0.9}\nother: {}\n"
    assert read(tmp_path, text) == Toy(epochs=3, size=(64, 256), optimizer=Sgd(kind="sgd", momentum=0.9))


@pytest.mark.parametrize(("written", "value"), [("1e-4", 1e-4), ("5e-5", 5e-5), ("1", 1.0), ("0.5", 0.5)])
def test_numbers_are_those_of_yaml_1_2(tmp_path: Path, written: str, value: float) -> None:
    """YAML 1.1 reads 1e-4 as text."""
    assert read(tmp_path, f"train: {{epochs: 1, lr: {written}}}").lr == value


def test_no_is_a_word_in_yaml_1_2(tmp_path: Path) -> None:
    assert read(tmp_path, "train: {epochs: 1, name: no}").name == "no"
    with pytest.raises(AenetError, match=r"'train.flip'.*found 'no'"):
        read(tmp_path, "train: {epochs: 1, flip: no}")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("train: {epochs: 1, epoch: 2}", r"unknown key 'train.epoch' \(did you mean 'epochs'\?\)"),
        ("train: {epochs: 1, leraning: 2}", r"unknown key 'train.leraning' \(.*known:.*lr"),
        ("train: {epochs: 1, optimizer: {kind: adam, wieght_decay: 0.1}}", "did you mean 'weight_decay'"),
        ("train: {epochs: 1, optimizer: {kind: adam, momentum: 0.1}}", "unknown key 'train.optimizer.adam.momentum'"),
        ("train: {epochs: 1, optimizer: {kind: adams}}", "'train.optimizer'.*adams"),
        ("train: {epochs: 1, optimizer: {kind: adam, epochs: 2}}", r"adam.epochs' \(did you mean 'train.epochs'\?\)"),
        ("train: {epochs: 1, optimizer: {kind: sgd, momentum: 0.1, size: 2}}", r"\(did you mean 'train.size'\?\)"),
        ("train: {epochs: 1, weight_decy: 0.1}", r"\(did you mean 'train.optimizer.weight_decay'\?\)"),
        ("train: {epochs: 1, optimizer: {kind: sgd, momentum: 0.1, xyz: 2}}", r"\(known: kind, momentum\)"),
        ("train: {epochs: 1, name: 2024-01-01}", "'train.name': 2024-01-01 is read as a date: put it in quotes"),
        ("train: {epochs: 1, size: [1, 2024-01-01]}", "'train.size.1': 2024-01-01 is read as a date"),
        ("train: {epochs: 1, 2024-01-01: 2}", "the key 2024-01-01 of 'train' is read as a date"),
        ("train: {}", "missing key 'train.epochs'"),
        ("train: {epochs: three}", "'train.epochs'.*integer.*found 'three'"),
        ("train: {epochs: 1.5}", "'train.epochs'.*found 1.5"),
        ("train: {epochs: '3'}", "'train.epochs'.*found '3'"),
        ("train: {epochs: true}", "'train.epochs'.*found True"),
        ("train: {epochs: 1, size: [1, 2, 3]}", "'train.size"),
        ("train:", "train"),
        ("tarin: {epochs: 1}", r"no section 'train' \(did you mean 'tarin'\?\)"),
        ("- a\n- b", "must hold a mapping"),
        ("train: {epochs: 1", "not valid YAML"),
        ("train: {epochs: 1, epochs: 2}", "not valid YAML.*duplicate"),
        ("train: {epochs: 1, lr: .nan}", "'train.lr'"),
        ("", "must hold a mapping"),
    ],
)
def test_mistakes_are_one_sentence_with_the_way_out(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(AenetError, match=sentence) as caught:
        read(tmp_path, text)
    assert "params.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(AenetError, match="does not exist"):
        read_section(tmp_path / "params.yaml", "train", Toy)


def test_configuration_cannot_change_after_reading(tmp_path: Path) -> None:
    with pytest.raises(ValidationError):
        read(tmp_path, "train: {epochs: 1}").epochs = 2  # type: ignore[misc]  # the point of the test


def test_two_mistakes_are_both_named(tmp_path: Path) -> None:
    with pytest.raises(AenetError, match=r"'train.epoch'.*; |; .*'train.epoch'") as caught:
        read(tmp_path, "train: {epoch: 1, lr: fast}")
    assert "'train.lr'" in str(caught.value)


def test_a_section_nobody_reads_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("train: {epochs: 1}\nexprot_onnx: {tolerance: 1}\n")
    with pytest.raises(AenetError, match=r"unknown section 'exprot_onnx' \(did you mean 'export_onnx'\?\)"):
        check_sections(file, ["train", "export_onnx"])
    check_sections(file, ["train", "exprot_onnx", "evaluate"])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("engine: {a: 1}\n".encode("utf-16"), "line 1 is not UTF-8"),
        ("# ok\nengine: {a: \u00fc}\n".encode("latin-1"), "line 2 is not UTF-8 .byte 0xfc.: save it as UTF-8"),
        (b"engine: \0\n", "not valid YAML"),
        (b"engine: 2001-99-99\n", "not valid YAML"),
        (b"engine: !!int x\n", "not valid YAML"),
        (b"engine: " + b"[" * 5000 + b"\n", "not valid YAML"),
        (b"engine: " + b"9" * 5000 + b"\n", "not valid YAML"),
        (b"engine: &a [*a]\n", "holds more than"),
        (b"a: &a [1,1,1,1,1,1,1,1,1]\n" + b"".join(b"%c: &%c [" % (n, n) + b",".join([b"*%c" % (n - 1)] * 9) + b"]\n"
         for n in range(98, 110)), "holds more than 100,000 values"),
        (b"# " + b"x" * 1_000_001, "1 MB"),
    ],
)  # fmt: skip
def test_c11_a_file_that_is_no_settings_is_a_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    """UTF-16, latin-1, values that are none, circles, and anchors that a few bytes make a billion values of."""
    (tmp_path / "params.yaml").write_bytes(content)
    for read in (read_yaml, lambda path: set_values({"engine.a": 1}, path.parent)):
        with pytest.raises(AenetError, match=sentence):
            read(tmp_path / "params.yaml")


def test_c11_a_mark_of_utf8_is_no_part_of_a_key(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes(b"\xef\xbb\xbfengine: {a: 1}\n")
    assert read_yaml(tmp_path / "params.yaml") == {"engine": {"a": 1}}
