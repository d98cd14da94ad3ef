"""Memory for a model whose weights do not fit into one protobuf message: opened, checked, cut, split, checked again, written.

A network of dense layers with its weights in a file beside the graph is generated, then handled in a process of its own. Printed
are the peak of that process over what it held after its imports, as a multiple of the file: anonymous memory (copies that were
made) and all memory, which counts pages of mapped files too; the kernel may drop those at any time.

    python benchmarks/large_model.py [--gigabytes 2.2] [--folder DIR] [--json PATH]

It needs twice that on disk, and is not part of continuous integration.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

SIDE = 32
WIDTH = 8192
LAYER_BYTES = WIDTH * WIDTH * 4
SAMPLE_S = 0.01


def generate(folder: Path, gigabytes: float) -> Path:
    """Write the model; weights go to the file block by block."""
    layers = max(2, 1 + round((gigabytes * 1e9 - 3 * SIDE * SIDE * WIDTH * 4) / LAYER_BYTES))
    block = np.random.default_rng(0).normal(0, WIDTH**-0.5, (WIDTH, WIDTH)).astype(np.float32)
    nodes, weights, offset = [helper.make_node("Flatten", ["x"], ["flat"])], [], 0
    with (folder / "large.onnx.data").open("wb") as stream:
        for index in range(layers):
            rows = 3 * SIDE * SIDE if index == 0 else WIDTH
            weights.append(_external(f"weight_{index}", (rows, WIDTH), offset))
            np.roll(block, index, axis=1)[:rows].tofile(stream)
            offset += rows * WIDTH * 4
            before = "flat" if index == 0 else f"active_{index - 1}"
            nodes.append(helper.make_node("MatMul", [before, f"weight_{index}"], [f"product_{index}"]))
            nodes.append(helper.make_node("Relu", [f"product_{index}"], [f"active_{index}"]))
    taken = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])
    given = helper.make_tensor_value_info(f"active_{layers - 1}", TensorProto.FLOAT, ["batch", WIDTH])
    graph = helper.make_graph(nodes, "large", [taken], [given], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "large.onnx")
    return folder / "large.onnx"


def _external(name: str, shape: tuple[int, ...], offset: int) -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape, data_location=TensorProto.EXTERNAL)
    for key, value in (("location", "large.onnx.data"), ("offset", offset), ("length", shape[0] * shape[1] * 4)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def held() -> tuple[int, int]:
    """Anonymous bytes of this process, and all of its bytes with every page of a file counted once however often it is mapped."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
    return sizes["Pss_Anon"], sizes["Pss"]


def handle(path: Path) -> dict[str, float]:
    """Do with the model what an export does, and watch."""
    from isthmus.export import gates
    from isthmus.export.cutting import cuts
    from isthmus.export.cutting.split import split
    from isthmus.export.doors.opening import open_model
    from isthmus.export.graph import weights

    before = held()
    peaks = [0, 0]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(SAMPLE_S):
            now = held()
            peaks[0] = max(peaks[0], now[0] - before[0])
            peaks[1] = max(peaks[1], now[1] - before[1])

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.process_time()
    source = open_model(str(path))
    chosen = cuts.find(cuts.enumerate(source.model), "active_1")
    halves = split(source.model, chosen)
    gate = gates.same_after_split(source, halves, np.random.default_rng(1).random((3, 3, SIDE, SIDE), dtype=np.float32))
    sizes = {}
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        for name, half in (("head", halves.head), ("tail", halves.tail)):
            weights.save(half, Path(folder) / f"{name}.onnx")
            sizes[name] = sum(file.stat().st_size for file in Path(folder).glob(f"{name}.onnx*"))
    done.set()
    watcher.join()
    total = path.with_name("large.onnx.data").stat().st_size
    return {
        "file_bytes": total,
        "head_bytes": sizes["head"],
        "tail_bytes": sizes["tail"],
        "anonymous_over_file": round(peaks[0] / total, 3),
        "all_over_file": round(peaks[1] / total, 3),
        "gate": gate.value,
        "cpu_s": round(time.process_time() - started, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=2.2)
    parser.add_argument("--folder", type=Path, help="where to generate; default: a temporary folder")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--handle", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.handle:
        sys.stdout.write(json.dumps(handle(chosen.handle)))
        return
    folder = Path(tempfile.mkdtemp(prefix="isthmus-large-", dir=chosen.folder))
    try:
        path = generate(folder, chosen.gigabytes)
        command = [sys.executable, __file__, "--handle", str(path)]
        row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    finally:
        shutil.rmtree(folder)
    for name, value in row.items():
        sys.stdout.write(f"{name:22} {value:,}\n")
    if chosen.json:
        chosen.json.write_text(json.dumps({"meta": {"command": " ".join(sys.argv)}, "rows": [row]}, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
