"""See `hwlearn_sim.instruments.daq.errors`."""

from hwlearn_sim.instruments.daq.errors import *  # noqa: F403  as the package of NI has them
