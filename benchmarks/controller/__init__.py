"""The controller on recorded links, beside every fixed placement and an oracle that knows the recording."""
