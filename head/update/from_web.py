"""A bundle from a web server, gone on with by ranges (RFC 9110, sections 13 and 14)."""

import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO
from urllib.parse import urlsplit

from isthmus.contract.address import is_loopback
from isthmus.errors import AccessError, BundleNotServed, ConfigError, IsthmusError, RemoteProtocolError, TailUnavailable
from isthmus.head.update.source import Offer, Transfer, UpdateSource
from isthmus.head.update.store import Incoming

TIMEOUT_S = 30.0
"""Of each wait for bytes."""
CHUNK_BYTES = 64 << 10
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")
_TRANSPORT = (OSError, http.client.HTTPException)


class WebSource(UpdateSource):
    """One address.

    The server has to name the content: by a strong ETag, or by when it was last modified. Certificates are checked against the
    system's authorities (or those of `SSL_CERT_FILE`).

    Args:
        url: `https://...`; `http://...` on loopback.

    Raises:
        ConfigError: another kind of address.
    """

    def __init__(self, url: str) -> None:
        self._url = _check(url)
        # A password in the address is for the server, and not for the log.
        self.name = re.sub(r"//[^/@]*@", "//", url)
        self._opener = urllib.request.build_opener(_Redirects)
        self._response: http.client.HTTPResponse | None = None

    def look(self) -> Offer:
        """Ask for the head alone."""
        with self._request("HEAD", {}) as response:
            return self._offer(response, 0)

    @contextmanager
    def open(self, held: Incoming | None, offset: int) -> Iterator[Transfer]:
        """Take the content, from the offset on if the server still has the same."""
        headers = {"Range": f"bytes={offset}-", "If-Range": held.tag} if held is not None and held.tag and offset else {}
        with self._request("GET", headers) as response:
            start = 0
            if response.status == 206:
                found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
                if not found or int(found[1]) != offset:
                    raise RemoteProtocolError(f"{self.name} sends another range than bytes={offset}-")
                start = offset
            yield Transfer(offer=self._offer(response, start), offset=start, chunks=self._data(response))

    def interrupt(self) -> None:
        """Nothing: a wait for bytes ends by itself after `TIMEOUT_S`."""

    def _data(self, response: http.client.HTTPResponse) -> Iterator[bytes]:
        try:
            while data := response.read1(CHUNK_BYTES):
                yield data
        except _TRANSPORT as error:
            raise TailUnavailable(f"{self.name} stopped in the middle: {_words(error)}") from error

    @contextmanager
    def _request(self, method: str, headers: dict[str, str]) -> Iterator[http.client.HTTPResponse]:
        # What is packed in between has other bytes than the ranges count.
        asked = urllib.request.Request(self._url, method=method, headers={**headers, "Accept-Encoding": "identity"})
        try:
            response = self._opener.open(asked, timeout=TIMEOUT_S)
        except urllib.error.HTTPError as error:
            error.close()
            raise self._refused(error.code, error.reason) from error
        except _TRANSPORT as error:
            raise TailUnavailable(f"{self.name} cannot be reached: {_words(error)}") from error
        with response:
            yield response

    def _refused(self, status: int, reason: str) -> IsthmusError:
        words = f"{self.name} answers {status} {reason}"
        if status in (401, 403, 407):
            return AccessError(f"{words}; does this device have to show something there?")
        if status in (404, 410):
            return BundleNotServed(f"{words}; is this the address of a .isthmus file?")
        return TailUnavailable(words)

    def _offer(self, response: http.client.HTTPResponse, start: int) -> Offer:
        length = response.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise RemoteProtocolError(f"{self.name} does not say how many bytes it has; a server of plain files does")
        tag = response.headers.get("ETag", "")
        if not tag or tag.startswith("W/"):
            tag = response.headers.get("Last-Modified", "")
        if not tag:
            raise RemoteProtocolError(f"{self.name} names its content neither by a strong ETag nor by Last-Modified")
        return Offer(size_bytes=start + int(length), tag=tag)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to where the address could have led in the first place."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """Another request, for an address of the same kind only."""
        _check(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return url
    if parts.scheme == "http" and parts.hostname and is_loopback(parts.hostname):
        return url
    raise ConfigError(f"{re.sub('//[^/@]*@', '//', url)} is no address for updates: https://HOST/PATH is needed")


def _words(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return str(reason or getattr(error, "strerror", None) or error or type(error).__name__)
