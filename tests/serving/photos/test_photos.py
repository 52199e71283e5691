"""Photos of strangers: every source, every format, every size; a row for each, a reason where there is no view."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pillow_heif
import pytest
import simplejpeg
from PIL import Image

from aenet.data.views import ground_view
from aenet.io.errors import AenetError, UnreadableImage
from aenet.serving.jobs.photopipeline import read_photos
from aenet.serving.photos.decoding import decode_photo, opened
from aenet.serving.photos.listing import list_photos, newcomers, photos_digest
from aenet.serving.photos.metadata.pose import Told
from aenet.serving.photos.reading import PhotoOptions, Reading, read_photo
from aenet.view.images import decode, encode_jpeg
from aenet.view.spec import NEUTRAL, ViewSpec
from tests.serving.photos.test_photos_metadata import GPS, camera, gpano, picture
from tests.support import world

SPEC = ViewSpec.polar(height=16, width=64, tile_size_m=60.0)
PLACE = PhotoOptions(partial="place")
ODD = [
    "two words.jpg",
    "two\nlines.jpg",
    "😀.JPG",
    "<b>&amp;.jpg",
    "=1+1.jpg",
    "@cmd.jpg",
    "#1.jpg",
    "NA.jpg",
    "%20.jpg",
]


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def read(path: Path, options: PhotoOptions | None = None, told: Told | None = None) -> Reading:
    return read_photo(path, path.name, SPEC, told, options)


def decoded(content: bytes, min_width: int = 0, min_height: int = 0) -> np.ndarray:
    with opened(content) as file:
        return decode_photo(file, min_width, min_height)


def panorama(height: int = 32, width: int = 128, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


# ---- sources


def test_odd_names_are_photos_in_every_source(tmp_path: Path) -> None:
    folder = tmp_path / "odd [1] *"
    for name in ODD:
        put(folder / name, b"x")
    latin = os.fsdecode(b"latin\xe9.jpg")
    put(folder / latin, b"x")
    listed = list_photos(folder)
    assert set(listed["photo"]) == {*ODD, "latin\\xe9.jpg"}
    assert all(Path(os.fsdecode(path)).read_bytes() == b"x" for path in listed["path"])
    pd.DataFrame({"path": ODD}).to_csv(folder / "photos.csv", index=False)
    pd.DataFrame({"path": ODD}).to_parquet(folder / "photos.parquet")
    put(folder / "photos.lst", b"".join(os.fsencode(name) + b"\0" for name in [*ODD, latin]))
    for table in ("photos.csv", "photos.parquet"):
        assert list(list_photos(folder / table)["photo"]) == ODD
    assert list(list_photos(folder / "photos.lst")["photo"]) == [*ODD, "latin\\xe9.jpg"]
    for source in ("photos.csv", "photos.parquet", "photos.lst"):
        assert (list_photos(folder / source)["bytes"] == 1).all()


def test_a_text_list(tmp_path: Path) -> None:
    put(tmp_path / "sub" / "a b.jpg", b"12")
    absolute = put(tmp_path / "c.jpg", b"1")
    put(tmp_path / "photos.txt", f"\ufeffsub/a b.jpg\r\n\n{absolute}\nmissing.jpg".encode())
    listed = list_photos(tmp_path / "photos.txt")
    assert list(listed["photo"]) == ["sub/a b.jpg", str(absolute), "missing.jpg"]
    assert list(listed["bytes"]) == [2, 1, -1]
    put(tmp_path / "empty.txt", b"\n \n")
    with pytest.raises(AenetError, match=r"empty\.txt lists nothing"):
        list_photos(tmp_path / "empty.txt")


def test_a_table_says_what_the_photos_do_not(tmp_path: Path) -> None:
    table = "path,latitude,longitude,heading,fov\na.jpg,1,2,-90,70\nb.jpg,,,,\nc.jpg,3.5, 4,nan,360\n"
    put(tmp_path / "p.csv", table.encode())
    listed = list_photos(tmp_path / "p.csv")
    assert listed[["true_latitude", "true_longitude", "heading_deg", "fov_deg"]].to_numpy().tolist()[0] == [
        1,
        2,
        -90,
        70,
    ]
    assert listed.loc[1, ["true_latitude", "heading_deg", "fov_deg"]].isna().all()
    assert listed["fov_deg"].tolist()[2] == 360 and np.isnan(listed["heading_deg"][2])
    digest = photos_digest(listed)
    put(tmp_path / "p.csv", table.replace("-90", "-91").encode())
    assert photos_digest(list_photos(tmp_path / "p.csv")) != digest


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("path,latitude,longitude\na.jpg,N47,9\n", "latitude 'N47' is no number"),
        ("path,fov\na.jpg,361\n", "fov 361.0 is outside 3 to 360"),
        ("path,fov\na.jpg,0\n", "outside"),
        ("path,heading\na.jpg,400\n", r"heading 400.0 is outside \+-360"),
        ("path,latitude\na.jpg,4\n", "has latitude without longitude: add it"),
        ("path,lat,lon\na.jpg,4,9\nb.jpg,NA,9\n", "row 2: longitude without latitude: give both, or neither"),
        ("path,fov\na.jpg,\n ,70\n", "row 2: path must be the path of a photo"),
    ],
)
def test_a_tables_nonsense_is_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    put(tmp_path / "p.csv", text.encode())
    with pytest.raises(AenetError, match=sentence):
        list_photos(tmp_path / "p.csv")


def test_a_folder_that_grows_shrinks_and_changes_meanwhile(tmp_path: Path) -> None:
    """The list is a snapshot: newcomers are counted, what went or changed is an error row, the rest is as planned."""
    for name in ("a", "b", "c"):
        put(tmp_path / f"{name}.jpg", encode_jpeg(panorama()))
    listed = list_photos(tmp_path)
    put(tmp_path / "new" / "d.jpg", b"")
    put(tmp_path / "e.jpg", b"")
    (tmp_path / "b.jpg").unlink()
    with (tmp_path / "c.jpg").open("ab") as file:
        file.write(b"still being copied")
    batches = list(read_photos(listed, SPEC, 2, 1))
    assert [len(batch) for batch in batches] == [2, 1]
    readings = [reading for batch in batches for reading in batch]
    assert [reading.photo for reading in readings] == ["a.jpg", "b.jpg", "c.jpg"]
    assert readings[0].view is not None
    assert readings[1].reason == "cannot be read (No such file or directory)"
    assert "changed since the job was planned" in (readings[2].reason or "")
    assert newcomers(tmp_path, listed) == 2 and newcomers(tmp_path / "gone", listed) == 0


# ---- formats and damage


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_formats(tmp_path: Path, format_: str) -> None:
    image = panorama()
    out = io.BytesIO()
    Image.fromarray(image).save(out, format_, **({"lossless": True} if format_ == "WEBP" else {}))
    reading = read(put(tmp_path / "a", out.getvalue()))
    assert reading.view is not None and reading.heading_deg is None and reading.covered is not None
    if format_ != "JPEG":
        assert np.array_equal(reading.view, ground_view(image, SPEC))
    for end in (20, 60, len(out.getvalue()) * 2 // 3):
        cut = read(put(tmp_path / "cut", out.getvalue()[:end]))
        assert cut.view is None and cut.reason and "0x" not in cut.reason


_COUNT = """
import sys
from pathlib import Path
from PIL import Image
from aenet.data.card import ViewSpec
from aenet.serving.photos.reading import PhotoOptions, read_photo

