"""Benches on virtual DAQ devices for the tests of the driver."""

import hwlearn as hl
from hwlearn_sim.bench.mixed import VirtualMixedBackend, VirtualMixedSettings

LIMITS = hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-3, conductance=(1.5e-5, 2e-4))
EDGES = [1e-4, 5e-5, 8e-5, 1.2e-4, 6e-5, 1e-4]


def graph():
    """Two inputs, two outputs, ground."""
    return hl.Topology(
        5, [(0, 2), (0, 3), (1, 2), (1, 3), (2, 3), (3, 4)], inputs=[0, 1], outputs=[2, 3], ground=4
    )


def device(name="daq", product="PCI-6225", **keys):
    """Return the table of an instrument; few samples, so that a test is quick."""
    return {"name": name, "model": "nidaqmx", "product": product, "samples": 8, **keys}


def terminals(source="daq", read="daq", nudges=(None, None)):
    """Return sources at the inputs and readers at the outputs."""
    found = [{"node": k, "source": f"{source}:ao{k}"} for k in range(2)]
    for k in range(2):
        nudge = {} if nudges[k] is None else {"nudge": nudges[k]}
        found.append({"node": 2 + k, "read": f"{read}:ai{k}", **nudge})
    return found


def open_daq(*instruments, wired=None, limits=LIMITS, noise=0.0, edges=EDGES, **keys):
    """Open a network on virtual devices; without noise."""
    table = VirtualMixedSettings(
        instruments=list(instruments) or [device()],
        terminals=terminals() if wired is None else wired,
        edges=edges,
        noise=noise,
        **keys,
    )
    return VirtualMixedBackend().open(table, graph(), limits)
