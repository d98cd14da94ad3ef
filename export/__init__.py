"""From a model to a bundle: doors, cuts, bottlenecks, gates. Torch lives here and nowhere else."""

import os

# torch's OpenMP threads spin while they wait; where another program wants a core, one training step then takes ten times as long.
# Read once, when torch is loaded, so it is set before any module here can load it.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
