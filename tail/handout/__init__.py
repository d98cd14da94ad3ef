"""Bundles for devices that update themselves: whole archives over `FetchBundle`, without starving the frames."""
