"""What one measurement gives."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One stretch of time under load.

    Attributes:
        seconds: how long it took.
        latencies_s: float64[request], of every request that was answered.
        server_cpu_s: user and system time of the server's processes.
        client_cpu_s: the same of the process that made the load.
    """

    seconds: float
    latencies_s: np.ndarray
    server_cpu_s: float
    client_cpu_s: float = 0.0

    @property
    def requests(self) -> int:
        """Requests that were answered."""
        return len(self.latencies_s)

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds

    @property
    def cpu_us(self) -> float:
        """CPU time of the server per request, in microseconds."""
        return self.server_cpu_s / self.requests * 1e6

    @property
    def client_us(self) -> float:
        """CPU time of the load's process per request, in microseconds."""
        return self.client_cpu_s / self.requests * 1e6
