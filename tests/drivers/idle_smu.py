"""An idle SMU of any model that records its messages, for tests of `SmuChannel`."""

import io

from hwlearn_drivers.instrument.instrument import Identity
from hwlearn_drivers.smu import ChannelLimit
from hwlearn_drivers.smu.dry_answers import DryAnswers
from hwlearn_drivers.smu.registry import family_of
from hwlearn_drivers.transport.links.dry_run import DryLink
from hwlearn_drivers.transport.transport import Transport

MODELS = ["2400", "2450", "2612B", "B2902A"]
CHANNEL_LIMIT = ChannelLimit(2.0, 1e-3)


class Recorder(DryLink):
    """An idle instrument that records the messages it receives."""

    __slots__ = ("lines",)

    def __init__(self, model):
        super().__init__(model, DryAnswers(model), io.StringIO())
        self.lines = []

    def write(self, data):
        self.lines += data.decode("ascii").removesuffix("\n").split("\n")
        super().write(data)


def opened(model, channel_limit=CHANNEL_LIMIT, channel=1):
    link = Recorder(model)
    transport = Transport(model, lambda: link)
    smu = family_of(model)(transport, Identity("MAKER", model, "1", "1"), {channel: channel_limit})
    return smu, smu.channel(channel), link
