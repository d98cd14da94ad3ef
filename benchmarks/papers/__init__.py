"""Tables of published papers made again: their figures beside ours, and what differs."""
