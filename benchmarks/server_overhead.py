"""What the edge server costs on top of the network: CPU per request against a bare onnxruntime loop on the same tail.

Three processes: the server, the devices, and this one, which runs the bare loop. Rounds of both alternate, so that a machine
that gets slower or busier does so for both. CPU is user and system time of the whole server process, from `/proc`.

    python benchmarks/server_overhead.py [--rounds 7] [--seconds 3] [--devices 4] [--in-flight 2] [--json PATH]

Target: at 8 requests in flight and a tail of 0.4 ms, at most 1.35 times the CPU of the bare loop.
"""

import argparse
import asyncio
import json
import logging
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import grpc
import numpy as np
import onnx
import onnxruntime
import psutil
import structlog
import uvloop

from isthmus.codec.codec import Codec
from isthmus.contract.boundary import Boundary, CodeTensor, OperatingPoint
from isthmus.contract.bundle import Bundle, open_bundle, write_bundle
from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.generated import split_pb2_grpc
from isthmus.contract.manifest import Cut, Manifest, Port, Side
from isthmus.contract.prepare import Preparation
from isthmus.tail.server import run
from isthmus.tail.settings import ServerSettings

TARGET = 1.35
TAIL_MS = 0.4
SHAPE = (12, 14, 14)
"""A bottleneck of 2352 codes of 4 bits, 0.8 kB on the wire."""
WIDTH, CLASSES = 48, 10


def make_codes(count: int) -> np.ndarray:
    """int8[count, *SHAPE] with most codes near 0, as trained bottlenecks give them; the codec packs them with zstd."""
    drawn = np.random.default_rng(0).normal(size=(count, *SHAPE))
    return np.clip(np.round(drawn), -8, 7).astype(np.int8)


def make_tail(layers: int) -> onnx.ModelProto:
    """A stack of 3x3 convolutions of 48 channels."""
    body = ["floats = Cast <to = 1> (codes)", "a0 = Conv <pads = [1, 1, 1, 1]> (floats, w0)"]
    body += [f"r{i} = Relu (a{i - 1}) a{i} = Conv <pads = [1, 1, 1, 1]> (r{i}, w{i})" for i in range(1, layers + 1)]
    body += [f"pooled = GlobalAveragePool (a{layers})", "flat = Flatten (pooled)", "scores = Gemm (flat, last)"]
    codes = f"int8[batch, {SHAPE[0]}, {SHAPE[1]}, {SHAPE[2]}] codes"
    text = f'<ir_version: 8, opset_import: ["" : 17]> tail ({codes}) => (float[batch, {CLASSES}] scores) {{{" ".join(body)}}}'
    model = onnx.parser.parse_model(text)
    random = np.random.default_rng(0)
    shapes = {f"w{i}": (WIDTH, SHAPE[0] if i == 0 else WIDTH, 3, 3) for i in range(layers + 1)} | {"last": (WIDTH, CLASSES)}
    for name, shape in shapes.items():
        weights = (random.normal(size=shape) / np.sqrt(shape[0] * 9)).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(weights, name))
    return model


