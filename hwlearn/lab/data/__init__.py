"""Data sets: files, encoding as voltages, noise and splits."""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn.lab.data.distortion import Distortion as Distortion
    from hwlearn.lab.data.features import Features as Features
    from hwlearn.lab.data.features import Selection as Selection
    from hwlearn.lab.data.files import read_npz as read_npz
    from hwlearn.lab.data.jitter import Jitter as Jitter
    from hwlearn.lab.data.loading import Data as Data
    from hwlearn.lab.data.loading import encode as encode
    from hwlearn.lab.data.loading import load_data as load_data
    from hwlearn.lab.data.scaling import OutputScale as OutputScale
    from hwlearn.lab.data.table_features import read_csv as read_csv
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
