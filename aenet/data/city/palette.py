"""Colours, all RGB. Roofs and facades are drawn from separate lists, so one tells nothing of the other."""

import numpy as np
from jaxtyping import Float32


def _rgb(text: str) -> Float32[np.ndarray, "n 3"]:
    return np.array([[int(word[i : i + 2], 16) for i in (0, 2, 4)] for word in text.split()], np.float32)


PITCHED_ROOFS = _rgb("a8563f 95452f b4694c 7c4a3c 8a3a34 5e6066 4c5057 71757b 6b5a4e a37b5c 86604c 3f4450")
FLAT_ROOFS = _rgb("a3a19b b9b6ae 8b8a88 c9c6bf 77797b 9a8f82 6f7d6a d6d3cc 84786c 5f6164")
METAL_ROOFS = _rgb("b7bcc0 8fa0ad a9b3a4 d7d9d8 6f8291 a1554a")
FACADES = _rgb(
    "e8dcc4 d9b98c c98f6b b5624c 9c4f41 f0ece2 cfd3d2 a9b4b8 dcc7a0 8d9a8f e3b7a0 b7a58d"
    " f4e3b2 7f8c9a c7c0b2 a86a4d d8d0e0 95a88a e9cfc0 6d6a6c"
)
TRIMS = _rgb("f5f2ea 4a4238 2f3a44 7a5a3c dfe3e4 5b2f2a")
CARS = _rgb("d8d9da f1f1ef 1f2124 3a3d42 7d8388 8f1f22 1d3f73 2b5a8c 6a6f5a c7b58a 39594a b5661f")
CLOTHES = _rgb("20242c 3b4a63 7a2b2f c0b8a8 e3d9c0 2f5d50 8a6d3b 4b3f55 c7593a 6e7f91")
SKINS = _rgb("f0c8a8 c58f68 8a5a3c e0ac84")
GRASS, MEADOW, LAWN = _rgb("85955e 9a9f6c 7c9059")
CROPS = _rgb("c9b66b a8b25a 7f9d4e d6c98a 93a865 b79f6e 6d8f48 dccb57 9c8a63")
CROP_ROWS = _rgb("b39d57 8d9a49 62813c c0b074 7b9053 9d8558 557a3a c9b545 86734f")
SOIL, SAND, GRAVEL = _rgb("8f7658")[0], _rgb("cdbb8f")[0], _rgb("b3ab9c")[0]
ASPHALT, PAVEMENT, KERB, SETTS = _rgb("686a6e")[0], _rgb("b3aea4")[0], _rgb("cfcbc2")[0], _rgb("bba894")[0]
PAINT, WATER, BANK = _rgb("eeece4")[0], _rgb("4d6b6f")[0], _rgb("8a8f63")[0]