def open_session(model: bytes | str) -> onnxruntime.InferenceSession:
    """As the server opens it: one thread that does not spin."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def measure_bare(session: onnxruntime.InferenceSession, seconds: float) -> float:
    """CPU seconds of one run at batch 1."""
    codes = make_codes(1)
    count, end, begun = 0, time.perf_counter() + seconds, time.process_time()
    while time.perf_counter() < end:
        session.run(None, {"codes": codes})
        count += 1
    return (time.process_time() - begun) / count


def choose_layers() -> int:
    """As many layers as take about `TAIL_MS` on this machine."""
    times = {layers: measure_bare(open_session(make_tail(layers).SerializeToString()), 0.3) * 1000 for layers in range(1, 9)}
    return min(times, key=lambda layers: abs(times[layers] - TAIL_MS))


def make_bundle(folder: Path) -> Bundle:
    """Write a bundle around the tail; its head is never run."""
    tail = make_tail(choose_layers())
    onnx.save(tail, folder / "tail.onnx")
    (folder / "head.onnx").write_bytes(b"not used")
    codes = make_codes(2)
    scores = open_session(tail.SerializeToString()).run(None, {"codes": codes})[0]
    np.savez(folder / "golden.npz", input=np.zeros((2, 1), dtype=np.float32), codes_0=codes, outputs_scores=scores)
    side = Side(flops=0, parameters=0)
    manifest = Manifest(
        id="overhead", files={}, opset=17, onnxruntime_min="1.20", bottleneck="none", head=side, tail=side, whole=side,
        input=Port(name="image", datatype="FP32", shape=(None, 3, 112, 112)), preparation=Preparation(width=112, height=112),
        outputs=(Port(name="scores", datatype="FP32", shape=(None, CLASSES)),),
        boundary=Boundary(tensors=(CodeTensor(name="codes", shape=SHAPE, bits=4),)),
        points=(OperatingPoint(name="all", channels=(SHAPE[0],)),),
        cut=Cut(tensors=("codes",), operator="Conv", flops_share=0.0, replaces_head=False),
    )  # fmt: skip
    files = {name: folder / name for name in ("head.onnx", "tail.onnx", "golden.npz")}
    return write_bundle(folder / "bundle", manifest, files)


async def drive_device(port: int, bundle: Bundle, in_flight: int, seconds: float) -> int:
    """Keep `in_flight` captures unanswered; returns how many were answered."""
    codec = Codec(bundle.manifest.boundary, bundle.manifest.points)
    payload = codec.encode(tuple(make_codes(1)))
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        call = split_pb2_grpc.TailStub(channel).Stream()
        await call.write(wire.ToTail(open=wire.Open(contract_digest=bytes.fromhex(bundle.digest), modes=[wire.MODE_ZSTD])))
        await call.read()
        sent = answered = 0
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or answered < sent:
            while sent - answered < in_flight and time.perf_counter() < end:
                sent += 1
                await call.write(wire.ToTail(capture=wire.Capture(sequence=sent, codes=payload)))
            answer = (await call.read()).answer
            if answer.status != wire.STATUS_OK:
                raise RuntimeError(answer.message)
            answered += 1
        await call.write(wire.ToTail(close=wire.Close()))
        await call.done_writing()
    return answered


async def drive(port: int, folder: str, devices: int, in_flight: int, seconds: float) -> int:
    """All devices at once."""
    bundle = open_bundle(folder)
    return sum(await asyncio.gather(*(drive_device(port, bundle, in_flight, seconds) for _ in range(devices))))


def cpu_s(process: psutil.Process) -> float:
    """User and system time of a process."""
    times = process.cpu_times()
    return float(times.user + times.system)


def measure_server(process: psutil.Process, port: int, folder: Path, options: argparse.Namespace) -> tuple[float, float]:
    """CPU seconds of the server per request, and requests per second."""
    command = [sys.executable, __file__, "--drive", str(folder), "--port", str(port), "--seconds", str(options.seconds)]
    command += ["--devices", str(options.devices), "--in-flight", str(options.in_flight)]
    begun = cpu_s(process)
    answered = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return (cpu_s(process) - begun) / answered, answered / options.seconds


def compare(options: argparse.Namespace) -> dict[str, object]:
    """Interleave rounds of the bare loop and of the server."""
    with tempfile.TemporaryDirectory() as temporary:
        bundle = make_bundle(Path(temporary))
        session = open_session(str(bundle.path("tail.onnx")))
        command = [sys.executable, __file__, "--serve", str(bundle.folder), "--batch-max", str(options.batch_max)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                port = next(int(line.split()[1]) for line in server.stdout or () if line.startswith("ready "))
                process = psutil.Process(server.pid)
                measure_server(process, port, bundle.folder, options)
                bare, served, rates = [], [], []
                for _ in range(options.rounds):
                    bare.append(measure_bare(session, options.seconds))
                    cost, rate = measure_server(process, port, bundle.folder, options)
                    served.append(cost)
                    rates.append(rate)
            finally:
                server.terminate()
    ratios = [cost / base for cost, base in zip(served, bare, strict=True)]
    return {
        "bare_cpu_us": round(statistics.median(bare) * 1e6, 1),
        "server_cpu_us": round(statistics.median(served) * 1e6, 1),
        "overhead_us": round((statistics.median(served) - statistics.median(bare)) * 1e6, 1),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_rounds": [round(ratio, 3) for ratio in ratios],
        "target": TARGET,
        "requests_per_s": round(statistics.median(rates)),
        "in_flight": options.devices * options.in_flight,
        "batch_max": options.batch_max,
        "machine": {"cores": psutil.cpu_count(), "onnxruntime": onnxruntime.__version__, "grpc": grpc.__version__},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one round")
    parser.add_argument("--devices", type=int, default=4)
    parser.add_argument("--in-flight", type=int, default=2, help="captures of one device that are unanswered")
    parser.add_argument("--batch-max", type=int, default=1)
    parser.add_argument("--json", type=Path, help="where the figures are written")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--drive", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        # The log would go to the pipe that tells the port.
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
        settings = ServerSettings(grpc_port=0, metrics_port=None, instances=1, batch_max=options.batch_max)
        run(settings, open_bundle(options.serve), on_ready=lambda port, _metrics: print(f"ready {port}", flush=True))
    elif options.drive:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            print(runner.run(drive(options.port, options.drive, options.devices, options.in_flight, options.seconds)))
    else:
        figures = compare(options)
        text = json.dumps({"meta": {"benchmark": "server_overhead"}, "rows": [figures]}, indent=2)
        if options.json:
            options.json.write_text(text + "\n", encoding="utf-8")
        print(text)
        print(
            f"server {figures['server_cpu_us']} us of CPU per request, bare onnxruntime {figures['bare_cpu_us']} us: "
            f"ratio {figures['ratio']} (target <= {TARGET})"
        )


if __name__ == "__main__":
    main()
