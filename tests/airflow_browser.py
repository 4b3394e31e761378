"""Debian's chromium for tests: opens pages, logs in, and tells what a page said, fetched and complained of.

Speaks the browser's own protocol over its loopback socket; a browser of its own a test module, gone with its block.
"""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from websockets.sync.client import ClientConnection, connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SECONDS = 60.0


@dataclass
class Browser:
    """One tab. `requests` are the addresses that it asked for, `complaints` what it or a page wrote as an error."""

    socket: ClientConnection
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result; what happens meanwhile is written down."""
        number = next(self._ids)
        self.socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        deadline = time.monotonic() + SECONDS
        while True:
            message = json.loads(self.socket.recv(timeout=max(deadline - time.monotonic(), 0.1)))
            if message.get("id") == number:
                assert "error" not in message, (method, message["error"])
                result: dict[str, Any] = message["result"]
                return result
            self._hear(message)

    def _hear(self, message: dict[str, Any]) -> None:
        told, said = message.get("method"), message.get("params", {})
        if told == "Network.requestWillBeSent":
            self.requests.append(said["request"]["url"])
        elif told == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(said["exceptionDetails"])[:500])
        elif told == "Runtime.consoleAPICalled" and said["type"] in ("error", "assert"):
            self.complaints.append(json.dumps(said["args"])[:500])
        elif told == "Log.entryAdded" and said["entry"]["level"] == "error":
            self.complaints.append(f"{said['entry']['text']} {said['entry'].get('url', '')}")

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression in the tab's page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, (expression, found["exceptionDetails"])
        return found["result"].get("value")

    def wait(self, expression: str) -> Any:
        """Wait until an expression is true of the page, which may be another one meanwhile; return its value."""
        deadline = time.monotonic() + SECONDS
        while True:
            asked = f"(() => {{ try {{ return {expression} }} catch (error) {{ return null }} }})()"
            try:
                found = self.evaluate(asked)
            except AssertionError as error:
                # The page has gone to another one just now.
                if "context" not in str(error) and "navigated" not in str(error):
                    raise
                found = None
            if found:
                return found
            assert time.monotonic() < deadline, f"waited in vain for {expression}; {self.complaints}"
            time.sleep(0.1)

    def open(self, address: str) -> None:
        """Go to an address; what was asked for and complained of before is forgotten."""
        self.call("Page.navigate", url="about:blank")
        self.wait("location.href === 'about:blank'")
        self.requests.clear()
        self.complaints.clear()
        self.call("Page.navigate", url=address)
        self.wait(f"location.href !== 'about:blank' && document.readyState === 'complete' && {json.dumps(address)}")

    def dress(self, *, is_dark: bool = False, width: int = 1280, height: int = 900) -> None:
        """Prefer dark or light, in a window of this size."""
        scheme = "dark" if is_dark else "light"
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def fill(self, selector: str, text: str) -> None:
        """Type into a field as a person does, once it is there."""
        self.wait(f"document.querySelector({json.dumps(selector)}) !== null")
        self.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")
        self.call("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        """Click on something, once it is there. What it leads to begins after this has returned."""
        self.wait(f"document.querySelector({json.dumps(selector)}) !== null")
        self.evaluate(f"void setTimeout(() => document.querySelector({json.dumps(selector)}).click(), 0)")

    def picture(self, file: Path) -> None:
        """Keep a picture of the whole page."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))

    def strangers(self, address: str) -> list[str]:
        """Return the addresses asked for that are neither the server's nor the page's own."""
        own = urlsplit(address).netloc
        return [
            url
            for url in self.requests
            if urlsplit(url).scheme not in ("data", "blob", "about") and urlsplit(url).netloc != own
        ]


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """Lend a browser whose profile lies in the folder."""
    assert CHROMIUM is not None
    profile = folder / "profile"
    profile.mkdir(parents=True)
    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            [
                CHROMIUM,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-extensions",
                "--no-proxy-server",
                "--remote-debugging-port=0",
                f"--user-data-dir={profile}",
                "about:blank",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        with connect(_tab(process, profile), max_size=None, proxy=None) as socket:
            lent = Browser(socket)
            for domain in ("Page", "Runtime", "Network", "Log"):
                lent.call(f"{domain}.enable")
            yield lent
            lent.call("Browser.close")
    finally:
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _tab(process: subprocess.Popen[bytes], profile: Path) -> str:
    """Return the address of the first tab, once the browser is up."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "chromium ended while starting"
        try:
            port = (profile / "DevToolsActivePort").read_text().splitlines()[0]
            tabs = httpx.get(f"http://127.0.0.1:{port}/json", trust_env=False).json()
        except (FileNotFoundError, IndexError, httpx.HTTPError):
            tabs = []
        for tab in tabs:
            if tab["type"] == "page":
                return str(tab["webSocketDebuggerUrl"])
        time.sleep(0.1)
    raise AssertionError("chromium opened no tab")
