"""Notes on method: what a run measured, where, and with which clock."""

from isthmus.bench.measured import Measured

DUE = {
    "single-stream": "a frame is due when the one before it is answered by all placements, which take turns",
    "multi-stream": "a query of one frame from each device is due when the query before it is answered; its frames count as long "
    "as the query",
    "server": "frames are due at random moments, and latency counts from then, whether or not the device or the server was free",
    "offline": "all frames of a start are due at once, so a latency is how long a frame waited; the rate counts",
}
NOTES = (
    "Network time is the round trip minus the server's own total; the clocks of the two sides are never compared.",
    "Wire bytes are TCP payload both ways, counted by the link shaper: a frame's payload, and a frame's share of all the "
    "rest, opening the stream included.",
    "Device and server share this machine's cores; a board is slower, a server faster.",
    "Pictures go into the network as it is; one trained on compressed pictures would lose less.",
    "Neighbouring frames are alike, so intervals that count frames are narrower than the truth.",
)


def of_run(measured: Measured) -> list[str]:
    """One sentence or two each."""
    scenario = measured.scenario
    due = f"Latency: {scenario.words}; {DUE[scenario.name]}. To the answer, by the device's monotonic clock, gate included."
    notes = [due, *NOTES]
    if scenario.streams > 1:
        notes.append(f"All {scenario.streams} devices run on this machine and share its cores with the server.")
    return notes
