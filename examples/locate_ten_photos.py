"""Place ten photos on a map: `python examples/locate_ten_photos.py town.tif photos/`. The base install is enough."""

import sys
from pathlib import Path

import aenet

town, photos = sys.argv[1], sorted(Path(sys.argv[2]).glob("*.jpg"))[:10]
model = aenet.load_model("models/onnx")
gallery = aenet.Gallery.build(town, model, "gallery", spacing="20m")  # once; later it is found finished
places = aenet.locate(photos, gallery, model)

for place in places.itertuples():
    if place.status == "error":
        print(f"{place.photo}: {place.reason}")
    else:
        print(f"{place.photo}: {place.latitude:.5f}, {place.longitude:.5f}, {place.confidence:.0%} sure within 25 m")
places.drop(columns=["tiles", "scores"]).to_file("places.geojson", driver="GeoJSON")
