"""The folder of these tests is on the path: some of them share a backend."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
