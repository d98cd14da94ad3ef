"""A headless Chromium, spoken to over pipes in its DevTools protocol."""

import base64
import fcntl
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any, Self

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync")
WAIT_MS = 30_000
_ONCE_TRUE = """
new Promise((resolve, reject) => {
  const look = () => { if (%s) { observer.disconnect(); clearTimeout(late); resolve(true); } };
  const observer = new MutationObserver(look);
  observer.observe(document, {subtree: true, childList: true, characterData: true, attributes: true});
  const late = setTimeout(() => reject(new Error(document.body.innerText)), %d);
  look();
})
"""


class Browser:
    """One page in a browser of its own."""

    def __init__(self, profile: Path) -> None:
        assert CHROMIUM is not None
        commands_out, commands_in = _pipe()
        replies_out, replies_in = _pipe()
        moves = [(os.POSIX_SPAWN_DUP2, commands_out, 3), (os.POSIX_SPAWN_DUP2, replies_in, 4)]
        quiet = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
        arguments = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"]
        self._pid = os.posix_spawn(CHROMIUM, arguments, os.environ, file_actions=[*moves, *quiet], setsid=True)
        os.close(commands_out)
        os.close(replies_in)
        self._commands = os.fdopen(commands_in, "wb", buffering=0)
        self._replies = os.fdopen(replies_out, "rb")
        self._last = 0
        self._session: str | None = None
        self._unread = b""
        self.complaints: list[str] = []
        """What the page or the browser wrote to the console, and what failed."""
        self.requests: list[str] = []
        """Addresses that the page asked for."""

    def __enter__(self) -> Self:
        targets = self.do("Target.getTargets")["targetInfos"]
        target = next(one["targetId"] for one in targets if one["type"] == "page")
        self._session = self.do("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.do(f"{domain}.enable")
        return self

    def __exit__(self, *_: object) -> None:
        self._commands.close()
        self._replies.close()
        os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)

    def do(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for what it gives."""
        self._last += 1
        command = {"id": self._last, "method": method, "params": parameters}
        if self._session:
            command["sessionId"] = self._session
        self._commands.write(json.dumps(command).encode() + b"\0")
        while (message := self._read()).get("id") != self._last:
            self._notice(message.get("method", ""), message.get("params", {}))
        assert "error" not in message, message["error"]
        result: dict[str, Any] = message["result"]
        return result

    def open(self, address: str) -> None:
        self.do("Page.navigate", url=address)

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page; a promise is waited for."""
        result = self.do("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, condition: str) -> None:
        """Until a condition on the document holds."""
        self.evaluate(_ONCE_TRUE % (condition, WAIT_MS))

    def text(self, element: str) -> str:
        """What an element shows."""
        return str(self.evaluate(f"document.getElementById('{element}').textContent"))

    def show(self, *, width: int, height: int, scheme: str = "light") -> None:
        """Choose a window and a colour scheme."""
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.do("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def print_pdf(self, path: Path) -> None:
        """As a printer would get it, on A4."""
        printed = self.do("Page.printToPDF", printBackground=True, paperWidth=8.27, paperHeight=11.69)
        path.write_bytes(base64.b64decode(printed["data"]))

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.do("Page.captureScreenshot", format="png")["data"]))

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            data = self._replies.read1(1 << 16)  # type: ignore[attr-defined]
            assert data, "the browser ended"
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message

    def _notice(self, method: str, parameters: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method in ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Network.loadingFailed"):
            self.complaints.append(json.dumps(parameters))


def _pipe() -> tuple[int, int]:
    """Ends above 9, so that neither is one of those that the browser gets."""
    ends = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return high[0], high[1]
