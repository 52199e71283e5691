"""A headless Chromium that tests drive through the DevTools protocol, over a pair of pipes: no port, no package.

https://chromedevtools.github.io/devtools-protocol/ ; messages are JSON ended by a zero byte, commands on descriptor 3,
answers on 4 (`--remote-debugging-pipe`).
"""

import base64
import contextlib
import itertools
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
    "--remote-debugging-pipe",
    "about:blank",
]
_PATIENCE = 60.0  # seconds for one answer
_KEYS = {"Enter": ("Enter", 13, "\r"), "Escape": ("Escape", 27, ""), "Tab": ("Tab", 9, ""), "/": ("Slash", 191, "/")}
_KEYS |= {"ArrowUp": ("ArrowUp", 38, ""), "ArrowDown": ("ArrowDown", 40, ""), "End": ("End", 35, "")}


def chromium() -> str:
    """Return the browser's path; without one the test is skipped, which is a failure in CI."""
    if CHROMIUM is None:
        pytest.skip(
            "needs chromium, chromium-browser or google-chrome on the PATH to open the report with; none is there"
        )
    return CHROMIUM


class Browser:
    """One page. Everything it asks of the network or says on its console is kept in `requests` and `console`."""

    def __init__(self, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        self.requests: list[str] = []
        self.console: list[str] = []
        self._numbers = itertools.count(1)
        self._buffer = b""
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        command_read, self._write = os.pipe()
        self._read, answer_write = os.pipe()

        def wire() -> None:
            # Copies first: 3 or 4 may be one of the ends.
            ends = os.dup(command_read), os.dup(answer_write)
            for end, place in zip(ends, (3, 4), strict=True):
                os.dup2(end, place)

        self._process = subprocess.Popen(
            [chromium(), *_FLAGS, f"--user-data-dir={self._profile.name}", f"--window-size={width},{height}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            close_fds=False,
            preexec_fn=wire,  # noqa: PLW1509  only duplicates descriptors, which no other thread of the child sees
            start_new_session=True,
        )
        os.close(command_read)
        os.close(answer_write)
        page = next(t for t in self.send("Target.getTargets")["targetInfos"] if t["type"] == "page")
        attached = self.send("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session: str | None = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.send("Emulation.setEmulatedMedia", features=scheme)
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    _session: str | None = None

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)
        os.close(self._write)
        os.close(self._read)
        self._profile.cleanup()

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Give a command and return its result; what happens meanwhile is noted."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + _PATIENCE
        while True:
            answer = self._next(end, method)
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return dict(answer["result"])
            self._note(answer)

    def _next(self, end: float, method: str) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, end - time.monotonic()))
            if not ready or not (part := os.read(self._read, 1 << 16)):
                raise TimeoutError(f"chromium did not answer {method} within {_PATIENCE:g} s, or ended")
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(message))

    def _note(self, event: dict[str, Any]) -> None:
        match event.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(event["params"]["request"]["url"])
            case "Log.entryAdded":
                self.console.append(event["params"]["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.console.append(json.dumps(event["params"]["exceptionDetails"]))
            case "Runtime.consoleAPICalled":
                self.console.append(json.dumps(event["params"]["args"]))

    def open(self, path: Path) -> None:
        """Load a file and wait until the report says that it is ready."""
        self.send("Page.navigate", url=path.as_uri())
        end = time.monotonic() + _PATIENCE
        while not self.value(f"location.href === {json.dumps(path.as_uri())} && document.body?.dataset.ready"):
            if time.monotonic() > end:
                raise TimeoutError(f"{path} did not get ready: {self.console}")
            time.sleep(0.02)

    def ask(self, script: str) -> Any:
        """Return the value of an expression in the page, some frames later: what was done before is drawn by then."""
        self.send("Runtime.evaluate", expression="new Promise((go) => setTimeout(go, 40))", awaitPromise=True)
        return self.value(script)

    def value(self, script: str) -> Any:
        """Return the value of an expression in the page as it is now, also where the page may run no script."""
        result = self.send("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(json.dumps(result["exceptionDetails"]))
        return result["result"].get("value")

    def press(self, key: str) -> None:
        """Press and release a key: a letter or one of the named ones."""
        code, number, text = _KEYS.get(
            key, (f"Key{key.upper()}", ord(key.upper()), key) if len(key) == 1 else ("", 0, "")
        )
        about: dict[str, Any] = {"key": key, "code": code, "windowsVirtualKeyCode": number}
        self.send("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **about)
        self.send("Input.dispatchKeyEvent", type="keyUp", **about)

    def type(self, text: str) -> None:
        """Write into what has the focus."""
        self.send("Input.insertText", text=text)

    def click(self, x: float, y: float) -> None:
        """Press and release the mouse at a place of the window."""
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def click_on(self, selector: str) -> None:
        """Click the middle of an element, scrolled into view."""
        middle = "e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect()"
        script = f"(() => {{ const e = document.querySelector({json.dumps(selector)}); {middle}; "
        box = self.ask(script + "return [b.x + b.width / 2, b.y + b.height / 2]; })()")
        self.click(*box)

    def screenshot(self, path: Path, whole: bool = False) -> None:
        """Write what the window (or the whole page) shows, as PNG."""
        shot = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))
