"""What photos say of themselves: position, heading and its reference, field of view; and what strangers write."""

import io
import math
import re
import struct

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import IFDRational

from aenet.io.errors import AenetError
from aenet.serving.photos.decoding import opened
from aenet.serving.photos.metadata.declination import declination_deg
from aenet.serving.photos.metadata.geotag import exif_position
from aenet.serving.photos.metadata.header import MAX_BYTES, read_properties
from aenet.serving.photos.metadata.lens import Sphere
from aenet.serving.photos.metadata.pose import Photo, Tilt, Told, read_account

GPS = {1: "N", 2: (47.0, 39.0, 36.0), 3: "E", 4: (9.0, 10.0, 12.0)}  # 47.66, 9.17
GPANO = "http://ns.google.com/photos/1.0/panorama/"
RDF = (
    "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
    "{}</rdf:RDF></x:xmpmeta>"
)


def picture(
    width: int = 80,
    height: int = 60,
    gps: dict[int, object] | None = None,
    exif: dict[int, object] | None = None,
    xmp: bytes | None = None,
    format_: str = "JPEG",
) -> bytes:
    """An image file with metadata; `exif` may hold 0x8769 as a mapping of its own."""
    block = Image.Exif()
    for tag, value in (exif or {}).items():
        if isinstance(value, dict):
            block.get_ifd(tag).update(value)
        else:
            block[tag] = value
    if gps:
        block.get_ifd(0x8825).update(gps)
    out = io.BytesIO()
    pixels = Image.fromarray(np.full((height, width, 3), 90, np.uint8))
    options: dict[str, object] = {"exif": block.tobytes()}
    if xmp is not None and format_ == "PNG":
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp.decode())
    elif xmp is not None and format_ == "TIFF":
        block[700] = xmp
        options["exif"] = block.tobytes()
    elif xmp is not None:
        options["xmp"] = xmp
    pixels.save(out, format_, **options)
    return out.getvalue()


def account_of(content: bytes, told: Told | None = None) -> Photo:
    with opened(content) as file:
        return read_account(file, told)


def gpano(**values: object) -> bytes:
    attributes = " ".join(f'GPano:{name}="{value}"' for name, value in values.items())
    return RDF.format(f"<rdf:Description xmlns:GPano='{GPANO}' {attributes}/>").encode()


def camera(**tags: object) -> dict[int, object]:
    numbers = {"width": 0xA002, "height": 0xA003, "film": 0xA405, "focal": 0x920A, "density": 0xA20E, "unit": 0xA210}
    return {0x8769: {numbers[name]: value for name, value in tags.items()}}


# Test values published with the models: WMM2010, 2015v2, 2020 (PDF tables) and WMM2025_TestValues.txt, all of NOAA.
@pytest.mark.parametrize(
    ("year", "altitude_km", "latitude", "longitude", "declination"),
    [
        (2010.0, 0, 80, 0, -6.13), (2010.0, 100, 0, 120, 0.94), (2012.5, 0, -80, 240, 70.04),
        (2015.0, 0, 80, 0, -3.90), (2017.5, 100, 0, 120, 0.36), (2017.5, 0, -80, 240, 69.59),
        (2020.0, 0, 80, 0, -1.28), (2022.5, 100, -80, 240, 68.55), (2020.0, 0, 90, 180, -176.34),
        (2020.0, 0, -90, -90, 59.26), (2025.0, 28, 89, -121, -99.77), (2025.0, 65, 43, 93, 0.50),
        (2025.5, 44, 33, -118, 11.10), (2026.0, 33, -3, -147, 9.71), (2026.5, 12, -79, 115, -137.58),
        (2027.0, 57, -43, 50, -48.27), (2028.0, 75, 79, 125, -18.59), (2029.0, 41, 42, -19, -4.13),
        (2029.5, 93, -2, 158, 7.09),
    ],
)  # fmt: skip
def test_declination_is_the_published_one(
    year: float, altitude_km: int, latitude: int, longitude: int, declination: float
) -> None:
    assert declination_deg(float(latitude), float(longitude), year, float(altitude_km)) == pytest.approx(
        declination, abs=0.0051
    )


