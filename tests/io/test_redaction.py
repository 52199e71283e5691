"""Secrets are taken out of what is said and stored, by one function, whichever door it leaves through."""

import copy
import io
import sys
from pathlib import Path

import pytest

from aenet import tracking
from aenet.doctor.doctor import check_stores
from aenet.ingest.archive.archiveconfig import SourceConfig, check_source
from aenet.io.errors import AenetError
from aenet.io.redaction import Redacted, clean, without_secrets
from aenet.tracking import ui
from aenet.tracking.events import journals, read_events
from flows import subprocesses
from flows.commandline import from_words
from flows.reproduce import main as reproduce
from tests.io.test_params import read

DIGEST = "0" * 64
SIGNED = [
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20261128&X-Amz-Signature=s3cret9f",
    "X-Goog-Signature=s3cret9f",
    "sv=2024-05-04&se=2027-01-01&sig=s3cret9f%2B",
    "Expires=1790000000&Signature=s3cret9f&Key-Pair-Id=K1",
    "token=s3cret9f",
    "access_token=s3cret9f",
    "api_key=s3cret9f",
    "rlkey=s3cret9f&dl=1",
    "auth=s3cret9f",
    "h=s3cret9f0123456789abcdef",
    "s3cret9f0123456789abcdef",
    "key=s3cret9f",
    "private_key=s3cret9f",
    "Signature=s3cret9f",
    "password=s3cret9f",
    "file=set.zip&sig=s3cret9f",
    "Policy=eyJTdGF0ZW1lbnQiOls3cret9f&Key-Pair-Id=K1",
    "GoogleAccessId=me%40host&Expires=1790000000&Signature=s3cret9f",
    "OSSAccessKeyId=me&Signature=s3cret9f",
    "hmac=s3cret9f0123456789abcdef",
]
PLAIN = [
    "",
    "?download=1",
    "?file=CVUSA-subset-2019-version-2.tar.gz&id=12",
    "?design=a",
    "?file=CVUSA_subset_2021_full.zip",
    "?CVUSA_subset_2021_full.zip",
    "?persistentId=doi:10.7910/DVN/ABCDEF/XYZ123",
    "?id=1aB2cD3eF4gH5iJ6kL7mN8oP9qR0sT1uV&export=download",
    "?path=/maps/city2021/tiles",
    "?hash=abc",
    "?key=cvusa.zip",
    "?key=maps/city2021_tiles_full.tar.gz",
]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http://me:pa55word@host:5000/x failed", "http://***@host:5000/x failed"),
        ("postgresql://me:p@ss@db/mlflow", "postgresql://***@db/mlflow"),
        ("https://host/set.zip?X-Amz-Signature=abc: the server", "https://host/set.zip?...: the server"),
        ("(https://host/a?token=x)", "(https://host/a?...)"),
        ("https://host/a#access_token=x y", "https://host/a?... y"),
        ("--password=hunter2 --top 3", "--password=*** --top 3"),
        ('{"api_key": "abc def", "n": 1}', '{"api_key": ***, "n": 1}'),
        ("Authorization: Bearer abcdef", "Authorization: ***"),
        ('Authorization: Digest username="me", realm="a b", response="abc", nc=1', "Authorization: ***"),
        ("curl -H 'Authorization: Digest username=\"me\", response=\"abc\"' host", "curl -H 'Authorization: ***' host"),
        ('{"Authorization": "Digest username=\\"me\\"", "n": 1}', '{"Authorization": ***, "n": 1}'),
        ("{'Proxy-Authorization': 'Digest response=\"abc\"', 'n': 1}", "{'Proxy-Authorization': ***, 'n': 1}"),
        ("Authorization: AWS4-HMAC-SHA256 Credential=AK/1/s3, SignedHeaders=host, Signature=abc", "Authorization: ***"),
        ('Authorization: Token token="abc", 401', "Authorization: ***, 401"),
        ("Authorization: Basic bWU6cGE/NQ== failed", "Authorization: *** failed"),
        ("authorization=abcdef, once", "authorization=***, once"),
        ("mysql://me:pa/ss@db:3306/x failed", "mysql://***@db:3306/x failed"),
        ("mysql+pymysql://me:/p?a#s@s@db/x", "mysql+pymysql://***@db/x"),
        ("postgresql://me:1/2@host/x", "postgresql://***@host/x"),
        ("https://me:a/2@host/x", "https://***@host/x"),
        ("http://host:5000/#/models/aenet@champion", "http://host:5000/#/models/aenet@champion"),
        ("git+ssh://git@host:owner/name@v1", "git+ssh://***@host:owner/name@v1"),
        ("?sv=2024&se=2027&sig=abc%2B failed", "?sv=2024&se=2027&sig=*** failed"),
        ("of host/x?X-Amz-Credential=a%2Fb&X-Amz-Signature=abc", "of host/x?X-Amz-Credential=***&X-Amz-Signature=***"),
        ("X-Goog-Signature=abc&b=1", "X-Goog-Signature=***&b=1"),
        ("Policy=abc~&Signature=d-e_&Key-Pair-Id=K1", "Policy=***&Signature=***&Key-Pair-Id=***"),
        ("X-Amz-Security-Token=abc", "X-Amz-Security-Token=***"),
        ("design=a policy: one_cycle", "design=a policy: one_cycle"),
        ("models:/aenet@champion", "models:/aenet@champion"),
        ("file:///data/a@b.tif?x sqlite:////data/mlflow.db", "file:///data/a@b.tif?x sqlite:////data/mlflow.db"),
        ("http://127.0.0.1:5000/#/experiments/1", "http://127.0.0.1:5000/#/experiments/1"),
        ("AENET_DOWNLOAD_TOKEN is set and the user", "AENET_DOWNLOAD_TOKEN is set and the user"),
    ],
)  # fmt: skip
def test_what_is_secret_in_a_text_is_masked_and_nothing_else(text: str, said: str) -> None:
    assert without_secrets(text) == said
    assert without_secrets(said) == said


