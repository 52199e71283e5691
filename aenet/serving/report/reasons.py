"""Count why photos have no answer: reasons that differ only in their numbers are one kind."""

import html
import re
from collections import Counter, defaultdict

import pandas as pd

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