@pytest.mark.parametrize("year", [2009.9, 2030.1, math.nan])
def test_declination_outside_its_years_is_refused(year: float) -> None:
    with pytest.raises(AenetError, match="known from 2010 to 2030"):
        declination_deg(47.0, 9.0, year)


def test_a_photo_without_a_word_has_no_account() -> None:
    account = account_of(picture())
    assert (account.width, account.height) == (80, 60)
    assert math.isnan(account.latitude) and account.notes == ()
    assert (account.heading_deg, account.fov_deg, account.sphere, account.position_from) == (None,) * 4
    assert account.pose.heading_deg == 0.0


@pytest.mark.parametrize(
    ("reference", "heading", "source"), [("T", 100.0, "exif true"), ("M", 103.64, "exif magnetic")]
)
def test_heading_is_true_or_corrected(reference: str, heading: float, source: str) -> None:
    """In Konstanz a compass points 3.64 degrees east of north in the middle of 2025 (by the model's own calculator)."""
    dated = {0x8769: {0x9003: "2025:07:01 12:00:00"}}
    account = account_of(picture(gps=GPS | {16: reference, 17: 100.0}, exif=dated))
    assert account.heading_deg == pytest.approx(heading, abs=0.01) and account.heading_from == source
    assert any("corrected by a declination of +3.6" in note for note in account.notes) == (reference == "M")


@pytest.mark.parametrize(
    ("gps", "date", "note"),
    [
        (GPS | {17: 100.0}, "2025:07:01", "says neither true nor magnetic"),
        (GPS | {16: "X", 17: 100.0}, "2025:07:01", "says neither true nor magnetic"),
        (
            GPS | {16: "M", 17: 100.0},
            None,
            r"magnetic heading 100: not corrected, treated as unknown \(there is no date",
        ),
        (GPS | {16: "M", 17: 100.0}, "1999:07:01", r"not corrected, .* from 2010 to 2030, not for 1999\.5"),
        (GPS | {16: "M", 17: 100.0}, "0000:00:00", "there is no date"),
        ({16: "M", 17: 100.0}, "2025:07:01", "there is no position"),
        (GPS | {16: "T", 17: 361.0}, "2025:07:01", "is no heading"),
        (GPS | {16: "T", 17: IFDRational(0, 0)}, "2025:07:01", "is no heading"),
    ],
)
def test_a_heading_that_cannot_be_known_is_unknown(gps: dict[int, object], date: str | None, note: str) -> None:
    dated = {0x8769: {0x9003: f"{date} 12:00:00"}} if date else {}
    account = account_of(picture(gps=gps, exif=dated))
    assert account.heading_deg is None and account.heading_from is None
    assert len(account.notes) == 1 and re.search(note, account.notes[0]), account.notes


@pytest.mark.parametrize(
    ("gps", "note"),
    [
        (GPS | {2: (95.0, 0.0, 0.0)}, "95, 9.17 is no place on Earth"),
        (GPS | {4: (200.0, 0.0, 0.0)}, "is no place on Earth"),
        (GPS | {2: (IFDRational(0, 0), 0.0, 0.0)}, "latitude is no number"),
        (GPS | {2: (54.0, 61.0, 0.0)}, "latitude has 61 minutes, of which there are 60 at most"),
        (GPS | {2: (54.0, 59.0, 3626.0)}, "latitude has 3626 seconds"),
        (GPS | {4: (2.0, 59.0, 5140.0)}, "longitude has 5140 seconds"),
        (GPS | {2: (54.9934, 59.0, 36.0)}, "54.9934° 59' 36\": fractions in two places"),
        (GPS | {2: (54.0, 59.604, 36.24)}, "fractions in two places"),
        (GPS | {2: (54.9934, 0.0, 36.0)}, "fractions in two places"),
        (GPS | {2: (54.0, 59.0, IFDRational(5, 0))}, "latitude is no number"),
        (GPS | {4: (9.0, IFDRational(5, 0), 0.0)}, "longitude is no number"),
        ({2: GPS[2], 4: GPS[4]}, "names no hemisphere"),
        (GPS | {1: "Q"}, "names no hemisphere"),
        ({1: "N", 2: GPS[2]}, "longitude is no number"),
        (GPS | {2: (0.0, 0.0, 0.0), 4: (0.0, 0.0, 0.0)}, "before their first fix"),
    ],
)
def test_impossible_gps_is_absent_with_a_reason(gps: dict[int, object], note: str) -> None:
    account = account_of(picture(gps=gps))
    assert math.isnan(account.latitude) and math.isnan(account.longitude) and account.position_from is None
    assert len(account.notes) == 1 and note in account.notes[0], account.notes


