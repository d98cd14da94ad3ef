"""What a server takes in: limits of each client, and how much memory all of them may use."""

from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli.quantity import bytes_per_s, rate_per_s

if TYPE_CHECKING:
    from isthmus.tail.admission.handout import HandoutLimits
    from isthmus.tail.admission.limits import ClientLimits

PANEL = "Limits"

RateOption = Annotated[
    str | None,
    typer.Option(
        metavar="N/s", rich_help_panel=PANEL, help="Captures and calls of each client: a token, a certificate, an address."
    ),
]
BurstOption = Annotated[
    int | None, typer.Option(min=1, rich_help_panel=PANEL, help="Captures at once after a pause; by default those of one second.")
]
BytesOption = Annotated[str | None, typer.Option(metavar="SIZE/s", rich_help_panel=PANEL, help="Payload of each client.")]
ClientStreamsOption = Annotated[int | None, typer.Option(min=1, rich_help_panel=PANEL, help="Device streams of each client.")]
InFlightOption = Annotated[
    int | None, typer.Option(min=1, rich_help_panel=PANEL, help="Captures and calls of each client that are not answered yet.")
]
StreamsOption = Annotated[int, typer.Option(min=1, rich_help_panel=PANEL, help="Device streams in all.")]
QueueMemoryOption = Annotated[
    str, typer.Option(metavar="SIZE", rich_help_panel=PANEL, help="Memory of the frames of one bundle that wait.")
]
SessionMemoryOption = Annotated[
    str, typer.Option(metavar="SIZE", rich_help_panel=PANEL, help="Memory of the frames kept as references, of all devices.")
]
CacheMemoryOption = Annotated[
    str, typer.Option(metavar="SIZE", rich_help_panel=PANEL, help="Keys and values of all conversations with language models.")
]
ClientCacheMemoryOption = Annotated[
    str | None,
    typer.Option(metavar="SIZE", rich_help_panel=PANEL, help="The same for each client; default without limit."),
]
LeaseOption = Annotated[str, typer.Option(rich_help_panel=PANEL, help="How long a conversation is kept without a step.")]

UpdatesOption = Annotated[int, typer.Option(min=1, rich_help_panel=PANEL, help="Devices that fetch a bundle at a time.")]
UpdateRateOption = Annotated[
    str, typer.Option(metavar="SIZE/s", rich_help_panel=PANEL, help="Bundles for devices, all transfers together.")
]


def handout_limits(transfers: int, rate: str) -> "HandoutLimits":
    """What bundles for devices may take.

    Raises:
        UsageError: the rate is not a rate.
    """
    from isthmus.tail.admission.handout import HandoutLimits

    return HandoutLimits(transfers=transfers, bytes_per_s=bytes_per_s(rate, "--update-rate"))


def client_limits(
    rate: str | None, burst: int | None, volume: str | None, streams: int | None, in_flight: int | None
) -> "ClientLimits":
    """The limits of each client.

    Raises:
        UsageError: a rate is not a rate.
        ConfigError: a limit cannot be.
    """
    from isthmus.tail.admission.limits import ClientLimits

    return ClientLimits(
        rate_per_s=rate_per_s(rate, "--client-rate") if rate else None,
        burst=burst,
        bytes_per_s=bytes_per_s(volume, "--client-bytes") if volume else None,
        streams=streams,
        in_flight=in_flight,
    )
