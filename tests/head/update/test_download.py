"""Transfers that break, lie, and go on."""

import hashlib
import resource
import signal
from contextlib import nullcontext

import pytest

from isthmus.errors import BundleError, ConfigError, DeviceError, LimitExceeded, RemoteProtocolError, TailUnavailable
from isthmus.head.update.download import DownloadSettings, download
from isthmus.head.update.from_file import FileSource
from isthmus.head.update.from_tail import TailSource
from isthmus.head.update.from_web import WebSource
from isthmus.head.update.source import Offer, Transfer, UpdateSource
from isthmus.tail.admission.handout import HandoutLimits
from isthmus.tail.handout import handout

DATA = bytes(range(256)) * 40


class Scripted(UpdateSource):
    """Offers some bytes, and sends others."""

    name = "the script"

    def __init__(self, chunks, *, offer=None, offset=0):
        self.offer = offer or Offer(size_bytes=len(DATA), sha256=hashlib.sha256(DATA).hexdigest())
        self.chunks, self.offset, self.asked = chunks, offset, []

    def look(self):
        return self.offer

    def open(self, held, offset):
        self.asked.append((held, offset))
        return nullcontext(Transfer(offer=self.offer, offset=self.offset, chunks=iter(self.chunks)))


def fetch(source, store, **options):
    settings = DownloadSettings(**{"bytes_per_s": None, **options})
    return download(source, store, settings, wait=lambda _seconds: False)


def test_what_is_whole_lies_on_the_disk(store):
    done = fetch(Scripted([DATA[:100], DATA[100:]]), store)
    assert (store.part.read_bytes(), done.sha256, done.went_on) == (DATA, hashlib.sha256(DATA).hexdigest(), False)


def test_a_transfer_that_ends_early_goes_on_where_it_stood(store):
    with pytest.raises(TailUnavailable, match=r"ended after 100 of 10240 bytes; the transfer goes on there"):
        fetch(Scripted([DATA[:100]]), store)
    source = Scripted([DATA[100:]], offset=100)
    assert fetch(source, store).went_on
    assert (source.asked[0][1], store.part.read_bytes()) == (100, DATA)


def test_where_another_archive_is_there_now_it_begins_anew(store):
    with pytest.raises(TailUnavailable):
        fetch(Scripted([b"old old old"], offer=Offer(size_bytes=99, sha256="0" * 64)), store)
    assert not fetch(Scripted([DATA]), store).went_on
    assert store.part.read_bytes() == DATA


@pytest.mark.parametrize(
    ("source", "kind", "words"),
    [
        (Scripted([DATA[:-1] + b"x"]), BundleError, "has SHA-256 .* announced was"),
        (Scripted([DATA, b"more"]), RemoteProtocolError, "sends more than the 10240 bytes"),
        (Scripted([DATA], offset=7), RemoteProtocolError, "goes on at 7, 0 bytes are here"),
        (Scripted([], offer=Offer(size_bytes=2 << 30)), LimitExceeded, "at most 1073741824 are taken"),
        (Scripted([], offer=Offer(size_bytes=1 << 29)), DeviceError, "MB are free"),
    ],
)
def test_what_is_not_as_announced_is_refused(store, source, kind, words, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _path: type("Usage", (), {"free": 1 << 28}))
    with pytest.raises(kind, match=words):
        fetch(source, store)


def test_a_disk_that_is_full_keeps_no_part(store):
    # A file system of its own would need root; a limit of the process says the same to whoever writes.
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    try:
        with pytest.raises(DeviceError, match="cannot be written: File too large; nothing was changed"):
            fetch(Scripted([DATA]), store)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert not store.part.exists()


def test_a_pace_is_kept(store, monkeypatch):
    waited = []
    settings = DownloadSettings(bytes_per_s=1000)
    monkeypatch.setattr("time.monotonic", lambda: 100.0)
    download(Scripted([DATA[:1000], DATA[1000:]]), store, settings, wait=lambda seconds: waited.append(seconds) or False)
    assert waited == [pytest.approx(1.0), pytest.approx(10.24)]


def test_a_transfer_can_be_stopped_and_keeps_its_part(store):
    with pytest.raises(TailUnavailable, match="was stopped after 100 of 10240 bytes"):
        download(Scripted([DATA[:100], DATA[100:]]), store, DownloadSettings(), wait=lambda _seconds: True)
    assert store.part.read_bytes() == DATA[:100]


