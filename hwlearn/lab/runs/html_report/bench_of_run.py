"""What the stored bench file of a run describes: network, data and cost, without its backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.circuit.topology import Topology
from hwlearn.errors import HwlearnError
from hwlearn.lab.bench.recipes import make_cost, make_targets
from hwlearn.lab.bench_file.file import BenchFile, load_bench_file, parse_bench_file
from hwlearn.lab.data.loading import Data, load_data
from hwlearn.lab.runs.contents import RunContents
from hwlearn.lab.runs.inputs import data_hashes, own_files
from hwlearn.learning.costs import Cost
from hwlearn.network.limits import Limits


@dataclass(frozen=True, eq=False)
class BenchOfRun:
    """The bench of a run as far as it can be read from the run folder.

    Attributes
    ----------
    file : BenchFile
    topology : Topology
    limits : Limits
    data : Data or None
        None if the data of the run is not available any more.
    cost : Cost or None
    targets : ndarray or None
        As the cost takes them.
    missing : str
        Why the data is None.
    """

    file: BenchFile
    topology: Topology
    limits: Limits
    data: Data | None = None
    cost: Cost | None = None
    targets: FloatArray | IntArray | None = None
    missing: str = ""

    @classmethod
    def of(cls, contents: RunContents) -> Self:
        """Read the bench of a run; no backend and no instrument is needed.

        Raises
        ------
        HwlearnError
            If the bench file cannot be read, for example because it names elements that are not installed.
        """
        file = _bench_file(contents)
        topology, limits = file.topology(), file.limits.build()
        try:
            data = load_data(file.data, file.folder, topology, limits)
            known = contents.meta("data_sha256")
            if known is not None and data_hashes(data)["data"] != known:
                return cls(file, topology, limits, missing="the data file is not that of the run any more")
            cost = make_cost(file.train, data.classifies, data.pairs)
            targets = make_targets(file, data, cost, topology.n_outputs)
        except (HwlearnError, OSError) as error:
            return cls(file, topology, limits, missing=f"the data of the run cannot be read: {error}")
        return cls(file, topology, limits, data, cost, targets)


def _bench_file(contents: RunContents) -> BenchFile:
    facts, folder = contents.facts, contents.folder
    settings = facts.get("settings")
    if settings is None:  # format 1
        return load_bench_file(folder / "bench.toml")
    file = parse_bench_file(str(settings), str(facts.get("bench")), folder)
    return file.with_(own_files(facts, folder))