@pytest.mark.parametrize(
    ("latitude", "letter_", "degrees"),
    [
        ((47.0, 39.0, 36.0), "N", 47.66),
        ((47.66, 0.0, 0.0), "S", -47.66),  # degrees alone
        ((47.0, 39.6, 0.0), "N", 47.66),  # degrees and minutes
        ((47.0, 39.0, 60.0), "N", 47 + 40 / 60),  # what rounding makes of 59.9999
        ((47.0, 39.6, IFDRational(0, 0)), "N", 47.66),
    ],
)
def test_degrees_minutes_and_seconds(latitude: tuple[object, ...], letter_: str, degrees: float) -> None:
    account = account_of(picture(gps=GPS | {1: letter_, 2: latitude}))
    assert account.latitude == pytest.approx(degrees, abs=1e-9) and account.longitude == pytest.approx(9.17)
    assert account.position_from == "exif" and account.notes == ()


@pytest.mark.parametrize(
    ("letter_", "parts", "found"),
    [
        ("S", (-54.0, -59.0, -36.0), -54.99333333),
        ("S", (-54.0, 59.0, 36.0), -54.99333333),  # the sign of the whole
        ("S", (0.0, -59.0, -36.0), -0.99333333),
        ("N", (-54.0, -59.0, -36.0), "EXIF GPS latitude is negative, and N: one of them is wrong"),
        ("S", (-54.0, 59.0, -36.0), "EXIF GPS latitude is -54° 59' -36\": of two signs"),
        ("S", (54.0, -59.0, 36.0), "EXIF GPS latitude is 54° -59' 36\": of two signs"),
    ],
)
def test_negative_degrees_count_with_their_letter(letter_: str, parts: tuple[float, ...], found: float | str) -> None:
    latitude, longitude, said = exif_position(GPS | {1: letter_, 2: parts})
    if isinstance(found, str):
        assert math.isnan(latitude) and math.isnan(longitude) and said == found
    else:
        assert (latitude, longitude, said) == (pytest.approx(found), pytest.approx(9.17), None)


def test_negative_rationals_in_a_file() -> None:
    """Tags of type 10 (SRATIONAL), which no standard allows here and some programs write."""
    content = picture(gps=GPS | {1: "S", 2: (47.0, 39.0, 36.0)})
    plus = b"".join(struct.pack(">ii", value, 1) for value in (47, 39, 36))
    entry, minus = struct.pack(">HHI", 2, 5, 3), b"".join(struct.pack(">ii", -value, 1) for value in (47, 39, 36))
    assert content.count(entry) == content.count(plus) == 1
    content = content.replace(entry, struct.pack(">HHI", 2, 10, 3)).replace(plus, minus)
    assert account_of(content).latitude == pytest.approx(-47.66)


def test_unknown_seconds_leave_degrees_and_minutes() -> None:
    account = account_of(picture(gps=GPS | {2: (47.0, 39.0, IFDRational(0, 0))}))
    assert account.latitude == pytest.approx(47.65)
    assert account.notes == ("EXIF GPS latitude has seconds of 0/0: to the minute (1.9 km) only",)


def test_unknown_minutes_leave_decimal_degrees() -> None:
    unknown = IFDRational(0, 0)
    assert account_of(picture(gps=GPS | {2: (47.66, unknown, unknown)})).latitude == pytest.approx(47.66)
    account = account_of(picture(gps=GPS | {2: (47.0, unknown, unknown)}))
    assert math.isnan(account.latitude) and "EXIF GPS latitude is no number" in account.notes[0]