counted, parse = [], Image.open
sys.addaudithook(lambda event, given: event == "open" and given[0] in sys.argv[1:] and counted.append("file"))
Image.open = lambda *given, **options: counted.append("header") or parse(*given, **options)
spec = ViewSpec.polar(height=16, width=64, tile_size_m=60.0)
for name in sys.argv[1:]:
    reading = read_photo(Path(name), "it", spec, options=PhotoOptions(fov_deg=80.0))
    assert reading.view is not None, (name, reading.reason)
    print(Path(name).name, *counted)
    counted.clear()
"""


def test_a_photo_is_opened_once_and_its_header_parsed_once(tmp_path: Path) -> None:
    """Of turned photos with position, lens and XMP: dimensions, EXIF, XMP, digest and pixels from one look."""
    exif, paths = {0x0112: 6, **camera(film=28)}, []
    for format_ in ("JPEG", "PNG", "TIFF", "WEBP"):
        for width in (160, 1600):  # the wider JPEG is decoded at a fraction of its size
            content = picture(width, width // 2, GPS, exif, gpano(PoseHeadingDegrees=1), format_)
            paths.append(put(tmp_path / f"{width}.{format_}", content))
    names = [str(path) for path in paths]
    ran = subprocess.run([sys.executable, "-c", _COUNT, *names], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == [f"{path.name} file header" for path in paths]


_NO_HEIC = """
import sys
sys.modules["pillow_heif"] = None
from pathlib import Path
import importlib.util
importlib.util.find_spec = lambda name, find=importlib.util.find_spec: None if name == "pillow_heif" else find(name)
from aenet.data.card import ViewSpec
from aenet.serving.photos.reading import read_photo
reading = read_photo(Path(sys.argv[1]), "it", ViewSpec.polar(height=16, width=64, tile_size_m=60.0))
print(reading.reason, reading.sha256 is not None)
"""


def test_heic_without_the_extra_names_it(tmp_path: Path) -> None:
    path = put(tmp_path / "a.heic", b"\x00\x00\x00\x1cftypheic\x00\x00\x00\x00mif1heic" + bytes(100))
    ran = subprocess.run([sys.executable, "-c", _NO_HEIC, str(path)], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("HEIC needs pillow-heif, which is not installed: run `pip install")
    assert "[heic]" in ran.stdout and ran.stdout.endswith("True\n")
    assert list(list_photos(tmp_path)["photo"]) == ["a.heic"]


def test_heic_with_the_extra(tmp_path: Path) -> None:
    """Orientation, GPS and pixels; a damaged one is a reason."""
    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8825).update(GPS)
    image = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 64, axis=0).repeat(3, axis=2)
    out = io.BytesIO()
    Image.fromarray(np.rot90(image).copy()).save(out, "HEIF", quality=95, exif=exif.tobytes())
    reading = read(put(tmp_path / "a.heic", out.getvalue()))
    assert reading.account.latitude == pytest.approx(47.66) and (reading.account.width, reading.account.height) == (
        256,
        64,
    )
    assert reading.view is not None
    assert np.abs(reading.view.astype(float) - ground_view(image, SPEC)).max() < 12
    cut = read(put(tmp_path / "cut.heic", out.getvalue()[:300]))
    assert cut.view is None and "HEIC" in (cut.reason or "")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_reduced_jpegs_stand_upright_and_look_the_same(orientation: int) -> None:
    upright = np.asarray(Image.fromarray(panorama(8, 16)).resize((1024, 512), Image.Resampling.BICUBIC))
    back = {
        2: "FLIP_LEFT_RIGHT",
        3: "ROTATE_180",
        4: "FLIP_TOP_BOTTOM",
        5: "TRANSPOSE",
        6: "ROTATE_90",
        7: "TRANSVERSE",
    }
    back[8] = "ROTATE_270"
    stored = Image.fromarray(upright)
    stored = stored.transpose(Image.Transpose[back[orientation]]) if orientation > 1 else stored
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encode_jpeg(np.asarray(stored), 95, exif.tobytes())
    full = decoded(content)
    small = decoded(content, 200, 60)
    assert full.shape == (512, 1024, 3) and small.shape == (128, 256, 3)
    averaged = full.reshape(128, 4, 256, 4, 3).mean(axis=(1, 3))
    assert np.abs(averaged - small).mean() < 1.5
    assert decoded(content, 600, 10).shape == (512, 1024, 3)


def test_a_truncated_large_jpeg_is_refused_though_it_would_be_reduced(tmp_path: Path) -> None:
    content = encode_jpeg(panorama(512, 1024))
    reading = read(put(tmp_path / "a.jpg", content[: len(content) // 2]))
    assert reading.view is None and "not a readable" in (reading.reason or "")
    with pytest.raises(UnreadableImage):
        decoded(content[:100], 100, 10)


_PEAK = """
import sys
from pathlib import Path
from aenet.data.card import ViewSpec
from aenet.serving.photos.reading import read_photo

