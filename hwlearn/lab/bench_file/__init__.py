"""Read, check and write bench files."""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn.lab.bench_file.file import BenchFile as BenchFile
    from hwlearn.lab.bench_file.file import load_bench_file as load_bench_file
    from hwlearn.lab.bench_file.file import read_tables as read_tables
    from hwlearn.lab.bench_file.file import shipped_benches as shipped_benches
    from hwlearn.lab.bench_file.sections import checked_section as checked_section
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
