"""How far each store has been sent a journal: `cursor.json`, one entry a store."""

from pathlib import Path
from typing import NamedTuple

from aenet.atomic import write_json
from aenet.redaction import MASK
from aenet.tracking.address import DATABASE, own_database, store_name
from aenet.tracking.events import read_events, read_record

CURSOR = "cursor.json"


class Cursor(NamedTuple):
    """How far one journal has been sent to one store.

    Attributes:
        offset: bytes of events.jsonl.
        run_id: the run's, in that store.
        left: where events begin that were passed over, because the store refused them or their files were nowhere.
    """

    offset: int = 0
    run_id: str = ""
    left: tuple[int, ...] = ()


def read_cursor(folder: Path, uri: str) -> Cursor:
    """Return how far `folder` has been sent to the store at `uri`; from the start if nobody knows."""
    record = read_record(folder / CURSOR)
    # Earlier releases wrote the address itself.
    found = [record.get(name) for name in (store_name(project_of(folder), uri), uri)]
    entry = next((one for one in found if isinstance(one, dict)), {})
    try:
        left = tuple(int(at) for at in entry.get("left", ()))
        return Cursor(max(0, int(entry.get("offset", 0))), str(entry.get("run_id", "")), left)
    except (TypeError, ValueError):  # damaged: what is sent twice stands there once
        return Cursor()


def write_cursor(folder: Path, uri: str, cursor: Cursor) -> None:
    """Remember how far `folder` has been sent to the store at `uri`; no password of it is written down."""
    record = read_record(folder / CURSOR)
    record.pop(uri, None)
    write_json(folder / CURSOR, {**record, store_name(project_of(folder), uri): cursor._asdict()})


def is_sent(folder: Path, uri: str) -> bool:
    """Return whether the store has got every whole event of the journal."""
    cursor = read_cursor(folder, uri)
    return not cursor.left and next(read_events(folder, cursor.offset), None) is None


def other_stores(folder: Path, uri: str) -> dict[str, str]:
    """Return the addresses of other stores that have a run of the journal, and its id there.

    Stores whose address holds a password are left out: it is nowhere written down.
    """
    root, record = project_of(folder), read_record(folder / CURSOR)
    found = {}
    for name, entry in record.items():
        run_id = entry.get("run_id") if isinstance(entry, dict) else None
        if run_id and name not in (store_name(root, uri), uri) and MASK not in name:
            found[own_database(root) if name == DATABASE else name] = str(run_id)
    return found


def project_of(folder: Path) -> Path:
    """Return the root of the project that a journal is in."""
    return folder.parents[2]  # <root>/.aenet/journal/<stage>-<fingerprint>
