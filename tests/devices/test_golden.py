import contextlib
import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from isthmus.codec import predictive, tables, zstd
from isthmus.codec.codec import Codec
from isthmus.codec.payload import Mode, pack
from isthmus.codec.symbols import from_codes
from isthmus.contract.bundle import Bundle
from isthmus.contract.bundle_writing import write_bundle
from isthmus.contract.manifest import Boxes, Task
from isthmus.devices import golden
from isthmus.devices.filtering import FilterNetwork
from isthmus.devices.golden import GoldenFrames
from isthmus.devices.runtime import Network
from isthmus.errors import BundleError

PAYLOADS = {(mode, frame, point) for mode in (Mode.RAW, Mode.ZSTD) for frame in range(2) for point in range(2)}


def computed(bundle: Bundle) -> GoldenFrames:
    """Golden frames of a bundle whose codes have no other channel order than the boundary's."""
    manifest = bundle.manifest
    images = np.random.default_rng(9).random((2, 3, 32, 32), dtype=np.float32)
    head, tail = Network.load(bundle.path("head.onnx")), Network.load(bundle.path("tail.onnx"))
    codes = np.concatenate([head.run({"image": image[None]})["codes"] for image in images])
    scores = np.concatenate([tail.run({"codes": one[None]})["scores"] for one in codes])
    payloads = {
        (mode, frame, point): Codec(manifest.boundary, manifest.points, [mode]).encode([codes[frame]], point=point)
        for mode, frame, point in PAYLOADS
    }
    return GoldenFrames(inputs=images, codes=(codes,), outputs={"scores": scores}, payloads=payloads)


@pytest.fixture(scope="module")
def arrays(tiny_bundle):
    return computed(tiny_bundle).arrays()


@pytest.fixture
def with_golden(tiny_bundle, tmp_path):
    """A function that gives the tiny bundle other golden frames, or other networks."""

    def make(content: "dict[str, np.ndarray] | bytes", **files: Path) -> Bundle:
        data = io.BytesIO()
        if isinstance(content, dict):
            np.savez(data, **content)
        (tmp_path / "golden.npz").write_bytes(data.getvalue() if isinstance(content, dict) else content)
        kept = {name: tiny_bundle.path(name) for name in tiny_bundle.manifest.files}
        named = {name.replace("_", "."): path for name, path in files.items()}
        return write_bundle(tmp_path / "bundle", tiny_bundle.manifest, {**kept, "golden.npz": tmp_path / "golden.npz", **named})

    return make


def check_everything(bundle: Bundle) -> list[golden.Gate]:
    frames = golden.read(bundle)
    return [
        golden.check_codec(bundle, frames),
        golden.check_head(bundle, frames, Network.load(bundle.path("head.onnx"))),
        golden.check_tail(bundle, frames, Network.load(bundle.path("tail.onnx"))),
    ]


def check_refused(bundle: Bundle, message: str) -> None:
    with pytest.raises(BundleError, match=message) as refused:
        check_everything(bundle)
    assert "\n" not in str(refused.value)


def test_what_is_written_is_read(with_golden, arrays):
    frames = golden.read(with_golden(arrays))
    assert len(frames) == 2
    assert set(frames.payloads) == PAYLOADS
    again = frames.arrays()
    assert again.keys() == arrays.keys()
    assert all(np.array_equal(again[name], arrays[name]) for name in arrays)


def test_a_sound_bundle_passes_every_gate(with_golden, arrays):
    gates = check_everything(with_golden(arrays))
    assert [gate.name for gate in gates] == ["codec", "head codes", "tail outputs"]
    assert all(gate.value <= gate.limit for gate in gates)
    assert gates[0].detail == "8 golden payloads, bit for bit"


def test_an_int8_head_has_golden_codes_and_a_limit_of_its_own(make_tiny_bundle):
    bundle = make_tiny_bundle(int8=True)
    frames = golden.read(bundle)
    network = Network.load(bundle.path("head.int8.onnx"))
    gate = golden.check_head(bundle, frames, network)
    assert (gate.name, gate.value, gate.limit) == ("int8 head codes", 0.0, 0.25)
    assert frames.arrays().keys() >= {"codes_0", "codes_int8_0"}
    frames.int8_codes[0][:] ^= 1
    with pytest.raises(BundleError, match=r"fails the gate 'int8 head codes' here: 1, at most 0\.25"):
        golden.check_head(bundle, frames, network)


def test_an_int8_head_without_golden_codes_is_refused(with_golden, arrays, make_tiny_bundle):
    bundle = with_golden(arrays, **{"head.int8_onnx": make_tiny_bundle(seed=2).path("head.onnx")})
    check_refused(bundle, "lacks codes_int8_0; export the bundle again")


