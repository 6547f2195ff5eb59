"""See `hwlearn_sim.instruments.daq.constants`."""

from hwlearn_sim.instruments.daq.constants import *  # noqa: F403  as the package of NI has them