def peak_mb():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024

before = peak_mb()
reading = read_photo(Path(sys.argv[1]), "it", ViewSpec.polar(height=128, width=512, tile_size_m=60.0))
assert reading.view is not None, reading.reason
print(peak_mb() - before, reading.account.width, reading.account.height)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process its peak of memory")
def test_a_panorama_of_20_000_pixels_is_read_in_little_memory(tmp_path: Path) -> None:
    """200 Mpx are 600 MB decoded whole; a PNG of 98 Mpx is held once, at four bytes a pixel."""
    grey = put(
        tmp_path / "grey.jpg", simplejpeg.encode_jpeg(np.full((10_000, 20_000, 1), 77, np.uint8), 80, "GRAY", "Gray")
    )
    rgb = put(tmp_path / "rgb.jpg", simplejpeg.encode_jpeg(np.full((6_656, 13_312, 3), 77, np.uint8), 80, "RGB", "420"))
    png = put(tmp_path / "a.png", b"")
    Image.new("RGB", (14_000, 7_000), (9, 99, 77)).save(png, compress_level=1)
    for file, limit, size in ((rgb, 120, "13312 6656"), (grey, 120, "20000 10000"), (png, 700, "14000 7000")):
        ran = subprocess.run([sys.executable, "-c", _PEAK, str(file)], capture_output=True, text=True, check=True)
        peak, found = ran.stdout.split(" ", 1)
        assert float(peak) < limit and found.strip() == size


