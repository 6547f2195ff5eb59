"""Links that carry bytes to an instrument: TCP socket, serial port, VISA resource, or a dry run."""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn_drivers.transport.links.dry_run import DryLink as DryLink
    from hwlearn_drivers.transport.links.link import Link as Link
    from hwlearn_drivers.transport.links.serial_port import SerialLink as SerialLink
    from hwlearn_drivers.transport.links.tcp_socket import SocketLink as SocketLink
    from hwlearn_drivers.transport.links.visa import VisaLink as VisaLink
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