def test_secrets_of_the_environment_are_masked_wherever_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:p%40ss/w#rd@host:5000")
    monkeypatch.setenv("SOME_SERVICE_TOKEN", "abcd1234")
    text = "401 for p%40ss/w#rd, p@ss/w#rd and abcd1234; abcd12345 is another word"
    assert without_secrets(text) == "401 for ***, *** and ***; abcd12345 is another word"
    assert clean({"abcd1234": ["x abcd1234", 3, None]}) == {"abcd1234": ["x ***", 3, None]}


@pytest.mark.parametrize("at", range(1, 9))
def test_a_secret_in_two_writes_is_masked_as_in_one(at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines leave whole, whoever flushes meanwhile; the last one when the stream is finished."""
    monkeypatch.setenv("SOME_SERVICE_TOKEN", "abcd1234")
    out = io.StringIO()
    stream = Redacted(out)
    stream.write(f"Traceback\nof {'abcd1234'[:at]}")
    stream.flush()
    assert out.getvalue() == "Traceback\n"
    print("abcd1234"[at:], "in", file=stream)
    stream.writelines(["5 %\r", "password=", "hunter2"])
    assert out.getvalue() == "Traceback\nof *** in\n5 %\r"
    stream.finish()
    assert out.getvalue() == "Traceback\nof *** in\n5 %\rpassword=***"


def test_a_line_without_end_is_not_held_for_ever() -> None:
    out = io.StringIO()
    stream = Redacted(out)
    for _ in range(3):
        stream.write("x" * 40_000)
    assert len(out.getvalue()) == 80_000


def test_a_key_of_several_lines_is_masked_in_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SECRET", "-----BEGIN-----\nMIIabc9\nxyz1234\n-----END-----")
    assert without_secrets("MIIabc9\nand xyz1234") == "***\nand ***"


@pytest.mark.parametrize(("value", "masked"), [("metrics", False), ("test", False), ("te5t", True), ("hunterab", True)])
def test_a_plain_short_word_is_no_secret(value: str, masked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", value)
    assert without_secrets(f"of {value} here") == ("of *** here" if masked else f"of {value} here")


def test_a_journal_keeps_what_names_things(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a variable's value is: only free text is masked, and a run repeated still records nothing twice."""
    monkeypatch.setenv("X_TOKEN", "recall_1")
    monkeypatch.setenv("AENET_TRACKING", "journal")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    (tmp_path / "recall_1").write_text("report")
    for _ in range(2):
        with tracking.run(
            experiment="recall_1", stage="recall_1", fingerprint="recall_1", name="recall_1",
            params={"recall_1": "of recall_1"}, tags={"recall_1": "recall_1"},
        ) as run:  # fmt: skip
            run.metrics({"recall_1": 1.0})
            run.artifact(tmp_path / "recall_1", folder="recall_1")
            run.dataset("recall_1", "recall_1", "http://host/recall_1", 3)
    (folder,) = journals(tmp_path).iterdir()
    start, metrics, artifact, data, _, again, end = [event for event, _ in read_events(folder)]
    assert start["stage"] == start["name"] == start["fingerprint"] == "recall_1"
    assert start["params"] == {"recall_1": "of ***"} and start["tags"]["recall_1"] == "***"
    assert metrics["values"] == {"recall_1": 1.0} and (folder / artifact["file"]).read_text() == "report"
    assert artifact["origin"] == str(tmp_path / "recall_1") and artifact["folder"] == "recall_1"
    assert (data["name"], data["source"]) == ("recall_1", "http://host/***")
    assert (again["event"], end["event"], end["new"]) == ("start", "end", 0)


def test_a_sentence_holds_no_secret_however_it_travels() -> None:
    error = AenetError("http://me:pa55word@host does not answer")
    assert str(error) == str(copy.copy(error)) == "http://***@host does not answer"


@pytest.mark.parametrize("query", SIGNED)
def test_a_signed_address_is_refused_and_not_repeated(query: str) -> None:
    config = SourceConfig.model_validate({"source": f"https://host/set.zip?{query}", "sha256": DIGEST})
    with pytest.raises(
        AenetError, match="AENET_DOWNLOAD_QUERY in the environment, or fetch the file yourself"
    ) as caught:
        check_source(config)
    assert "s3cret9f" not in str(caught.value)


@pytest.mark.parametrize("query", PLAIN)
def test_a_plain_query_is_accepted(query: str) -> None:
    check_source(SourceConfig.model_validate({"source": f"https://host/set.zip{query}", "sha256": DIGEST}))


def test_a_row_is_not_reproduced_from_a_signed_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused before params.yaml holds it."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AenetError, match="AENET_DOWNLOAD_QUERY"):
        reproduce(["paper-cvusa", "ta_mhnw", "--source", f"https://host/x?{SIGNED[0]}"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        "train: {epochs: s3cret9f-token}",
        "train: {epochs: 1, size: [https://me:s3cret9f@host/x, 2]}",
        "train: https://host/x?sig=s3cret9f",
        "train: {epochs: 1, flip: 'https://host/x?sig=s3cret9f'}",
        "train: {epochs: 1\nsource: s3cret9f",
        "train: {epochs: s3cret9f, epochs: s3cret9f}",
        "train: {epochs: *s3cret9f}",
    ],
)
def test_a_mistyped_value_is_not_repeated_whole(tmp_path: Path, text: str) -> None:
    with pytest.raises(AenetError, match=r"params\.yaml") as caught:
        read(tmp_path, text)
    assert "s3cret9f" not in str(caught.value)


@pytest.mark.parametrize("word", ["s3cret9f-without-equals", "source=[s3cret9f"])
def test_a_mistyped_word_of_a_command_is_not_repeated_whole(word: str) -> None:
    with pytest.raises(AenetError, match="--set") as caught:
        from_words([word])
    assert "s3cret9f" not in str(caught.value)


def test_what_a_stage_prints_is_stored_without_its_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prefect keeps the lines of a stage, and the last of them in the flow's state."""
    monkeypatch.setattr(subprocesses, "dvc", lambda *_: [sys.executable, "-c", "print('http://me:s3cret9f@host')"])
    said: list[str] = []
    running = subprocesses.StageProcesses()
    outcome = running.run("train", said.append)
    running.stop()
    assert said == list(outcome.lines) == ["http://***@host"]


def test_the_doctor_and_the_pages_name_a_store_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does a command line, which everybody on the machine can read."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:s3cret9f@db/mlflow")
    (tmp_path / "dvc.yaml").touch()
    assert "store postgresql://***@db/mlflow" in str(list(check_stores(tmp_path)))
    assert "s3cret9f" not in " ".join(ui.command(tmp_path))