@pytest.mark.parametrize("name", ["input", "codes_0", "outputs_scores"])
def test_a_missing_array_is_named(with_golden, arrays, name):
    check_refused(
        with_golden({key: array for key, array in arrays.items() if key != name}), f"lacks {name}; export the bundle again"
    )


@pytest.mark.parametrize("name", [f"payload_RAW_{frame}_{point}" for frame in (0, 1) for point in (0, 1)])
def test_a_missing_payload_is_named(with_golden, arrays, name):
    _, _, frame, point = name.split("_")
    bundle = with_golden({key: array for key, array in arrays.items() if key != name})
    check_refused(bundle, f"lacks the payload of frame {frame} at point {point}")


@pytest.mark.parametrize("name", ["payload_RAW_2_0", "payload_ZSTD_0_2", "payload_RAW_-1_0"])
def test_a_payload_of_no_frame_or_point_is_refused(with_golden, arrays, name):
    check_refused(with_golden({**arrays, name: arrays["payload_RAW_0_0"]}), "has a foreign payload of frame")


@pytest.mark.parametrize("name", ["payload_BROTLI_0_0", "payload_RAW_0", "payload_RAW_a_0", "payload_RAW_0_0_0"])
def test_a_payload_of_another_name_is_refused(with_golden, arrays, name):
    check_refused(with_golden({**arrays, name: arrays["payload_RAW_0_0"]}), r"golden\.npz cannot be read")


@pytest.mark.parametrize("name", ["input", "codes_0", "outputs_scores"])
@pytest.mark.parametrize("length", [0, 1])
def test_arrays_of_different_lengths_are_refused(with_golden, arrays, name, length):
    check_refused(with_golden({**arrays, name: arrays[name][:length]}), r"frames in its arrays; they must agree")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("codes_0", lambda codes: codes.astype(np.uint8), r"are uint8\[4, 4, 4\], the boundary wants int8"),
        ("codes_0", lambda codes: codes[:, :3], r"are int8\[3, 4, 4\]"),
        ("codes_0", lambda codes: codes + np.int8(16), r"bits allow -8\.\.7"),
        ("codes_0", lambda _codes: np.int8(3), r"holds int8\[\]; numbers \[frame, ...\] are needed"),
        ("input", lambda images: images.astype(np.float64), "takes float32, got float64"),
        ("input", lambda images: images[:, :2], r"takes shape"),
        ("input", lambda images: images.astype("U5"), "holds <U5"),
        ("outputs_scores", lambda scores: scores.astype("S9"), r"holds \|S9"),
        ("outputs_scores", lambda scores: scores[:, :3], "fails the gate 'tail outputs' here: inf"),
        ("outputs_scores", lambda scores: scores * np.nan, "'tail outputs' here: inf, at most"),
        ("outputs_scores", lambda scores: scores.astype(object), "cannot be read"),
    ],
)
def test_arrays_of_another_kind_are_refused(with_golden, arrays, name, change, message):
    check_refused(with_golden({**arrays, name: change(arrays[name])}), message)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 nothing", b"\x93NUMPY\x01\x00"])
def test_a_file_that_is_no_npz_is_refused(with_golden, content):
    check_refused(with_golden(content), r"golden\.npz cannot be read")


def test_a_single_array_in_place_of_the_npz_is_refused(with_golden, arrays):
    data = io.BytesIO()
    np.save(data, arrays["input"])
    check_refused(with_golden(data.getvalue()), r"golden\.npz cannot be read")


