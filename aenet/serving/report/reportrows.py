"""Places as the report takes them: what users named is shortened, and reasons get their kind."""

import os

import pandas as pd

from aenet.serving.report.reasons import reason_kinds

_TEXT_MAX = 400  # characters of a name, reason or note


def prepare(rows: pd.DataFrame) -> pd.DataFrame:
    """Return places as the report takes them: shorter names, and the `kind` of every reason."""
    rows = rows.assign(photo=[cut(name) for name in _short(list(rows["photo"]))], kind=None)
    told = rows["reason"].notna() & (rows["status"] != "ok")
    rows.loc[told, "kind"] = reason_kinds([cut(reason) for reason in rows.loc[told, "reason"]])
    return rows


def cut(text: str) -> str:
    """Shorten a text that a user named to what the report shows of it."""
    return text if len(text) <= _TEXT_MAX else text[: _TEXT_MAX - 1] + "…"


def _short(names: list[str]) -> list[str]:
    """Drop the folders that all names share; a table may list absolute paths."""
    folders = {name.rpartition("/")[0] for name in names}
    try:
        shared = os.path.commonpath(folders)
    except ValueError:  # absolute and relative ones mixed
        return names
    return [name.removeprefix(shared).lstrip("/") for name in names] if shared else names
