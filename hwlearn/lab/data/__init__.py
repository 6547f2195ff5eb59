"""Data sets: files, encoding as voltages, noise and splits."""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn.lab.data.files import Features as Features
    from hwlearn.lab.data.files import read_csv as read_csv
    from hwlearn.lab.data.files import read_npz as read_npz
    from hwlearn.lab.data.jitter import Jitter as Jitter
    from hwlearn.lab.data.loading import Data as Data
    from hwlearn.lab.data.loading import encode as encode
    from hwlearn.lab.data.loading import load_data as load_data
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
