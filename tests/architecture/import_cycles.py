"""Find circles of imports, also those inside functions and under TYPE_CHECKING, which import-linter may not see.

Run it as a program to list them: ``python tests/architecture/import_cycles.py``. It ends with 1 if there is one.
"""

from __future__ import annotations

import sys
from pathlib import Path

import networkx as nx

sys.path.insert(0, str(Path(__file__).parent))

from source_tree import imports, modules


def cycles() -> list[list[str]]:
    """Return the strongly connected components of more than one module, each sorted, the largest first."""
    graph = nx.DiGraph()
    for name, module in modules().items():
        graph.add_edges_from((name, other) for other in imports(module))
    found = [sorted(component) for component in nx.strongly_connected_components(graph) if len(component) > 1]
    return sorted(found, key=len, reverse=True)


if __name__ == "__main__":
    circles = cycles()
    for circle in circles:
        print(f"{len(circle)} modules import each other: {', '.join(circle)}")
    print(f"{len(modules())} modules, {len(circles)} circles")
    sys.exit(bool(circles))
