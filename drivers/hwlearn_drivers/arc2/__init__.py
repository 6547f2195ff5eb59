"""Backend ``arc2``: crossbars of up to 32 x 32 devices on an ArC TWO."""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn_drivers.arc2.backend import Arc2Backend as Arc2Backend
    from hwlearn_drivers.arc2.instrument import Arc2 as Arc2
    from hwlearn_drivers.arc2.network import Arc2Network as Arc2Network
    from hwlearn_drivers.arc2.settings import Arc2Settings as Arc2Settings
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