def test_a_web_server_that_breaks_off_is_gone_on_with(web, store, make_release):
    path = web.put(make_release())
    source, size = WebSource(f"{web.address}/b.isthmus"), path.stat().st_size
    web.break_after = 5000
    for _ in range(size // 5000):
        with pytest.raises(TailUnavailable, match=r"ended after|stopped in the middle"):
            fetch(source, store)
    assert fetch(source, store).went_on
    assert store.part.read_bytes() == path.read_bytes()
    assert web.seen[1] == ("GET", "bytes=5000-")


def test_a_web_server_with_a_newer_file_begins_anew(web, store, make_release):
    web.put(make_release("2"))
    source = WebSource(f"{web.address}/b.isthmus")
    web.break_after = 5000
    with pytest.raises(TailUnavailable):
        fetch(source, store)
    web.break_after = None
    path = web.put(make_release("3"))
    assert not fetch(source, store).went_on
    assert store.part.read_bytes() == path.read_bytes()


def test_web_servers_that_cannot_be_used_are_told(web, store, make_release):
    web.put(make_release())
    with pytest.raises(BundleError, match="answers 404"):
        WebSource(f"{web.address}/missing").look()
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1/b\.isthmus is no address for updates"):
        WebSource(f"{web.address}/elsewhere").look()
    web.tagged = False
    with pytest.raises(RemoteProtocolError, match="neither by a strong ETag nor by Last-Modified"):
        WebSource(f"{web.address}/b.isthmus").look()
    with pytest.raises(TailUnavailable, match=r"cannot be reached: .*refused"):
        WebSource("http://127.0.0.1:1/b.isthmus").look()


@pytest.mark.parametrize("url", ["http://example.org/b.isthmus", "ftp://example.org/b", "https://", "file:///etc/passwd"])
def test_only_https_leaves_the_machine(url):
    with pytest.raises(ConfigError, match="https://HOST/PATH is needed"):
        WebSource(url)


def test_a_password_in_an_address_is_not_told():
    assert WebSource("https://me:secret@example.org/b").name == "https://example.org/b"


@pytest.mark.parametrize("folder", [True, False])
def test_a_bundle_of_the_disk_is_taken(store, make_tiny_bundle, make_release, folder):
    source = FileSource(make_tiny_bundle().folder if folder else make_release())
    assert fetch(source, store).sha256 == (source.look().sha256 or fetch(source, store).sha256)


def test_a_file_that_is_gone_is_a_bundle_error(tmp_path):
    with pytest.raises(BundleError, match="there is no bundle at"):
        FileSource(tmp_path / "gone").look()


def test_the_servers_of_a_device_give_their_bundle(serve, store, tiny_bundle):
    source = TailSource(["127.0.0.1:1", serve().address], bundle="tiny")
    offer = source.look()
    assert offer.manifest_sha256 == hashlib.sha256(tiny_bundle.manifest_bytes).hexdigest()
    assert fetch(source, store).sha256 == offer.sha256


def test_a_server_that_goes_in_the_middle_is_gone_on_with_at_another(serve, store, monkeypatch):
    monkeypatch.setattr(handout, "CHUNK_BYTES", 2000)
    one, other = serve(handout=HandoutLimits(bytes_per_s=20_000)), serve()

    def wait(_seconds):
        one.stop()
        return False

    with pytest.raises(TailUnavailable):
        download(TailSource([one.address], bundle=""), store, DownloadSettings(bytes_per_s=None), wait=wait)
    assert store.part.stat().st_size in range(2000, 20_000)
    done = fetch(TailSource([one.address, other.address], bundle=""), store)
    assert (done.went_on, done.sha256) == (True, TailSource([other.address], bundle="").look().sha256)


def test_servers_that_give_nothing_are_told(serve, peer, store):
    with pytest.raises(TailUnavailable, match=r"127\.0\.0\.1:1"):
        TailSource(["127.0.0.1:1"], bundle="").look()
    with pytest.raises(BundleError, match="bundle 'cups' is not served here"):
        TailSource([serve().address], bundle="cups").look()
    with pytest.raises(BundleError, match="hands out no bundles; update the server first"):
        TailSource([peer(lambda _requests: ())], bundle="").look()
