"""Keep pytest out of the campaigns themselves: only their shares are tests."""

from pathlib import Path

collect_ignore = [path.name for path in Path(__file__).parent.glob("*.py") if not path.name.startswith("test_")]
