"""Where a photo was taken, as cameras write it into EXIF."""

from PIL import Image
from PIL.ExifTags import IFD


def gps_exif(latitude: float, longitude: float) -> bytes:
    """An EXIF block with a GPS position, to a hundred-thousandth of an arc second (under a millimetre)."""
    exif = Image.Exif()
    exif.get_ifd(IFD.GPSInfo).update(
        {1: "N" if latitude >= 0 else "S", 2: _dms(latitude), 3: "E" if longitude >= 0 else "W", 4: _dms(longitude)}
    )
    return exif.tobytes()


def _dms(degrees: float) -> tuple[float, float, float]:
    minutes, seconds = divmod(abs(degrees) * 3600, 60)
    whole, minutes = divmod(minutes, 60)
    return float(whole), float(minutes), round(seconds, 5)
