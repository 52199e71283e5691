"""Thousands of damaged and hostile files through the doors that open them: `python benchmarks/corpora.py --files 1000`.

Each kind of file is made of small ones of our own by seeded changes: bytes changed, pieces cut out, doubled or moved;
values of JSON exchanged; maps, tables and settings name a secret file and a server of this machine. A process of its
own opens them one after another, as the commands do; one that does not answer within `--limit` seconds is a hang, and
another process goes on behind it. Counted are sentences, tracebacks, bytes of the secret in whatever was written or
said, requests to the server, and what the slowest file and the whole kind took.
"""

import argparse
import importlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from evidence import keep
from smallworld import CPU, make_small_world

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from tests.support import world
from tests.support.damage import ARCHIVES, ENCODINGS, PHOTOS, archive, mutated, photo, table
from tests.support.elsewhere import COLOUR, TARGETS, Server, listening, shows_the_secret
from tests.support.mutations import exchanged, mutated_bytes, mutated_json
from tests.support.watch import SECRET, watching

ROOT = Path(__file__).resolve().parents[1]
SEED = 7
_STARTING = 1800.0  # seconds that a busy machine may need to import everything
Use = Callable[[int], object]


def draw(kind: str, number: int) -> random.Random:
    """Return what decides one file of a kind."""
    return random.Random(f"{SEED} {kind} {number}")  # noqa: S311  no secret


def words_of(work: Path) -> list[bytes]:
    """Return what a text may name that is none of its business."""
    address = (work / "address").read_text()
    return [str(work / "secret").encode(), f"file://{work}/secret".encode(), address.encode(), b"../secret", b"|id"]


def named(content: bytes, work: Path, chance: random.Random) -> bytes:
    """Put a name of elsewhere over some bytes of a file, in one file of five."""
    if chance.random() > 0.2 or not content:
        return content
    word, at = chance.choice(words_of(work)), chance.randrange(len(content))
    return content[:at] + word + content[at + len(word) :]


# --- Doors: each makes what it needs in `work` and returns what opens file after file


