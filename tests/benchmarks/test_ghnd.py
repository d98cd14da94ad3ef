"""The harness on a detector of squares, and its parts on numbers made by hand."""

import json

import cv2
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper


@pytest.fixture(scope="module")
def drawn(make_scene, tmp_path_factory):
    """A folder of scenes with squares, with their true boxes and the names of their classes."""
    folder, random = tmp_path_factory.mktemp("scenes"), np.random.default_rng(0)
    names, boxes = ("red", "blue"), []
    for place in range(24):
        cells = random.choice(32, 2, replace=False)
        squares = [(name, *divmod(int(cell), 4)) for name, cell in zip(names, cells, strict=True)]
        cv2.imwrite(str(folder / f"{place:02d}.png"), make_scene(*squares))
        boxes += [
            {"image_id": place, "category_id": index, "bbox": [16 * (cell // 4), 16 * (cell % 4), 16, 16]}
            for index, cell in enumerate(cells.tolist())
        ]
    told = {
        "images": [{"id": place, "file_name": f"{place:02d}.png"} for place in range(24)],
        "categories": [{"id": index, "name": name} for index, name in enumerate(names)],
        "annotations": boxes,
    }
    (folder / "boxes.json").write_text(json.dumps(told))
    (folder / "names.txt").write_text("red\nblue\n")
    return folder


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_detector_is_split_measured_and_told_and_not_made_again(package, drawn, tiny_detector, tmp_path, capsys):
    main = package("benchmarks.ghnd.__main__").main
    command = ["--quick", "--model", tiny_detector, "--small", tiny_detector, "--cut", "mixed", "--recipe", "isthmus"]
    command += ["--pictures", drawn, "--test", drawn / "boxes.json", "--labels", drawn / "names.txt", "--target-bytes", 0]
    command = [str(word) for word in (*command, "--budget", "5s", "--folder", tmp_path)]
    assert main(command) == 0
    page = (tmp_path / "ghnd.md").read_text()
    assert "| unsplit, on the device alone | 0 | " in page
    assert "| split, learned 8 channels, " in page
    assert "| 100kbit/20ms | " in page
    assert (tmp_path / "ghnd.svg").read_text().startswith("<svg")
    made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.suffix in (".isthmus", ".npz", ".json")}
    assert main(command) == 0
    assert {path: path.stat().st_mtime_ns for path in made} == made


def test_the_encoder_begins_with_the_first_layers_of_the_network(package, monkeypatch, tmp_path):
    pair = package("benchmarks.ghnd.pair")
    first, random = pair.FirstLayers(), np.random.default_rng(0)
    weights = [random.normal(0, 0.1, tuple(buffer.shape)).astype(np.float32) for buffer in first.buffers()]
    named = [numpy_helper.from_array(array, f"w{place}") for place, array in enumerate(weights)]
    nodes = [helper.make_node("Conv", ["x", f"w{place}", f"w{place + 1}"], ["y"]) for place in range(0, len(weights), 2)]
    shown = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xy"]
    onnx.save(helper.make_model(helper.make_graph(nodes, "first", shown[:1], shown[1:], named)), tmp_path / "model.onnx")
    monkeypatch.setenv(pair.MODEL, str(tmp_path / "model.onnx"))
    site = package("isthmus.export.training.pairs.pair").Site(
        picture=(3, 64, 64), channels_last=False, channels=5, restored=(64, 8, 8)
    )
    encoder, decoder = pair.pair(site)
    codes = encoder(torch.rand(2, 3, 64, 64))
    assert (codes.shape[1:], decoder(codes).shape[1:]) == ((5, 4, 4), (64, 8, 8))
    assert all(np.array_equal(buffer, array) for buffer, array in zip(encoder.first.buffers(), weights, strict=True))
    codes.sum().backward()
    assert not any(buffer.requires_grad for buffer in encoder.first.buffers())


def test_answers_alike_cost_nothing_and_missed_things_much(package):
    boxes = package("benchmarks.ghnd.loss").boxes
    told = torch.rand(2, 9, 7, generator=torch.Generator().manual_seed(0))
    missed = told.clone().requires_grad_()
    with torch.no_grad():
        missed[..., 4] *= 0.1
    assert float(boxes([told], [told], None)) == pytest.approx(0, abs=1e-5)
    loss = boxes([missed], [told], None)
    loss.backward()
    assert float(loss.detach()) > 0.3
    assert bool((missed.grad[..., 4] <= 0).all())


def test_mosaics_are_pictures_of_the_networks_size_and_the_same_each_time(package):
    photos = package("benchmarks.ghnd.photos")
    given = [np.full((60, 40 + 10 * place, 3), 40 * place, np.uint8) for place in range(5)]
    first, again = (list(photos.mosaics(given, 6, seed=1)) for _ in range(2))
    assert {picture.shape for picture in first} == {(photos.SIDE, photos.SIDE, 3)}
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    assert len({int(picture.sum()) for picture in first}) > 3


def test_pictures_keep_their_shape_and_lose_bytes_by_quality(package):
    rivals = package("benchmarks.ghnd.rivals")
    picture = np.random.default_rng(0).integers(0, 256, (120, 200, 3), np.uint8)
    sizes = []
    for quality in (5, 80):
        arrived, size = rivals.Sent(codec="webp", side=100, quality=quality).through(picture)
        assert arrived.shape == (60, 100, 3)
        sizes.append(size)
    assert 0 < sizes[0] < sizes[1]


def test_bytes_for_a_precision_lie_between_the_best_pictures(package):
    rivals = package("benchmarks.ghnd.rivals")
    points = [(100, 0.2), (400, 0.4), (300, 0.1)]
    assert rivals.bytes_for(points, 0.3) == pytest.approx(200)
    assert rivals.bytes_for(points, 0.1) == 100
    assert rivals.bytes_for(points, 0.5) is None


def test_a_share_of_the_unsplit_precision_is_taken_on_the_same_draws(package):
    measuring = package("benchmarks.ghnd.measuring")
    drawn = np.random.default_rng(0).uniform(0.3, 0.7, (101, 2))
    rows = [
        measuring.Row(kind="split", name="", sizes=np.array([10, 20]), device_mmac=1.0, drawn=part * drawn) for part in (1, 0.9)
    ]
    assert rows[1].part_of(rows[0]) == pytest.approx((0.9, 0.9, 0.9))
    assert rows[0].bytes_mean == 15
