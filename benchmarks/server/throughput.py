"""Rate, latency and CPU time under load: every server in every round, so that a slower hour is slower for all.

Whoever is not measured is frozen meanwhile: some servers take a noticeable share of a core when nobody asks them.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from benchmarks.server import bare
from benchmarks.server.contenders import Running
from benchmarks.server.environment import PeerUnavailable
from benchmarks.server.figures import Figures
from benchmarks.server.material import Material
from benchmarks.server.process import CpuClock, frozen

BARE = "bare onnxruntime"
WARM_UP_S = 0.3
PATIENCE_S = 20.0
"""How much longer than its time a measurement may take before the server counts as failed."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A server that can be started.

    Attributes:
        name: of the server.
        told: how it is served, for the page.
        start: starts it on a tail; the path is a folder for its logs.
    """

    name: str
    told: str
    start: Callable[[Material, Path], AbstractContextManager[Running]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured."""

    rounds: int = 5
    seconds: float = 2.0
    in_flight: tuple[int, ...] = (1, 8, 32)


@dataclass(slots=True, kw_only=True)
class Throughput:
    """What was measured.

    Attributes:
        rounds: by name and requests in flight, one entry for each round.
        failures: by name, what went wrong.
        idle: by name, the share of a core that a server takes when nobody asks.
    """

    rounds: dict[tuple[str, int], list[Figures]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    idle: dict[str, float] = field(default_factory=dict)


async def measure(contenders: Sequence[Contender], material: Material, work: Path, plan: Plan, say: Say) -> Throughput:
    """Start all, measure in rounds, stop all. A server that fails is left out from then on and told in `failures`."""
    found = Throughput()
    session = bare.open_session(str(material.tail))
    with contextlib.ExitStack() as stack:
        servers = await _start(contenders, material, work, stack, found, say)
        found.idle = await _idle(servers)
        for number in range(plan.rounds):
            say(f"round {number + 1} of {plan.rounds}")
            for in_flight in plan.in_flight:
                turn = [None, *servers]
                # Another one begins in every round: nobody always follows the same neighbour.
                for server in turn[number % len(turn) :] + turn[: number % len(turn)]:
                    with frozen([other.pid for other in servers if other is not server]):
                        if server is None:
                            figures = bare.measure(session, material.codes, plan.seconds)
                            found.rounds.setdefault((BARE, in_flight), []).append(figures)
                        elif server.name not in found.failures:
                            await _measure(server, in_flight, plan.seconds, found, say)
    return found


async def _start(
    contenders: Sequence[Contender], material: Material, work: Path, stack: contextlib.ExitStack, found: Throughput, say: Say
) -> list[Running]:
    servers = []
    for contender in contenders:
        say(f"starting {contender.name}")
        try:
            server = stack.enter_context(contender.start(material, work))
            await server.wait_ready(material.expected)
        except (PeerUnavailable, OSError) as error:
            found.failures[contender.name] = str(error)
            say(f"{contender.name} is left out: {error}")
        else:
            servers.append(server)
    return servers


async def _idle(servers: Sequence[Running], seconds: float = 2.0) -> dict[str, float]:
    clocks = {server.name: CpuClock(server.pid) for server in servers}
    await asyncio.sleep(seconds)
    return {name: clock.spent_s() / seconds for name, clock in clocks.items()}


async def _measure(server: Running, in_flight: int, seconds: float, found: Throughput, say: Say) -> None:
    try:
        async with asyncio.timeout(seconds + PATIENCE_S):
            figures = await load(server, in_flight, seconds)
    except Exception as error:  # whatever a peer does is its answer
        found.failures[server.name] = f"failed at {in_flight} in flight: {type(error).__name__}: {str(error)[:200]}"
        say(f"{server.name} {found.failures[server.name]}")
    else:
        found.rounds.setdefault((server.name, in_flight), []).append(figures)


async def load(server: Running, in_flight: int, seconds: float) -> Figures:
    """One measurement after a short warm-up; connecting is not part of it."""
    async with server.client(in_flight) as client:
        await client.drive(WARM_UP_S)
        clock, own, begun = CpuClock(server.pid), time.process_time(), time.perf_counter()
        latencies = await client.drive(seconds)
        spent = time.perf_counter() - begun
        return Figures(
            seconds=spent,
            latencies_s=np.array(latencies),
            server_cpu_s=clock.spent_s(),
            client_cpu_s=time.process_time() - own,
        )
