"""`NetworkContract`: tests of what `hwlearn.Network` promises, for the tests of a backend. They need pytest."""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn.testing.contract import NetworkContract as NetworkContract
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