@pytest.mark.parametrize(
    "date",
    ["2025:07:01 12:00:00", "2025-07-01 12:00:00", "2025/07/01", "2025-07-01T12:00:00+02:00", "2025.7.1", "2025: 7: 1",
     "20250701", "01/07/2025", "12/31/2025 10:00", "31.12.2025", "1-2-2025"],
)  # fmt: skip
def test_dates_as_programs_write_them(date: str) -> None:
    """The declination in Konstanz is 3.6 degrees in 2025; it was 1.8 in 2010."""
    account = account_of(picture(gps=GPS | {16: "M", 17: 100.0}, exif={0x8769: {0x9003: date}}))
    assert account.year == pytest.approx(2025.5, abs=0.01) and account.heading_deg == pytest.approx(103.6, abs=0.05)


@pytest.mark.parametrize(
    "date", ["2025:13:01", "13/13/2025", "2025-07:01", "20251301", "2025-07-011", "01/07/25", "1/32/2025"]
)
def test_what_is_no_date(date: str) -> None:
    account = account_of(picture(gps=GPS | {16: "M", 17: 100.0}, exif={0x8769: {0x9003: date}}))
    assert account.year is None and account.heading_deg is None and "there is no date" in account.notes[0]


DJI = "http://www.dji.com/drone-dji/1.0/"


def drone(**values: object) -> bytes:
    attributes = " ".join(f'drone-dji:{name}="{value}"' for name, value in values.items())
    return RDF.format(f"<rdf:Description xmlns:drone-dji='{DJI}' {attributes}/>").encode()


@pytest.mark.parametrize(
    "names", [("GpsLatitude", "GpsLongitude"), ("GpsLatitude", "GpsLongtitude"), ("GPSLatitude", "GPSLongitude"),
              ("Latitude", "Longitude")]
)  # fmt: skip
def test_a_drone_says_where_it_was(names: tuple[str, str]) -> None:
    account = account_of(picture(xmp=drone(**dict(zip(names, ("-47.6600", "+9.1700"), strict=True)))))
    assert (account.latitude, account.longitude, account.position_from) == (-47.66, 9.17, "dji")
    told = account_of(picture(gps=GPS, xmp=drone(**dict(zip(names, ("1", "2"), strict=True)))))
    assert told.position_from == "exif"


@pytest.mark.parametrize(
    ("values", "note"),
    [
        ({"GpsLatitude": "0.0", "GpsLongitude": "0.0"}, "before their first fix"),
        ({"GpsLatitude": "95", "GpsLongitude": "9"}, "no place on Earth"),
        ({"GpsLatitude": "n/a", "GpsLongitude": "9"}, "DJI GPS 'n/a', '9' is no position"),
    ],
)
def test_a_drone_that_does_not_know_where_it_was(values: dict[str, str], note: str) -> None:
    account = account_of(picture(xmp=drone(**values)))
    assert math.isnan(account.latitude) and note in account.notes[0]


@pytest.mark.parametrize(
    ("values", "heading", "note"),
    [
        ({"GimbalYawDegree": "-90.00", "FlightYawDegree": "+5.00"}, 270.0, "yaw of the camera (GimbalYawDegree)"),
        ({"FlightYawDegree": "+5.00"}, 5.0, "yaw of the aircraft, whose camera may look elsewhere"),
        ({"GimbalYawDegree": "north"}, None, "is no heading: unknown"),
    ],
)
def test_which_way_a_drone_looked(values: dict[str, str], heading: float | None, note: str) -> None:
    """270: west. Yaw is 0 at north and grows clockwise."""
    account = account_of(picture(xmp=drone(**values)))
    assert account.heading_deg == heading and note in account.notes[0]
    assert account_of(picture(gps=GPS | {16: "T", 17: 33.0}, xmp=drone(**values))).heading_deg == 33.0


def test_how_a_camera_was_held() -> None:
    held = account_of(picture(xmp=drone(GimbalPitchDegree="-30.5", GimbalRollDegree="+2.0"))).tilt
    assert held == Tilt(-30.5, 2.0, "dji")
    assert account_of(picture(xmp=drone(GimbalPitchDegree="+0.00"))).tilt is None
    shot = gpano(ProjectionType="equirectangular", PosePitchDegrees=20, PoseRollDegrees=345)
    assert account_of(picture(160, 80, xmp=shot)).tilt == Tilt(20.0, -15.0, "gpano")
    odd = account_of(picture(160, 80, xmp=gpano(ProjectionType="equirectangular", PosePitchDegrees=120)))
    assert odd.tilt is None and "GPano pitch 120, roll 0: no angles, taken to be level" in odd.notes[0]


