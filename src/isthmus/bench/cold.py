"""How long programs take from the start of their process to the first answer.

Cold means the process: the files it reads are in the kernel's cache from the second time on.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

import numpy as np

from isthmus.bench import programs
from isthmus.bench.cell import Cell
from isthmus.bench.cold_start import ColdStart
from isthmus.bench.measure import CONNECT_TIMEOUT_S
from isthmus.bench.runner import Runner
from isthmus.contract.bundle import Bundle
from isthmus.errors import DeviceError
from isthmus.head.link import Link
from isthmus.head.placement import Local

FIRST_ANSWER_TIMEOUT_S = 60.0


def starts(bundle: Bundle, source: str, cells: Sequence[Cell], picture: np.ndarray, count: int) -> list[ColdStart]:
    """Start the server, and the agent for every placement there is among the cells, so many times each.

    Agent and server are on this machine, without a shaped link between them.

    Args:
        bundle: what they run.
        source: what the agent takes frames from.
        cells: of the run.
        picture: what the server is asked with; uint8[row, column, 3] BGR.
        count: starts of each program.

    Raises:
        DeviceError: the agent gave no answer.
        TailUnavailable: the server does not answer.
    """
    senders = [cell for cell in cells if not isinstance(cell.placement, Local)]
    found = [_server(bundle, senders[0], picture, count)] if senders else []
    with programs.server(bundle.origin) as server:
        for name in dict.fromkeys(cell.placement.name for cell in cells):
            arguments = [str(bundle.origin), "--source", source, "--placement", name, "--no-gate", "--no-standby"]
            arguments += ["--sink", "jsonl:-"] + ([] if name == "local" else ["--tail", server.match["grpc"]])
            times = tuple(_first_answer_s(arguments) for _ in range(count))
            found.append(ColdStart(program=f"run --placement {name}", first_answer_s=times))
    return found


def _server(bundle: Bundle, sender: Cell, picture: np.ndarray, count: int) -> ColdStart:
    ready, first = [], []
    for _ in range(count):
        started = time.perf_counter()
        with programs.server(bundle.origin) as server:
            ready.append(time.perf_counter() - started)
            with Link(bundle, [server.match["grpc"]], device_id="bench-cold") as link:
                link.wait_connected(CONNECT_TIMEOUT_S)
                Runner(sender.placement, link).work(picture)
                first.append(time.perf_counter() - started)
    return ColdStart(program="serve", ready_s=tuple(ready), first_answer_s=tuple(first))


def _first_answer_s(arguments: Sequence[str]) -> float:
    """Run the agent until its first record that holds an answer."""
    command = [sys.executable, "-m", "isthmus", "run", *arguments]
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as agent:
        late = threading.Timer(FIRST_ANSWER_TIMEOUT_S, agent.kill)
        late.start()
        try:
            for line in agent.stdout or ():
                if "reason" not in json.loads(line):
                    return time.perf_counter() - started
        finally:
            late.cancel()
            agent.kill()
    raise DeviceError(f"isthmus run gave no answer within {FIRST_ANSWER_TIMEOUT_S:.0f} s: {' '.join(arguments)}")
