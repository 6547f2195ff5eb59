"""Messages to instruments: `Transport` on top of a VISA, serial or socket link."""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn_drivers.transport.addresses import LinkOptions as LinkOptions
    from hwlearn_drivers.transport.addresses import open_link as open_link
    from hwlearn_drivers.transport.connector import Connector as Connector
    from hwlearn_drivers.transport.transport import Transport as Transport
    from hwlearn_drivers.transport.wire_log import WireLog as WireLog
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
