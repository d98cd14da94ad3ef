"""The agent's page on a port of its own: for people, for Prometheus, for whoever asks whether it lives.

/             a page that renews itself
/metrics      for Prometheus
/healthz      200 while frames are processed, else 503
/status.json  what the page shows
"""

import html
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from isthmus.errors import ConfigError
from isthmus.head.figures import Figures

RENEW_S = 2
_TIMEOUT_S = 5.0
"""For a request: a peer that says nothing must not keep a thread."""

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="{renew}">
<meta name="viewport" content="width=device-width"><title>{title}</title>
<style>body{{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}}
table{{border-collapse:collapse;width:100%}}td,th{{text-align:left;padding:.2rem .8rem .2rem 0;border-bottom:1px solid #8884;
vertical-align:top;overflow-wrap:anywhere}}</style><h1>{title}</h1>
<table>{facts}</table><h2>Newest frames</h2><table><tr><th>frame<th>placement<th>answer<th>ms</tr>{latest}</table></html>"""


class StatusPage:
    """Serves figures and facts in threads of its own while it is open.

    Args:
        figures: what was counted.
        facts: called for each request; values that are numbers are gauges for Prometheus by their names.
        labels: what does not change: device, bundle, version.
        lives: whether frames are processed.
        more: further text for Prometheus.
        host: address to listen on; loopback unless others may see it.
        port: 0 takes a free one.

    Raises:
        ConfigError: it cannot listen there.
    """

    def __init__(
        self,
        figures: Figures,
        *,
        facts: Callable[[], dict[str, Any]],
        labels: dict[str, str],
        lives: Callable[[], bool],
        more: Callable[[], str] = str,
        host: str,
        port: int,
    ) -> None:
        self._figures = figures
        self._facts = facts
        self._labels = labels
        self._lives = lives
        self._more = more
        try:
            self._server = _Server((host, port), self._handler())
        except OSError as error:
            raise ConfigError(f"the status page cannot listen on {host}:{port}: {error.strerror}; choose another port") from error
        self.address = "{}:{}".format(*self._server.server_address[:2])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="isthmus-status", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        pages = {"/": self._page, "/metrics": self._metrics, "/healthz": self._health, "/status.json": self._json}

        class Handler(BaseHTTPRequestHandler):
            timeout = _TIMEOUT_S

            def do_GET(self) -> None:
                page = pages.get(self.path.partition("?")[0])
                status, kind, text = page() if page else (404, "text/plain", "there is / /metrics /healthz /status.json\n")
                body = text.encode()
                self.send_response(status)
                self.send_header("Content-Type", f"{kind}; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Cache-Control", "no-store")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Requests are no news."""

        return Handler

    def _metrics(self) -> tuple[int, str, str]:
        gauges = {name: value for name, value in self._facts().items() if isinstance(value, (bool, int, float))}
        return 200, "text/plain; version=0.0.4", self._figures.as_prometheus(gauges, self._labels) + self._more()

    def _health(self) -> tuple[int, str, str]:
        return (200, "text/plain", "ok\n") if self._lives() else (503, "text/plain", "no frame is processed\n")

    def _json(self) -> tuple[int, str, str]:
        return 200, "application/json", json.dumps({**self._labels, **self._facts(), **self._figures.as_json()}, indent=2)

    def _page(self) -> tuple[int, str, str]:
        figures = self._figures.as_json()
        latest = figures.pop("latest")
        facts = {**self._labels, **self._facts(), **figures}
        rows = (
            _row(record["name"], record["placement"], record["words"], record.get("latency_ms", ""))  # one a frame
            for record in latest
        )
        page = _PAGE.format(
            renew=RENEW_S,
            title=html.escape(f"Isthmus on {self._labels.get('device', 'this device')}"),
            facts="".join(_row(name.replace("_", " "), _words(value)) for name, value in facts.items()),
            latest="".join(rows),
        )
        return 200, "text/html", page


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A peer that goes in the middle of a request is no matter of ours."""


def _row(*cells: object) -> str:
    return "<tr>" + "".join(f"<td>{html.escape(str(cell))}" for cell in cells) + "</tr>"


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {part}" for name, part in value.items()) or "none"
    return "not known" if value is None else str(value)