# ---- what becomes of them


def test_town_photos_are_as_before(small_world: world.World) -> None:
    """North-aligned panoramas give the very bytes training's door gives."""
    for path in sorted(small_world.photos.glob("*.jpg"))[:3]:
        reading = read(path)
        assert np.array_equal(reading.view, ground_view(decoded(path.read_bytes()), SPEC))
        assert reading.placed is not None and reading.placed.width_deg == 360 and reading.heading_deg is None


@pytest.mark.parametrize("subsampling", ["444", "420"])
def test_a_jpeg_decoded_at_a_part_of_its_size_gives_the_view_of_the_whole(tmp_path: Path, subsampling: str) -> None:
    """Training decodes all of it. With grain of one pixel, the worst there is: 3 grey levels, 0.5 on average."""
    pixels = np.random.default_rng(0).integers(0, 256, (256, 1024, 3), dtype=np.uint8)
    path = put(tmp_path / "a.jpg", simplejpeg.encode_jpeg(pixels, 92, "RGB", subsampling))
    assert decoded(path.read_bytes(), 4 * SPEC.ground.width, 4 * SPEC.ground.height).shape == (64, 256, 3)
    difference = np.abs(read(path).view.astype(int) - ground_view(decode(path), SPEC))  # type: ignore[union-attr]
    assert difference.max() <= 3 and difference.mean() < 0.5


def test_ordinary_photos_are_placed_unless_only_panoramas_are_wanted(tmp_path: Path) -> None:
    path = put(tmp_path / "a.jpg", picture(400, 300, GPS | {16: "T", 17: 90.0}, camera(film=26)))
    refused = read(path, PhotoOptions(partial="refuse"))
    assert refused.view is None and "that cover about 67 degrees" in (refused.reason or "")
    assert refused.account.heading_deg == 90.0 and refused.account.latitude == pytest.approx(47.66)
    placed = read(path, PLACE)
    assert placed.view is not None and placed.covered is not None and placed.heading_deg == 90.0
    assert np.flatnonzero(placed.covered).tolist() == list(range(42, 54))  # 67 degrees about the east, column 48
    assert (placed.view[:, ~placed.covered] == NEUTRAL.colour).all() and abs(int(placed.view[8, 48, 0]) - 90) < 2


def test_flag_and_table_say_the_field_of_view(tmp_path: Path) -> None:
    path = put(tmp_path / "a.jpg", picture(400, 300))
    assert "field of view unknown: give `fov`" in (read(path, PLACE).reason or "")
    by_flag = read(path, PhotoOptions(partial="place", fov_deg=90.0))
    assert by_flag.placed is not None and (by_flag.placed.width_deg, by_flag.heading_deg) == (90.0, None)
    by_table = read(path, PhotoOptions(partial="place", fov_deg=90.0), Told(heading_deg=-10.0, fov_deg=45.0))
    assert by_table.placed is not None and (by_table.placed.width_deg, by_table.heading_deg) == (45.0, 350.0)


def test_a_cropped_panorama_is_placed(tmp_path: Path) -> None:
    xmp = gpano(
        ProjectionType="equirectangular", FullPanoWidthPixels=800, FullPanoHeightPixels=400,
        CroppedAreaImageWidthPixels=400, CroppedAreaImageHeightPixels=200, CroppedAreaLeftPixels=200,
        CroppedAreaTopPixels=100, PoseHeadingDegrees=180,
    )  # fmt: skip
    path = put(tmp_path / "a.jpg", picture(400, 200, xmp=xmp))
    reading = read(path, PLACE)
    assert reading.placed is not None and (reading.placed.start_deg, reading.placed.width_deg) == (270.0, 180.0)
    assert "that cover about 180 degrees" in (read(path, PhotoOptions(partial="refuse")).reason or "")


def test_whose_middle_a_heading_counts_for(tmp_path: Path) -> None:
    """The eastern quarter of a panorama: its middle is 90 degrees right of the whole's, which GPano's heading means."""
    crop = {"ProjectionType": "equirectangular", "FullPanoWidthPixels": 800, "FullPanoHeightPixels": 400}
    crop |= {"CroppedAreaImageWidthPixels": 200, "CroppedAreaImageHeightPixels": 200}
    crop |= {"CroppedAreaLeftPixels": 500, "CroppedAreaTopPixels": 100}
    path = put(tmp_path / "a.jpg", picture(200, 200, xmp=gpano(**crop, PoseHeadingDegrees=10)))
    assert read(path, PLACE).heading_deg == 100.0
    assert read(path, PLACE, Told(heading_deg=10.0)).heading_deg == 10.0