def test_an_npz_cut_short_is_refused(with_golden, arrays):
    data = io.BytesIO()
    np.savez_compressed(data, **arrays)
    check_refused(with_golden(data.getvalue()[: len(data.getvalue()) // 2]), r"golden\.npz cannot be read")


def test_a_damaged_compressed_npz_is_refused_or_read_the_same(with_golden, arrays):
    data = io.BytesIO()
    np.savez_compressed(data, **arrays)
    whole = data.getvalue()
    for place in range(0, len(whole), len(whole) // 40):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        # Some bytes of a zip mean nothing; no other exception may come out.
        with contextlib.suppress(BundleError):
            check_everything(with_golden(bytes(damaged)))


def test_a_bundle_without_golden_frames_is_refused(make_tiny_bundle):
    with pytest.raises(BundleError, match=r"has no golden\.npz"):
        golden.read(make_tiny_bundle(without=("golden.npz",)))


@settings(deadline=None, max_examples=60)
@given(data=some.data())
def test_a_flipped_bit_of_a_payload_is_found(tiny_bundle, data):
    frames = computed(tiny_bundle)
    key = data.draw(some.sampled_from(sorted(PAYLOADS)))
    flipped = bytearray(frames.payloads[key])
    flipped[data.draw(some.integers(0, len(flipped) - 1))] ^= 1 << data.draw(some.integers(0, 7))
    frames.payloads[key] = bytes(flipped)
    with pytest.raises(BundleError, match=rf"golden payload {key[1]} \({key[0].name.lower()}\) cannot be decoded: checksum"):
        golden.check_codec(tiny_bundle, frames)


def test_a_payload_of_other_codes_is_found(tiny_bundle):
    frames = computed(tiny_bundle)
    frames.payloads[Mode.RAW, 0, 0] = frames.payloads[Mode.RAW, 1, 0]
    with pytest.raises(BundleError, match=r"golden payload 0 \(raw\) decodes to other codes; the codecs differ"):
        golden.check_codec(tiny_bundle, frames)


def test_codes_that_encode_to_other_bytes_are_found(tiny_bundle):
    frames = computed(tiny_bundle)
    frames.codes[0][:] = 0
    boundary = tiny_bundle.manifest.boundary
    for mode, frame, place in list(frames.payloads):
        symbols = from_codes([frames.codes[0][frame]], boundary, tiny_bundle.manifest.points[place])
        frames.payloads[mode, frame, place] = pack(Mode.ZSTD, zstd.encode(symbols))
    with pytest.raises(BundleError, match=r"golden codes \d encode to other bytes; the codecs differ"):
        golden.check_codec(tiny_bundle, frames)


def test_a_payload_that_is_too_long_is_found(tiny_bundle):
    frames = computed(tiny_bundle)
    frames.payloads[Mode.RAW, 1, 1] = pack(Mode.RAW, bytes(1000))
    with pytest.raises(BundleError, match=r"golden payload 1 \(raw\) cannot be decoded: payload of 1005 bytes"):
        golden.check_codec(tiny_bundle, frames)


def test_a_payload_of_the_wrong_point_is_found(tiny_bundle):
    frames = computed(tiny_bundle)
    frames.payloads[Mode.RAW, 0, 1] = frames.payloads[Mode.RAW, 0, 0]
    with pytest.raises(BundleError, match="golden payload 0"):
        golden.check_codec(tiny_bundle, frames)


def test_a_head_of_other_weights_is_found(with_golden, arrays, make_tiny_bundle):
    bundle = with_golden(arrays, head_onnx=make_tiny_bundle(seed=2).path("head.onnx"))
    with pytest.raises(BundleError, match=r"fails the gate 'head codes' here: [\d.]+, at most 0\.005 \(share of changed codes"):
        golden.check_head(bundle, golden.read(bundle), Network.load(bundle.path("head.onnx")))


def test_codes_may_change_in_the_share_that_the_manifest_allows(tiny_bundle):
    frames = computed(tiny_bundle)
    frames.codes[0][0, 0, 0, 0] ^= 1
    share = 1 / frames.codes[0].size
    head = Network.load(tiny_bundle.path("head.onnx"))
    for allowed, passes in ((share * 1.01, True), (share * 0.99, False)):
        bundle = Bundle(
            tiny_bundle.folder, tiny_bundle.manifest.model_copy(update={"changed_code_share_max": allowed}), tiny_bundle.origin
        )
        if passes:
            assert golden.check_head(bundle, frames, head).value == pytest.approx(share)
        else:
            with pytest.raises(BundleError, match="fails the gate 'head codes'"):
                golden.check_head(bundle, frames, head)


def test_a_tail_of_other_weights_is_found(with_golden, arrays, make_tiny_bundle):
    bundle = with_golden(arrays, tail_onnx=make_tiny_bundle(seed=2).path("tail.onnx"))
    with pytest.raises(BundleError, match=r"fails the gate 'tail outputs' here: [\d.]+, at most 0\.001"):
        golden.check_tail(bundle, golden.read(bundle), Network.load(bundle.path("tail.onnx")))


@pytest.mark.parametrize(
    ("check", "file", "message"),
    [
        (golden.check_head, "whole.onnx", "the head gives scores, the boundary wants 'codes'"),
        (golden.check_tail, "head.onnx", "takes inputs"),
    ],
)
def test_a_network_in_anothers_place_is_found(with_golden, arrays, check, file, message):
    bundle = with_golden(arrays)
    with pytest.raises(BundleError, match=message):
        check(bundle, golden.read(bundle), Network.load(bundle.path(file)))


def boxes(**changed):
    """A detector's answer to one frame."""
    answer = {
        "boxes": np.array([[[0, 0, 10, 10], [20, 20, 40, 40]]], np.float32),
        "scores": np.array([[0.9, 0.8]], np.float32),
        "classes": np.array([[1, 2]], np.int64),
    }
    return answer | changed


def test_boxes_are_compared_as_boxes():
    task = Task(kind="detection", boxes=Boxes(family="yolox", score_floor=0.01, score_min=0.3))
    swapped = {name: array[:, ::-1] for name, array in boxes().items()}
    assert golden.output_difference(task, swapped, boxes()) == 0.0
    assert golden.output_difference(task, boxes(classes=np.array([[1, 3]])), boxes()) > golden.difference_max(task)
    assert golden.output_difference(Task(), swapped, boxes()) > golden.difference_max(Task())


# --------------------------------------------------------------------------------------------------------- modes with tables


def coded_frames(bundle: Bundle) -> GoldenFrames:
    """The golden frames of the bundle with tables, in every mode."""
    frames = golden.read(bundle)
    manifest = bundle.manifest
    payloads = dict(frames.payloads)
    for mode in (Mode.INTRA, Mode.TEMPORAL):
        codec = Codec(manifest.boundary, manifest.points, [mode], tables=tables.of_bundle(bundle))
        for frame in range(len(frames)):
            for point in range(len(manifest.points)):
                before = codec.kept([codes[frame - 1] for codes in frames.codes], point=point)
                now = [codes[frame] for codes in frames.codes]
                reference = before if mode is Mode.TEMPORAL else None
                payloads[mode, frame, point] = codec.encode(now, point=point, reference=reference)
    return dataclasses.replace(frames, payloads=payloads)


@pytest.mark.parametrize("fast", [True, False])
def test_golden_payloads_with_tables_are_checked_with_and_without_the_c_core(coded_bundle, monkeypatch, fast) -> None:
    monkeypatch.setattr(predictive, "IS_FAST", fast and predictive.IS_FAST)
    gate = golden.check_codec(coded_bundle, coded_frames(coded_bundle))
    assert gate.detail == "18 golden payloads, bit for bit"


@pytest.mark.parametrize("mode", [Mode.INTRA, Mode.TEMPORAL])
def test_a_golden_payload_of_other_codes_is_found(coded_bundle, mode) -> None:
    frames = coded_frames(coded_bundle)
    frames.payloads[mode, 0, 0] = frames.payloads[mode, 1, 0]
    with pytest.raises(BundleError, match=r"golden payload 0 \((intra|temporal)\)"):
        golden.check_codec(coded_bundle, frames)


def test_tables_of_another_version_are_found(coded_bundle, monkeypatch) -> None:
    frames = coded_frames(coded_bundle)
    key = 0, Mode.INTRA
    held = tables.of_bundle(coded_bundle)
    (table,) = held.tables[key]
    other = dataclasses.replace(table, frequencies=np.roll(table.frequencies, 1, axis=1))
    changed = tables.CodecTables({**held.tables, key: (other,)})
    monkeypatch.setattr(tables, "of_bundle", lambda _bundle: changed)
    with pytest.raises(BundleError, match="golden"):
        golden.check_codec(coded_bundle, frames)


def test_scores_of_the_filter_are_checked(make_tiny_bundle, tmp_path):
    bundle = make_tiny_bundle(filtered=0.0)
    network = FilterNetwork(bundle)
    frames = golden.read(bundle)
    assert golden.check_filter(bundle, frames, network).value < 1e-6
    worse = dataclasses.replace(frames, scores=(frames.scores[0] + 1, *frames.scores[1:]))
    with pytest.raises(BundleError, match="fails the gate 'filter scores'"):
        golden.check_filter(bundle, worse, network)


@pytest.mark.parametrize(
    ("scores", "message"), [(None, "lacks filter_scores"), (np.zeros(2, np.float32), "2 filter scores for 3")]
)
def test_a_bundle_with_a_filter_needs_a_golden_score_for_each_frame(make_tiny_bundle, tmp_path, scores, message):
    bundle = make_tiny_bundle(filtered=0.0)
    with np.load(bundle.path("golden.npz")) as file:
        arrays = {name: file[name] for name in file.files if name != "filter_scores"}
    if scores is not None:
        arrays["filter_scores"] = scores
    np.savez(tmp_path / "golden.npz", **arrays)
    kept = {name: bundle.path(name) for name in bundle.manifest.files}
    with pytest.raises(BundleError, match=message):
        golden.read(write_bundle(tmp_path / "bundle", bundle.manifest, {**kept, "golden.npz": tmp_path / "golden.npz"}))
