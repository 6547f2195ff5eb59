"""What the package nidaqmx calls instead of its C library: virtual devices.

Attributes have the numbers of NI's header file. The package makes one object of this class for each of its own.
"""

import numpy as np

from hwlearn_sim.instruments.daq import constants
from hwlearn_sim.instruments.daq.constants import LineGrouping, TaskMode, TerminalConfiguration
from hwlearn_sim.instruments.daq.errors import DaqError

_STRINGS = {0x1273: "names", 0x631: "product_type"}
_DEVICE = {0x22CA: "is_simulated", 0x632: "serial_num"}
_RANGES = {0x2990: "ai_voltage_rngs", 0x299B: "ao_voltage_rngs"}
_CHANNEL = {
    0x182C: "ao_resolution",
    0x182E: "ao_dac_rng_high",
    0x182D: "ao_dac_rng_low",
    0x1765: "ai_resolution",
    0x1815: "ai_rng_high",
    0x1816: "ai_rng_low",
}
_TYPES = {"ai": 10100, "ao": 10102, "do": 10153}
_VOLTAGE = 10322
_BITS = {"RSE": 1, "NRSE": 2, "DIFF": 4, "PSEUDO_DIFF": 8}


class Interpreter:
    """Interpreter of the package on the devices of a `VirtualDaqmx`."""

    def __init__(self, library):
        self._library, self._names = library, {}

    def _own(self, call, *arguments, **named):
        """Translate an error as the package does with a status code."""
        from nidaqmx.errors import DaqError as Theirs

        try:
            return call(*arguments, **named)
        except DaqError as error:
            raise Theirs(str(error), error.error_code) from None

    def _find(self, device):
        return self._own(lambda: self._library.system.Device(device)._own) and self._library.system.Device(device)

    # devices
    def get_device_attribute_string(self, device, attribute):
        listed = {0x231E: "ai_physical_chans", 0x231F: "ao_physical_chans", 0x2322: "do_lines"}
        if attribute in listed:
            return ", ".join(one.name for one in getattr(self._find(device), listed[attribute]))
        return str(getattr(self._find(device), _STRINGS[attribute]))

    def get_device_attribute_bool(self, device, attribute):
        names = {**_DEVICE, 0x298F: "ai_simultaneous_sampling_supported"}
        return getattr(self._find(device), names[attribute])

    get_device_attribute_uint32 = get_device_attribute_bool

    def get_device_attribute_double(self, device, attribute):
        return getattr(self._find(device), {0x298D: "ai_max_multi_chan_rate"}[attribute])

    def get_device_attribute_double_array(self, device, attribute):
        return getattr(self._find(device), _RANGES[attribute])

    def get_physical_chan_attribute_int32(self, channel, attribute):
        assert attribute == 0x2342
        listed = self._find(channel.partition("/")[0]).ai_physical_chans
        return sum(_BITS[one.name] for one in next(c for c in listed if c.name == channel).ai_term_cfgs)

    def reset_device(self, device):
        self._own(self._find(device).reset_device)

    # tasks
    def create_task(self, name):
        made = self._library.Task(name)
        self._names[id(made)] = []
        return made, True

    def clear_task(self, made):
        made.close()

    def internal_get_last_created_chan(self):
        raise NotImplementedError

    def create_ao_voltage_chan(self, made, physical, name, low, high, units, scale):
        assert (units, scale) == (constants.VoltageUnits.VOLTS.value, "")
        self._own(made.ao_channels.add_ao_voltage_chan, physical, name, low, high)
        self._names[id(made)].append(name or physical)

    def create_ai_voltage_chan(self, made, physical, name, configuration, low, high, units, scale):
        assert (units, scale) == (constants.VoltageUnits.VOLTS.value, "")
        own = TerminalConfiguration(configuration)
        self._own(made.ai_channels.add_ai_voltage_chan, physical, name, own, low, high)
        self._names[id(made)].append(name or physical)

    def create_do_chan(self, made, lines, name, grouping):
        self._own(made.do_channels.add_do_chan, lines, name, LineGrouping(grouping))
        self._names[id(made)] += [line.strip() for line in lines.split(",")]

    def cfg_samp_clk_timing(self, made, rate, source, edge, mode, samples):
        own = constants.Edge(edge), constants.AcquisitionType(mode)
        self._own(made.timing.cfg_samp_clk_timing, rate, source, *own, samples)

    def set_timing_attribute_double(self, made, attribute, value):
        assert attribute == 0x1848
        made.timing.ai_conv_rate = value

    def task_control(self, made, action):
        self._own(made.control, TaskMode(action))

    def start_task(self, made):
        self._own(made.start)

    def stop_task(self, made):
        made.stop()

    def get_task_attribute_string(self, made, attribute):
        return ", ".join(self._names[id(made)]) if attribute in (0x1273, 0x1823) else made.name

    get_read_attribute_string = get_task_attribute_string

    def get_chan_attribute_int32(self, made, channel, attribute):
        return {0x187F: _TYPES[made._kind], 0x695: _VOLTAGE}[attribute]

    def get_chan_attribute_double(self, made, channel, attribute):
        return getattr(made.channels[self._names[id(made)].index(channel)], _CHANNEL[attribute])

    def get_write_attribute_uint32(self, made, attribute):
        return 1  # one line per channel

    def write_analog_f64(self, made, samples, auto_start, timeout, layout, data):
        assert samples == 1
        self._own(made.write, np.atleast_1d(data).tolist(), auto_start, timeout)
        return 1

    def write_digital_lines(self, made, samples, auto_start, timeout, layout, data):
        assert samples == 1
        self._own(made.write, np.atleast_1d(data).tolist(), auto_start, timeout)
        return 1

    def read_analog_f64(self, made, samples, timeout, layout, data):
        found = np.array(self._own(made.read, samples, timeout))
        data[..., : found.shape[-1]] = found
        return data, found.shape[-1]
