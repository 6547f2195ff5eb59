"""Data sets: files, encoding as voltages, noise and splits."""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn.lab.data.files import Features, read_csv, read_npz
    from hwlearn.lab.data.jitter import Jitter
    from hwlearn.lab.data.loading import Data, encode, load_data

__all__ = [
    "Data",
    "Features",
    "Jitter",
    "encode",
    "load_data",
    "read_csv",
    "read_npz",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "hwlearn.lab.data.files": ["Features", "read_csv", "read_npz"],
            "hwlearn.lab.data.jitter": ["Jitter"],
            "hwlearn.lab.data.loading": ["Data", "encode", "load_data"],
        },
    )
