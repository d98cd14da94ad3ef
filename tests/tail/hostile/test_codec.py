import resource
import zlib

import numpy as np
import pytest
import zstandard

from isthmus.codec import predictive, tables
from isthmus.codec.codec import Codec
from isthmus.contract.generated import split_pb2 as wire
from isthmus.devices import golden

native = pytest.mark.skipif(not predictive.IS_FAST, reason="the C core is not built; install isthmus where there is a C compiler")
MEBIBYTE_OF_RSS = 1 << 10


def seal(mode, body):
    """A payload with the checksum that belongs to it, as whoever means harm sends it."""
    data = bytes([mode]) + body
    return data + zlib.crc32(data).to_bytes(4, "little")


def zstd(data):
    """A Zstandard frame as the codec has it: without magic number, size and checksum."""
    parameters = zstandard.ZstdCompressionParameters(
        format=zstandard.FORMAT_ZSTD1_MAGICLESS, write_content_size=0, write_checksum=0, write_dict_id=0
    )
    return zstandard.ZstdCompressor(compression_params=parameters).compress(data)


def repeated(count, last):
    """A block of one byte repeated (RFC 8878, 3.1.1.2): four bytes that become up to 128 KiB."""
    return (last | 1 << 1 | count << 3).to_bytes(3, "little") + b"\0"


FULL = repeated(1 << 17, last=False)
WINDOW_8_MIB, WINDOW_2_GIB = bytes([13 << 3]), bytes([21 << 3])


@pytest.mark.parametrize(
    "body",
    [
        # No payload may be much longer than the symbols of its boundary, so forty bytes of bomb are all that fits.
        pytest.param(b"\0" + WINDOW_8_MIB + 9 * FULL + repeated(1 << 17, last=True), id="of repetition"),
        pytest.param(b"\0" + WINDOW_2_GIB + 9 * FULL + repeated(1 << 17, last=True), id="of window"),
        pytest.param(b"\xc0" + WINDOW_8_MIB + (1 << 40).to_bytes(8, "little") + repeated(64, last=True), id="of declared size"),
    ],
)
async def test_a_compressed_bomb_is_answered_invalid_and_never_unpacked(device, payload, body):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for sequence in range(1, 50):
        answer = await device.ask(sequence, codes=seal(wire.MODE_ZSTD, body))
        assert (answer.status, answer.decoded, "longer" in answer.message) == (wire.STATUS_INVALID, False, False)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * MEBIBYTE_OF_RSS
    assert (await device.ask(99, codes=payload)).status == wire.STATUS_OK


@pytest.mark.parametrize(
    "body",
    [
        # Single segment, one byte of a dictionary's id (7), one byte of size (64).
        pytest.param(bytes([0x21, 7, 64]) + repeated(64, last=True), id="dictionary"),
        pytest.param(zstd(bytes(64)) + b"\0", id="trailing byte"),
        pytest.param(zstd(bytes(64)) * 2, id="two frames"),
        pytest.param(zstd(bytes(64))[:-1], id="truncated"),
        pytest.param(zstd(bytes(63)), id="one symbol short"),
        pytest.param(zstd(bytes(65)), id="one symbol more"),
        pytest.param(zstd(bytes([16] * 64)), id="symbols beyond four bits"),
        pytest.param(b"", id="nothing"),
    ],
)
async def test_a_wrong_zstd_body_is_answered_invalid(device, payload, body):
    assert (await device.ask(1, codes=seal(wire.MODE_ZSTD, body))).status == wire.STATUS_INVALID
    assert (await device.ask(2, codes=seal(wire.MODE_ZSTD, zstd(bytes(64))))).status == wire.STATUS_OK


@pytest.mark.parametrize("mode", [0, 5, 15, 16, 17, 18, 127, 255])
async def test_a_mode_that_is_not_of_frames_or_of_a_later_version_is_answered_invalid(device, payload, mode):
    assert (await device.ask(1, codes=seal(mode, payload[1:-4]))).status == wire.STATUS_INVALID
    assert (await device.ask(2, codes=payload)).status == wire.STATUS_OK


@native
async def test_no_damage_to_an_intra_body_breaks_anything(serve, connect, coded_bundle):
    """Every byte of the body is changed, cut and doubled, with a checksum that fits: the entropy decoder sees all of it."""
    device = connect(await serve(bundle=coded_bundle), coded_bundle)
    await device.open(modes=[wire.MODE_INTRA])
    codec = Codec(coded_bundle.manifest.boundary, coded_bundle.manifest.points, tables=tables.of_bundle(coded_bundle))
    frame = (golden.read(coded_bundle).codes[0][0],)
    good = codec.encode(frame)
    assert good[0] == wire.MODE_INTRA
    body, random, sequence = good[1:-4], np.random.default_rng(0), 0
    damaged = [body[:place] + bytes([random.integers(256)]) + body[place + 1 :] for place in range(len(body))]
    damaged += [body[:place] for place in range(len(body))] + [body + body[:place] for place in range(1, len(body))]
    seen = set()
    for wrong in damaged:
        sequence += 1
        answer = await device.ask(sequence, codes=seal(wire.MODE_INTRA, wrong))
        seen.add(answer.status)
    assert seen <= {wire.STATUS_OK, wire.STATUS_INVALID}
    assert wire.STATUS_INVALID in seen
    assert (await device.ask(sequence + 1, codes=good)).status == wire.STATUS_OK