def test_xmp_gives_the_position_exif_lacks() -> None:
    body = (
        "<rdf:Description xmlns:e='http://ns.adobe.com/exif/1.0/' e:GPSLatitude='47,39.6S' "
        "e:GPSLongitude='9,10,12E' e:GPSImgDirection='9000/100' e:GPSImgDirectionRef='T'/>"
    )
    account = account_of(picture(xmp=RDF.format(body).encode()))
    assert (account.latitude, account.longitude) == (pytest.approx(-47.66), pytest.approx(9.17))
    assert (account.position_from, account.heading_deg, account.heading_from) == ("xmp", 90.0, "xmp true")
    account = account_of(picture(gps=GPS, xmp=RDF.format(body).encode()))
    assert account.position_from == "exif" and account.latitude == pytest.approx(47.66)


def test_the_table_overrides_the_file() -> None:
    content = picture(gps=GPS | {16: "T", 17: 10.0}, exif=camera(film=28))
    account = account_of(content, Told(1.0, 2.0, -90.0, 45.0))
    assert (account.latitude, account.longitude, account.heading_deg, account.fov_deg) == (1.0, 2.0, 270.0, 45.0)
    assert {account.position_from, account.heading_from, account.fov_from} == {"table"}


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_panorama_metadata_in_every_format(format_: str) -> None:
    xmp = gpano(ProjectionType="equirectangular", UsePanoramaViewer="True", PoseHeadingDegrees="350.5")
    account = account_of(picture(160, 80, GPS, xmp=xmp, format_=format_))
    assert account.heading_deg == 350.5 and account.heading_from == "gpano"
    assert account.sphere is not None and account.sphere.width_deg == 360 and account.sphere.top_deg == 90
    assert account.latitude == pytest.approx(47.66)


def test_properties_as_elements_under_another_prefix() -> None:
    body = f"<rdf:Description xmlns:p='{GPANO}'><p:PoseHeadingDegrees> 12.5 </p:PoseHeadingDegrees></rdf:Description>"
    assert account_of(picture(xmp=RDF.format(body).encode())).heading_deg == 12.5


def test_a_cropped_panorama_says_where_it_lies() -> None:
    """A quarter to the right of the middle, 45 degrees up and 30 down, in a file resized to a tenth."""
    xmp = gpano(
        ProjectionType="equirectangular", FullPanoWidthPixels=8000, FullPanoHeightPixels=4000,
        CroppedAreaImageWidthPixels=2000, CroppedAreaImageHeightPixels=1667,
        CroppedAreaLeftPixels=4000, CroppedAreaTopPixels=1000,
    )  # fmt: skip
    sphere = account_of(picture(200, 167, xmp=xmp)).sphere
    assert sphere is not None
    assert (sphere.left_deg, sphere.width_deg, sphere.top_deg) == (180.0, 90.0, 45.0)
    assert sphere.bottom_deg == pytest.approx(-30.0, abs=0.02)


EQUI = {"ProjectionType": "equirectangular"}
FULL = EQUI | {"FullPanoWidthPixels": 200, "FullPanoHeightPixels": 100}


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"ProjectionType": "cylindrical"}, "only equirectangular"),
        (EQUI, "without sizes"),  # and not 2:1
        (EQUI | {"FullPanoWidthPixels": 100, "CroppedAreaImageWidthPixels": 300}, "lies outside"),
        (FULL | {"CroppedAreaImageWidthPixels": 256, "CroppedAreaImageHeightPixels": 192}, "lies outside 200 x 100"),
        (FULL | {"CroppedAreaLeftPixels": 150, "CroppedAreaImageWidthPixels": 80}, "at 150, 0 lies outside"),
        (FULL | {"CroppedAreaLeftPixels": -60, "CroppedAreaImageWidthPixels": 80}, "at -60, 0 lies outside"),
        (EQUI | {"FullPanoWidthPixels": 80, "FullPanoHeightPixels": 60}, "whole of 80 x 60 px is not 2:1"),
        (EQUI | {"FullPanoWidthPixels": 160}, "another shape"),
    ],
)
def test_panorama_metadata_that_contradict_themselves_or_the_picture(values: dict[str, object], fault: str) -> None:
    account = account_of(picture(80, 60, xmp=gpano(**values)))
    assert account.sphere is None and fault in (account.sphere_fault or "")


