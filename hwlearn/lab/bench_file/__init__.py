"""Read, check and write bench files."""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn.lab.bench_file.file import BenchFile, load_bench_file, read_tables, shipped_benches
    from hwlearn.lab.bench_file.sections import checked_section

__all__ = [
    "BenchFile",
    "checked_section",
    "load_bench_file",
    "read_tables",
    "shipped_benches",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "hwlearn.lab.bench_file.file": ["BenchFile", "load_bench_file", "read_tables", "shipped_benches"],
            "hwlearn.lab.bench_file.sections": ["checked_section"],
        },
    )