def photos(work: Path) -> Use:
    """Read as `locate` reads them, before the network; HEIC where its library is."""
    from io import BytesIO

    import numpy as np
    from PIL import Image

    from aenet.serving.photos.reading import read_photo
    from aenet.view.spec import ViewSpec
    from tests.view.test_image_bounds import DEAR

    whole, view = [photo(format_) for format_ in PHOTOS], ViewSpec.polar(height=16, width=64, tile_size_m=60.0)
    if find_spec("pillow_heif"):
        importlib.import_module("pillow_heif").register_heif_opener()
        file = BytesIO()
        Image.fromarray(np.full((64, 128, 3), 90, np.uint8)).save(file, "HEIF")
        whole.append(file.getvalue())
    dear = [content for content, _ in DEAR.values()]

    def use(number: int) -> str:
        chance, path = draw("photos", number), work / "photos" / f"{number:05d}.jpg"
        content = dear[number // 50 % len(dear)] if number % 50 == 0 else whole[number % len(whole)]
        path.write_bytes(named(mutated(content, number) if number % 50 else content, work, chance))
        reading = read_photo(path, path.name, view)
        return reading.reason or ""

    (work / "photos").mkdir(exist_ok=True)
    return use


def archives(work: Path) -> Use:
    """Unpack them."""
    from aenet.ingest.archive.archiveconfig import SourceConfig
    from aenet.ingest.archive.unpack import unpack

    whole, config = [archive(format_) for format_ in ARCHIVES], SourceConfig(
        source="x", max_unpacked_bytes=10**6, max_members=100
    )  # fmt: skip

    def use(number: int) -> None:
        path, folder = work / "a.bin", work / "out"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        path.write_bytes(mutated(whole[number % len(whole)], number))
        unpack(path, folder, config)

    return use


def maps(work: Path) -> Use:
    """Build a gallery of them; one in three has something beside it."""
    import rasterio

    from aenet.serving.galleries.build import GalleryOptions, build_gallery
    from aenet.view.images import decode

    (work / "maps").mkdir(exist_ok=True)
    model, pixels, source = work / "model", world.make_pixels()[:280, :300], work / "maps" / "map.tif"
    secret = world.write_map(work / "secret.tif", pixels * 0 + COLOUR)
    port = int((work / "address").read_text().split(":")[2].split("/")[0])
    server: Any = type("Listening", (), {"server_port": port})
    if not model.exists():
        world.make_model(model)
    contents = []
    for target in (None, *TARGETS):
        source.unlink(missing_ok=True)
        world.write_map(source, pixels, tiled=True, blockxsize=64, blockysize=64)
        with rasterio.open(source, "r+") as dataset:
            dataset.update_tags(TIFFTAG_COPYRIGHT="x" * 40, AREA_OR_POINT="Area")
            if target is not None:
                dataset.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=target(secret, server))
        contents.append(source.read_bytes())
    options = GalleryOptions(spacing_m=30.0, provider="cpu", threads=1)
    beside = (".ovr", ".msk", ".aux.xml", ".tfw", ".prj")

    def use(number: int) -> None:
        chance, out = draw("maps", number), work / "gallery"
        for old in (out, source.parent):
            shutil.rmtree(old, ignore_errors=True)
        source.parent.mkdir()
        content = contents[number // 2 % len(contents) if number % 2 else 0]
        if chance.random() < 0.4:
            changed = mutated_bytes(content, chance)
        else:  # pixels alone: metadata lie at the file's beginning and end
            changed = content[:1500] + mutated_bytes(content[1500:-3000], chance) + content[-3000:]
        source.write_bytes(changed)
        if number % 3 == 0:
            suffix, target = chance.choice(beside), chance.choice(TARGETS)
            text = mutated(target(secret, server).encode(), number)
            (source.with_suffix(suffix) if suffix in (".tfw", ".prj") else Path(f"{source}{suffix}")).write_bytes(text)
        build_gallery(source, out, model, options)
        assert not shows_the_secret([decode(file) for file in out.rglob("backdrop*.jpg")]), "the secret map is shown"

    return use


def tables(work: Path) -> Use:
    """List the photos of tables and lists."""
    from aenet.serving.photos.listing import list_photos

    whole = [(table(encoding), ".csv") for encoding in ENCODINGS] + [(table("parquet"), ".parquet")]
    whole.append((b"".join(b"%d.jpg\n" % number for number in range(12)), ".txt"))

    def use(number: int) -> None:
        content, suffix = whole[number % len(whole)]
        path = work / f"t{suffix}"
        path.write_bytes(named(mutated(content, number), work, draw("tables", number)))
        list_photos(path)

    return use


def settings(work: Path) -> Use:
    """Read params.yaml, its whole and its longest section."""
    from aenet.io.params import read_section, read_yaml
    from aenet.training.trainconfig import TrainConfig

    whole = (ROOT / "params.yaml").read_bytes()

    def use(number: int) -> None:
        path = work / "params.yaml"
        chance = draw("settings", number)
        changed = mutated(whole, number) if number % 2 else mutated_bytes(whole, chance)
        path.write_bytes(named(changed, work, chance))
        read_yaml(path)
        read_section(path, "train", TrainConfig)

    return use


def networks(work: Path) -> Use:
    """Open an exported model, of changed cards and ONNX files with the right digest, and describe a view."""
    import hashlib

    import numpy as np

    from aenet.data.card import CARD
    from aenet.serving.sessions.session import OnnxBranch

    model = work / "onnx"
    shutil.rmtree(model, ignore_errors=True)
    world.make_model(model)
    kept = {name: (model / name).read_bytes() for name in (CARD, "ground.onnx")}

    def use(number: int) -> None:
        chance, name = draw("networks", number), (CARD, "ground.onnx")[number % 2]
        if name == CARD:
            content = mutated_json(kept[CARD], chance)
        else:
            content = mutated_bytes(named(kept[name], work, chance), chance)
        card = json.loads(kept[CARD])
        card["sha256"]["ground.onnx"] = hashlib.sha256(kept["ground.onnx"] if name == CARD else content).hexdigest()
        (model / CARD).write_bytes(content if name == CARD else json.dumps(card).encode())
        (model / "ground.onnx").write_bytes(kept["ground.onnx"] if name == CARD else content)
        branch = OnnxBranch(model, "ground", "cpu", threads=1, batch_size=1)
        branch.embed(np.full((1, branch.view.height, branch.view.width, 3), 7, np.uint8))

    return use


def weights(work: Path) -> Use:
    """Load a trained model, of changed cards and safetensors with the right digest."""
    from aenet.data.card import CARD
    from aenet.io.artifacts import atomic_folder
    from aenet.nn.attention import NoAttention
    from aenet.nn.backbones import BackboneConfig
    from aenet.nn.branches import ModelConfig
    from aenet.nn.heads import Gap
    from aenet.nn.model import TrainedCard, load_network, save_model, untrained
    from aenet.view.spec import ViewSpec

    folder = work / "trained"
    shutil.rmtree(folder, ignore_errors=True)
    backbone = BackboneConfig(name="test_efficientnet", weights="random")
    config = ModelConfig(backbone=backbone, attention=NoAttention(kind="none"), head=Gap(kind="gap"), shared=True)
    view = ViewSpec.polar(height=32, width=64, tile_size_m=50.0)
    card = TrainedCard(model=config, view=view, trained_on="x", fingerprint="0", epochs=1, best_epoch=1)
    state = untrained(config).state_dict()
    with atomic_folder(folder) as temporary:
        save_model(temporary, card, state, state)

    def use(number: int) -> None:
        name = (CARD, "best.safetensors")[number % 2]
        mutate = mutated_json if name == CARD else mutated_bytes
        with exchanged(folder / name, mutate((folder / name).read_bytes(), draw("weights", number))):
            load_network(folder)

    return use


def galleries(work: Path) -> Use:
    """Open a gallery and its index, of changed manifests, tables, arrays and pictures with the right digests."""
    import numpy as np

    from aenet.commands.gallerycommand import gallery_lines
    from aenet.data.card import read_card
    from aenet.io.artifacts import MANIFEST
    from aenet.serving.galleries.build import GalleryOptions, build_gallery
    from aenet.serving.galleries.gallery import Gallery
    from aenet.serving.search.galleryindex import open_index
    from aenet.serving.search.indexbuild import IndexOptions, build_gallery_index

    model, folder = work / "model", work / "strangers"
    shutil.rmtree(folder, ignore_errors=True)
    if not model.exists():
        world.make_model(model)
    source = world.write_map(work / "town.tif", world.make_pixels())
    build_gallery(source, folder, model, GalleryOptions(spacing_m=60.0, shard_size=12, provider="cpu", threads=1))
    build_gallery_index(folder, IndexOptions(recall=0.1))
    card, shard = read_card(model), folder / "shard-00000"
    files = [folder / MANIFEST, *(shard / name for name in (MANIFEST, "tiles.parquet", "descriptors.npy"))]
    files += [folder / "index" / name for name in (MANIFEST, "codes.npy", "quantizer.faiss", "rotation.npy")]

    def use(number: int) -> None:
        path = files[number % len(files)]
        mutate = mutated_json if path.suffix == ".json" else mutated_bytes
        with exchanged(path, mutate(path.read_bytes(), draw("galleries", number))):
            gallery_lines(folder)
            gallery = Gallery.open(folder, card)
            if (index := open_index(gallery)) is not None:
                index.search(np.array(gallery.descriptors[0][:2], np.float32), 3, threads=1)

    return use


KINDS: dict[str, Callable[[Path], Use]] = {
    door.__name__: door for door in (photos, archives, maps, tables, settings, networks, weights, galleries)
}


# --- One process a kind


def child(kind: str, work: Path, first: int, last: int) -> None:
    """Open the files one after another, and append to `work/outcomes` how each of them ended."""
    from aenet.io.errors import AenetError
    from aenet.io.terminal import quiet

    quiet()
    use = KINDS[kind](work)
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with (work / "outcomes").open("a", encoding="utf-8") as stream, watching() as seen:
        for number in range(first, last):
            stream.write(json.dumps({"began": number}) + "\n")
            stream.flush()
            began, error = time.monotonic(), ""
            try:
                said = str(use(number) or "")
            except AenetError as sentence:
                said = str(sentence)
            except BaseException as fault:  # noqa: BLE001  whatever it is, it is what is looked for
                said, error = "", f"{type(fault).__name__}: {fault}"
            if len(said) > 2000 or "\n" in said or "Traceback" in said or "object at 0x" in said:
                error = f"no sentence: {said[:300]}"
            line = {"ended": number, "said": said[:500], "error": error, "seconds": time.monotonic() - began}
            line |= {"seen": list(seen), "secret": SECRET.decode() in said}
            line |= {"base": base, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}
            seen.clear()
            stream.write(json.dumps(line) + "\n")
            stream.flush()


def through(kind: str, count: int, limit: float, work: Path, server: Server) -> list[str]:
    """Send a kind's files through its door; return the lines to keep."""
    work.mkdir()
    (work / "secret").write_bytes(SECRET)
    (work / "address").write_text(f"http://127.0.0.1:{server.server_port}/x")
    outcomes, first = work / "outcomes", 0
    while first < count:
        outcomes.touch()
        words = [sys.executable, __file__, "--child", kind, "--work", str(work), "--files", str(count)]
        process = subprocess.Popen([*words, "--first", str(first)], start_new_session=True)
        size = outcomes.stat().st_size
        while process.poll() is None:
            time.sleep(0.1)
            idle = time.time() - outcomes.stat().st_mtime
            if idle > (limit if outcomes.stat().st_size > size else _STARTING):
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        lines = [json.loads(line) for line in outcomes.read_text(encoding="utf-8").splitlines()]
        begun = [line["began"] for line in lines if "began" in line]
        if not begun or begun[-1] + 1 <= first:
            raise SystemExit(f"{kind}: the process ended before its first file")
        first = begun[-1] + 1
    ended = [line for line in lines if "ended" in line]
    hung = {*begun} - {line["ended"] for line in ended}
    faults = [line for line in ended if line["error"]]
    disclosed = sum(line["secret"] for line in ended) + len(disclosing(work))
    for line in faults:
        print(f"{kind} {line['ended']}: {line['error']}", file=sys.stderr)
    for number in hung:
        print(f"{kind} {number}: does not end, or ended its process", file=sys.stderr)
    seen = [what for line in ended for what in line["seen"]]
    for what in seen:
        print(f"{kind}: {what}", file=sys.stderr)
    slowest, refused = max(ended, key=lambda line: line["seconds"]), sum(bool(line["said"]) for line in ended)
    return [
        f"{kind}: {count:,} files, {count - refused - len(faults) - len(hung):,} used, {refused:,} refused or with a "
        f"reason, {len(faults)} tracebacks, {len(hung)} hangs, {disclosed} disclosures, "
        f"{len(server.asked) + len(seen)} requests or foreign files opened; "
        f"slowest {slowest['seconds']:.1f} s (number {slowest['ended']}), peak "
        f"{max(line['peak'] for line in ended) / 1024:,.0f} MB, {ended[0]['base'] / 1024:,.0f} MB before the first"
    ]


def disclosing(work: Path) -> list[Path]:
    """Return the files below a folder that hold the secret, but for itself."""
    files = (path for path in work.rglob("*") if path.is_file() and path.name not in ("secret", "secret.tif"))
    return [path for path in files if SECRET in path.read_bytes()]


def as_a_job(work: Path, limit: float, server: Server) -> list[str]:
    """Place the photos that `photos` left in its folder, all in one job."""
    import pandas as pd

    (work / "world").mkdir()
    small, out, asked = make_small_world(work / "world", 1), work / "job", len(server.asked)
    words = [sys.executable, "-m", "aenet", "locate", work / "photos", "--gallery", small.gallery, "-m", small.model]
    began = time.monotonic()
    words += ["-o", out, *CPU]
    ran = subprocess.run([*map(str, words)], check=False, capture_output=True, text=True, timeout=limit)
    seconds, peak = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    if ran.returncode not in (0, 3) or not (out / "places.parquet").exists():
        raise SystemExit(f"locate ended with {ran.returncode}: {ran.stderr[-3000:]}")
    places = pd.read_parquet(out / "places.parquet")
    counts = Counter(places["status"])
    said = [line for line in ran.stderr.splitlines() if line.strip()]
    return [
        f"photos as one job of locate: {len(places):,} rows for {len(list((work / 'photos').iterdir())):,} files: "
        + ", ".join(f"{counts[status]:,} {status}" for status in ("ok", "abstain", "error"))
        + f"; exit status {ran.returncode}, {ran.stderr.count('Traceback')} tracebacks, {len(said)} lines on stderr, "
        f"{len(disclosing(out))} disclosures, {len(server.asked) - asked} requests; {seconds:.0f} s, "
        f"peak {peak / 1024:,.0f} MB, {places['reason'].nunique()} different reasons"
    ]


def main() -> None:
    """Send all kinds through their doors and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1000, help="of each kind")
    parser.add_argument("--kinds", nargs="+", choices=tuple(KINDS), default=list(KINDS))
    parser.add_argument("--limit", type=float, default=60.0, help="seconds after which a file counts as a hang")
    parser.add_argument("--write", type=Path, help="append what came of it to this file")
    for hidden, kind in (("--child", str), ("--work", Path), ("--first", int)):
        parser.add_argument(hidden, type=kind, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.child, given.work, given.first, given.files)
        return
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        for kind in given.kinds:
            with listening() as server:
                lines += through(kind, given.files, given.limit, Path(name).resolve() / kind, server)
                if kind == "photos":
                    lines += as_a_job(Path(name).resolve() / kind, 600 * given.limit, server)
            print(lines[-1], file=sys.stderr, flush=True)
    keep(given.write, lines)


if __name__ == "__main__":
    main()
