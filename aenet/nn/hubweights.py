"""Weights that timm publishes: on the Hugging Face hub or at an address, kept once they were fetched."""

import ssl
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import torch
from huggingface_hub import constants, try_to_load_from_cache

# What timm looks for in a repository that names no file, in its order.
_HUB_FILES = ("model.safetensors", "pytorch_model.bin")
_ANSWER_S = 3.0


def kept_file(published: Any) -> Path | None:
    """Return the file of published weights that an earlier use has left in the hub's cache, or torch's."""
    if not published.hf_hub_id:
        kept = Path(torch.hub.get_dir()) / "checkpoints" / Path(published.url or "").name
        return kept if kept.is_file() else None
    repository, _, revision = published.hf_hub_id.partition("@")
    for name in [published.hf_hub_filename] if published.hf_hub_filename else _HUB_FILES:
        if isinstance(file := try_to_load_from_cache(repository, name, revision=revision or None), str):
            return Path(file)
    return None


def commit_of(file: Path, published: Any) -> str:
    """Return the hub's commit that a kept file is of: .../snapshots/COMMIT/NAME, and NAME may hold folders."""
    folders = (published.hf_hub_filename or "").count("/")
    return file.parts[-2 - folders]


def server_of(published: Any) -> str:
    """Return the address that published weights are fetched from."""
    return str(constants.ENDPOINT if published.hf_hub_id else published.url)


def answers(published: Any) -> bool:
    """Return whether the server of published weights answers within three seconds, asked once, through any proxy.

    timm and the hub's client ask again and again, for a minute. What is wrong with an answer, they say.
    """
    if published.hf_hub_id and constants.HF_HUB_OFFLINE:
        return False
    try:
        urlopen(Request(server_of(published), method="HEAD"), timeout=_ANSWER_S).close()  # noqa: S310  # timm's address
    except HTTPError:
        return True
    except (OSError, HTTPException) as error:
        return isinstance(error, URLError) and isinstance(error.reason, ssl.SSLError)
    return True