def test_sizes_without_a_projection_are_those_of_a_sphere() -> None:
    """The format's default: half of a sphere's width, and half of its height, whatever shape the picture has."""
    sizes = {"FullPanoWidthPixels": 320, "FullPanoHeightPixels": 160, "CroppedAreaImageWidthPixels": 160}
    sizes |= {"CroppedAreaImageHeightPixels": 80, "CroppedAreaLeftPixels": 80, "CroppedAreaTopPixels": 40}
    assert account_of(picture(160, 80, xmp=gpano(**sizes))).sphere == Sphere(90.0, 180.0, 45.0, -45.0)
    assert account_of(picture(160, 80, xmp=gpano(**sizes, UsePanoramaViewer="False"))).sphere is None


@pytest.mark.parametrize("text", ["north", "nan"])
def test_a_panoramas_heading_that_is_none(text: str) -> None:
    account = account_of(picture(80, 60, xmp=gpano(PoseHeadingDegrees=text)))
    assert account.heading_deg is None and len(account.notes) == 1 and "is no number" in account.notes[0]


_LAUGHS = "<!DOCTYPE a [<!ENTITY l 'lol'>" + "".join(f"<!ENTITY l{n} '{'&l;' * 9}'>" for n in range(9)) + "]>"


@pytest.mark.parametrize(
    ("packet", "sentence"),
    [
        (f"{_LAUGHS}<a>&l8;</a>", "document type: refused"),
        ("<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>", "document type: refused"),
        ("<!DOCTYPE a SYSTEM 'http://127.0.0.1:9/a.dtd'><a/>", "document type: refused"),
        ("<a>\n<b></a>", r"not well-formed \(line 2: mismatched tag\)"),
        ("<a><b></a>", "not well-formed"),
        ("<a>\n<b", r"line 2: unclosed token"),  # `token: line` would be taken for a secret
        ("", "not well-formed"),
        ("<a>" * 100 + "</a>" * 100, "deeper than 64"),
        ("<a>" + " " * MAX_BYTES + "</a>", "the limit is 1,048,576"),
    ],
)
def test_hostile_xmp_is_refused_and_costs_only_itself(packet: str, sentence: str) -> None:
    with pytest.raises(AenetError, match=sentence):
        read_properties(packet.encode())
    if 0 < len(packet) < 60_000:  # what fits into a JPEG's segment
        account = account_of(picture(gps=GPS, xmp=packet.encode()))
        assert account.latitude == pytest.approx(47.66) and re.search(sentence, account.notes[0])


@pytest.mark.parametrize(
    ("size", "tags", "fov"),
    [
        ((3600, 2400), {"film": 18}, 90.0),  # full frame: 36 mm wide
        ((2400, 3600), {"film": 18}, 67.38),  # the same upright: 24 mm wide
        ((360, 240), {"film": 18, "width": 3600, "height": 2400}, 90.0),  # resized since
        ((4000, 3000), {"film": 26}, 67.3),  # a phone: equal diagonals, 4:3
        # 18 mm on a sensor of 36 mm with 3,600 px: 100 px a mm, 2,540 an inch
        ((3600, 2400), {"focal": 18.0, "density": 2540.0, "unit": 2, "width": 3600, "height": 2400}, 90.0),
        ((1800, 1200), {"focal": 18.0, "density": 1000.0, "unit": 3, "width": 3600, "height": 2400}, 90.0),
        ((3600, 2400), {"focal": 18.0}, None),  # which sensor?
        ((3600, 2400), {"film": 0}, None),
    ],
)
def test_field_of_view_from_the_lens(size: tuple[int, int], tags: dict[str, float], fov: float | None) -> None:
    account = account_of(picture(*size, exif=camera(**tags)))
    assert account.fov_deg == (None if fov is None else pytest.approx(fov, abs=0.1))


