"""`TspInstrument`: base of virtual instruments that run Keithley's script language (TSP)."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Final

from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.instrument import Clock
from hwlearn_sim.instruments.scpi.instrument import ScpiInstrument
from hwlearn_sim.instruments.tsp.node import LocalNode, Replies
from hwlearn_sim.instruments.tsp.script.objects import Value
from hwlearn_sim.instruments.tsp.script.sandbox import MAX_PRINTED, MAX_TEXT, Exhausted, Sandbox, ScriptLimits

_LOADING: Final = ("loadscript", "loadandrunscript")


class TspInstrument(ScpiInstrument):
    """Executes each line as a chunk of script on arrival.

    The lines between ``loadandrunscript`` and ``endscript`` form one chunk, and ``loadscript name`` stores it.
    IEEE 488.2 common commands also work. A model calls `start` when its variables are complete.

    Parameters
    ----------
    identity : str
        Reply to ``*IDN?``.
    model, serial : str
    clock : Clock
    limits : ScriptLimits, optional
        Limits of one chunk of script.
    """

    takes_blocks = False

    #: Files of functions in the script language that are part of the model.
    factory_scripts: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self, identity: str, model: str, serial: str, clock: Clock, limits: ScriptLimits | None = None
    ) -> None:
        super().__init__(identity, 100, clock)
        self._limits = ScriptLimits() if limits is None else limits
        self._loading: tuple[str, list[str]] | None = None
        self._loaded = 0
        self._scripts: dict[str, str] = {}
        self._node = LocalNode(model, serial, self.reset)
        self._replies = Replies(MAX_PRINTED)

    def start(self) -> None:
        """Publish the variables of the model to scripts."""
        self._globals = self._variables()
        self._sandbox = self._started()

    # --- of the models ------------------------------------------------------------------------------

    @abstractmethod
    def _variables(self) -> dict[str, Value]:
        """Return the global variables of scripts, by name."""

    def _obeys(self, text: str) -> bool:
        """Execute a message that is no script; return whether it was one."""
        return text == "abort"

    def _begin(self) -> None:
        """Do what precedes a chunk of script; nothing by default."""
        return

    def _settle(self) -> None:
        """Do what follows a message, also after an error; nothing by default."""
        return

    def _use(self, sandbox: Sandbox) -> None:
        """Take a new interpreter into use; nothing by default."""
        return

    # --- messages -----------------------------------------------------------------------------------

    def _execute(self, message: bytes) -> bytes:
        text = message.decode("latin-1").strip("\r\n\0 \t")
        common = self._loading is None and text.startswith("*")
        reply = b""
        try:
            if self._loading is not None:
                self._collect(text)
            elif self._obeys(text):
                pass
            elif common:
                reply = super()._execute(message)
            elif text.split(" ")[0] in _LOADING:
                self._loading, self._loaded = (text, []), 0
            elif text:
                self._run(text)
        except VirtualInstrumentError as error:
            self._record_error(error)
        self._settle()  # sweeps go on after an error of the script that has initiated them
        end = self._node.ends_message(self.errors, common=common, loading=self._loading is not None)
        return reply + self._replies.take() + end.encode("latin-1")

    def _collect(self, line: str) -> None:
        assert self._loading is not None
        opening, lines = self._loading
        if line != "endscript":
            lines.append(line)
            self._loaded += len(line) + 1
            if self._loaded > MAX_TEXT:
                self._loading = None
                raise VirtualInstrumentError(-225)
            return
        self._loading = None
        command, _, name = opening.partition(" ")
        source = "\n".join(lines)
        self._define(name.strip(), source)
        if command == "loadandrunscript":
            self._run(source)

    def _define(self, name: str, source: str) -> None:
        self._sandbox.compiled(source)  # a syntax error is reported, and nothing is stored
        self._scripts[name] = source
        self._sandbox.call(self._define_script, name, source)

    def _run(self, source: str) -> None:
        self._begin()
        try:
            self._sandbox.run(source)
        except Exhausted:
            self._sandbox = self._started()
            raise

    # --- variables of scripts -----------------------------------------------------------------------

    def _started(self) -> Sandbox:
        """Return a new interpreter with the instrument's variables, and the scripts that were loaded."""
        sandbox = Sandbox(self._replies.put_text, self._record_error, self._limits)
        for name, value in self._globals.items():
            sandbox.publish(name, value)
        sandbox.set_number_form(self._replies.number_form)
        self._replies.on_number_form = sandbox.set_number_form
        self._use(sandbox)
        self._define_script = sandbox.load("libraries", sandbox.compile_function())
        for name in self.factory_scripts:
            sandbox.load(name)
        for name, source in self._scripts.items():
            sandbox.call(self._define_script, name, source)
        return sandbox
