"""Messages of the models, shared by the tests of exact traffic."""

from hwlearn_drivers.instrument.instrument import Identity
from hwlearn_drivers.smu import ChannelLimit

CHANNEL_LIMIT = ChannelLimit(2.0, 1e-3)
K2400 = Identity("KEITHLEY INSTRUMENTS INC.", "MODEL 2400", "1234567", "C30")
K2450 = Identity("KEITHLEY INSTRUMENTS", "MODEL 2450", "04012345", "1.7.0b")
K2612B = Identity("Keithley Instruments Inc.", "Model 2612B", "4012345", "3.3.5")
B2902A = Identity("Keysight Technologies", "B2902A", "MY51140001", "3.4.2011.5100")


def scpi(*commands):
    """Each setting is followed by a query of the error queue."""
    return [entry for command in commands for entry in ((command, None), (":SYST:ERR?", '0,"No error"'))]


def together(*commands):
    return [*((command, None) for command in commands), (":SYST:ERR?", '+0,"No error"')]


def limit(header, value, answer):
    """Set a limit; it is read back together with the error queue."""
    return [(f"{header} {value}", None), (f"{header}?;:SYST:ERR?", f'{answer};+0,"No error"')]


def tsp(*commands):
    return [
        entry
        for command in commands
        for entry in ((command, None), ("print(errorqueue.count)", "0.000000000000000e+00"))
    ]


def tsp_limit(attribute, value, answer):
    return [(f"{attribute}={value}", None), (f"print({attribute},errorqueue.count)", f"{answer}\t0.0e+00")]


def tsp_together(*commands):
    return [*((command, None) for command in commands), ("print(errorqueue.count)", "0.00000e+00")]


OPEN_2400 = [
    (":OUTP 0", None),
    *scpi("*CLS", "*RST", ":SENS:FUNC:CONC 1", ':SENS:FUNC "VOLT","CURR"', ":FORM:ELEM VOLT,CURR"),
    *scpi(":SENS:CURR:NPLC 1.0", ":SYST:RSEN 0"),
]
VOLTS_2400 = ":OUTP?;:SOUR:FUNC?;:SOUR:VOLT?;:SENS:CURR:PROT?"
AMPERES_2400 = ":OUTP?;:SOUR:FUNC?;:SOUR:CURR?;:SENS:VOLT:PROT?"
CLOSE_2400 = [(":OUTP 0", None), (":OUTP?", "0")]


SOURCE_2400 = [
    *limit(":SENS:CURR:PROT", 0.001, "1.000000E-03"),
    *scpi(":SOUR:VOLT:RANG:AUTO 1", ":SOUR:VOLT 0.0"),
    *together(":SOUR:FUNC VOLT", ":SENS:CURR:RANG:AUTO 1"),
    (VOLTS_2400, "0;VOLT;0.000000E+00;1.000000E-03"),
    *scpi(":OUTP 1"),
]