@pytest.mark.parametrize(
    ("tags", "fov", "note"),
    [
        # A photo of 3,900 px made smaller: the resolution still counts in the sensor's pixels, the size does not.
        ({"focal": 135.0, "density": 4438.0, "unit": 2, "width": 100, "height": 68}, None, "a sensor of 0.69 mm"),
        ({"focal": 4.7, "density": 4000.0, "unit": 3}, None, "as where a photo was resized"),
        ({"film": 50, "focal": 4.7, "density": 4000.0, "unit": 3}, 39.4, None),  # the first that says it
        ({"film": 5000}, None, "EXIF FocalLengthIn35mmFilm left aside: a lens of 0.41 degrees"),
        # 18 mm on a sensor 36 mm wide: 100 px are 2.78 a mm, 70.6 an inch
        (
            {"film": 5000, "focal": 18.0, "density": 70.6, "unit": 2}, 90.0,
            "left aside: a lens of 0.41 degrees is no ordinary one; field of view 90 degrees from EXIF FocalPlane",
        ),
    ],
)  # fmt: skip
def test_a_lens_that_none_is_leaves_the_next_source(
    tags: dict[str, float], fov: float | None, note: str | None
) -> None:
    account = account_of(picture(100, 68, exif=camera(**tags)))
    assert account.fov_deg == (None if fov is None else pytest.approx(fov, abs=0.2))
    assert (note or "") in "; ".join(account.notes) and bool(account.notes) == (note is not None)


def test_a_cropped_or_fisheye_photo_has_no_field_of_view() -> None:
    cropped = account_of(picture(2400, 2400, exif=camera(film=18, width=3600, height=2400)))
    assert cropped.fov_deg is None and "EXIF says 3600 x 2400 px, it has 2400 x 2400" in cropped.notes[0]
    fisheye = account_of(picture(3600, 2400, exif=camera(film=8)))
    assert cropped.lens_deg == pytest.approx(90, abs=30) and fisheye.lens_deg is None
    assert fisheye.fov_deg is None and "no ordinary one" in fisheye.notes[0]


def test_turned_files_count_upright() -> None:
    account = account_of(picture(400, 300, exif={0x0112: 6, **camera(film=26)}))
    assert (account.width, account.height) == (300, 400)
    assert account.fov_deg == pytest.approx(53.1, abs=0.1)  # the narrow side of 67.3


@pytest.mark.parametrize("seed", range(60))
def test_no_damage_to_the_header_is_ever_a_crash(seed: int) -> None:
    """Flipped bytes, cut ends: an account or nothing, never an exception."""
    generator = np.random.default_rng(seed)
    format_ = ("JPEG", "PNG", "TIFF", "WEBP")[seed % 4]
    good = picture(64, 48, GPS | {16: "M", 17: 12.0}, camera(film=28), gpano(PoseHeadingDegrees=1), format_)
    content = np.frombuffer(good, np.uint8).copy()
    content[generator.integers(0, min(len(content), 700), 12)] = generator.integers(0, 256, 12)
    account = account_of(content.tobytes()[: int(generator.integers(1, len(good)))])
    assert isinstance(account, Photo) and (math.isnan(account.latitude) or abs(account.latitude) <= 90)
    assert account.heading_deg is None or 0 <= account.heading_deg < 360


def test_exif_behind_the_pixels_of_a_png_counts() -> None:
    """The format allows it anywhere: position and orientation are found without decoding."""
    content = picture(80, 60, GPS, {0x0112: 6}, format_="PNG")
    at = content.index(b"eXIf") - 4
    end = at + 12 + int.from_bytes(content[at : at + 4], "big")
    account = account_of(content[:at] + content[end:-12] + content[at:end] + content[-12:])
    assert account.latitude == pytest.approx(47.66) and (account.width, account.height) == (60, 80)


def test_what_is_no_image_has_no_account() -> None:
    assert "no readable header" in account_of(b"").notes[0] and account_of(b"\xff\xd8\xff").width == 0
