"""Places as the report takes them: what users named is shortened, and reasons get their kind."""

import html
import os
import re
from collections import Counter, defaultdict

import pandas as pd

# Count why photos have no answer: reasons that differ only in their numbers are one kind.

_NUMBER = re.compile(r"(\d+(?:[.,]\d+)*)")
_MAX_KINDS = 200


def reason_kinds(reasons: list[str]) -> list[str]:
    """Return the kind of every reason: its text, with an ellipsis where its likes have other numbers."""
    split = [_NUMBER.split(reason) for reason in reasons]
    alike: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for at, parts in enumerate(split):
        alike[tuple(parts[::2])].append(at)
    kinds = [""] * len(reasons)
    for words, members in alike.items():
        numbers = [{split[at][2 * place + 1] for at in members} for place in range(len(words) - 1)]
        shown = [next(iter(found)) if len(found) == 1 else "…" for found in numbers]
        kind = "".join(word + number for word, number in zip(words, [*shown, ""], strict=True))
        for at in members:
            kinds[at] = kind
    return kinds


def reason_table(rows: pd.DataFrame) -> str:
    """Return a card that counts the reasons (columns status, kind, photo); empty without any."""
    failed = rows[rows["kind"].notna()]
    if failed.empty:
        return ""
    counts = Counter(zip(failed["status"], failed["kind"], strict=True))
    example = failed.drop_duplicates(["status", "kind"]).set_index(["status", "kind"])["photo"]
    lines = [
        f'<tr><td class="n">{count:,}</td><td>{html.escape(str(status))}</td><td>{html.escape(str(kind))}</td>'
        f"<td>{html.escape(str(example[status, kind]))}</td></tr>"
        for (status, kind), count in counts.most_common(_MAX_KINDS)
    ]
    more = len(counts) - _MAX_KINDS
    rest = f"<p>and {more:,} more kinds: see places.csv</p>" if more > 0 else ""
    return (
        f'<div class="card"><h2>Why {len(failed):,} have no answer</h2><p>The others were placed all the same. '
        "An ellipsis stands for numbers that differ from photo to photo.</p>"
        '<div class="scroll" tabindex="0" role="region" aria-label="Reasons"><table><thead><tr>'
        '<th scope="col" class="n">Photos</th><th scope="col">Status</th><th scope="col">Reason</th>'
        f'<th scope="col">For example</th></tr></thead><tbody>{"".join(lines)}</tbody></table></div>{rest}</div>'
    )


_TEXT_MAX = 400  # characters of a name, reason or note


def report_rows(rows: pd.DataFrame) -> pd.DataFrame:
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
