"""`Sandbox`: a Lua interpreter for scripts, with limits of time and memory and without access to the computer.

Keithley's script language is Lua 5.0.2 (Series 2600B Reference Manual, "Fundamentals of programming for TSP").
This is Lua 5.1 with the functions of 5.0, so it accepts a little more than the instrument.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from typing import Any, Final

from lupa.lua51 import LuaError, LuaMemoryError, LuaRuntime

from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.tsp.script.clock import script_time
from hwlearn_sim.instruments.tsp.script.generic_for import with_pairs
from hwlearn_sim.instruments.tsp.script.objects import UNUSABLE, Namespace, Value

MAX_TEXT: Final = 1 << 20
"""Maximum number of characters of a text that ``string.rep`` makes."""

MAX_PRINTED: Final = 1 << 24
"""Maximum number of bytes that a chunk prints."""

_FAILED: Final = "\0failed"
_MAX_CACHED: Final = 1 << 14  # characters of a chunk that is kept compiled
_MAX_CHUNKS: Final = 512
_PLACE: Final = re.compile(r"^tsp:(\d+): (.*)$", re.DOTALL)
_OWN_PLACE: Final = re.compile(r"^(?:instrument|factory):\d+: ")


@dataclass(frozen=True, slots=True)
class ScriptLimits:
    """What one chunk of a script may use before it is aborted.

    Attributes
    ----------
    seconds : float
        Processor time.
    kilobytes : int
        Memory of all variables of the scripts. Half of it is added for what happens between two checks.
    """

    seconds: float = 0.8
    kilobytes: int = 32 << 10


class Exhausted(VirtualInstrumentError):
    """The variables of the scripts fill the memory: the interpreter must start again without them."""

    def __init__(self) -> None:
        super().__init__(-286, "TSP Runtime error: not enough memory; all variables were removed")


class Sandbox:
    """Runs chunks of scripts. Variables are kept from one chunk to the next.

    Parameters
    ----------
    put : callable
        Takes printed text; returns whether it may be printed.
    record : callable
        Takes an error of a setting or a function, which does not end the script.
    limits : ScriptLimits
        Limits of one chunk.
    """

    def __init__(
        self, put: Callable[[str], bool], record: Callable[[VirtualInstrumentError], None], limits: ScriptLimits
    ) -> None:
        self._record = record
        self._soft, self._hard = limits.kilobytes, (limits.kilobytes << 10) * 3 // 2
        self._lua = LuaRuntime(
            unpack_returned_tuples=True,
            register_eval=False,
            register_builtins=False,
            encoding="latin-1",
            max_memory=self._hard,
            attribute_filter=_no_attributes,
        )
        start = self._lua.compile(_source("sandbox"), name="=instrument")
        self._functions = start(
            script_time, put, _new_list, list.append, UNUSABLE, limits.seconds, limits.kilobytes, MAX_TEXT
        )
        self._functions["use"](
            self._lua.compile(_source("patterns"), name="=instrument")(self._functions["natives"])
        )
        self._run, self._compile = self._functions["run"], self._functions["compile"]
        self._used = self._functions["used"]
        # an instrument publishes hundreds of items: looking each function up in Lua would take half of the time
        self._object, self._callable = self._functions["object"], self._functions["callable"]
        self._getter, self._setter = self._functions["getter"], self._functions["setter"]
        self._chunks: OrderedDict[str, Any] = OrderedDict()
        self._tables: dict[int, Any] = {}
        self._fault: Exception | None = None

    # --- objects ------------------------------------------------------------------------------------

    def publish(self, name: str, value: Value) -> None:
        """Make a value, a function or an object a global variable."""
        self._functions["environment"][name] = self._published(value)

    def load(self, name: str, *services: Any) -> Any:
        """Execute a file of functions that are part of the instrument; return its result."""
        chunk = self._functions["confine"](self._lua.compile(_source(name), name=f"={name}"))
        return chunk(self._functions, *services)

    def compile_function(self) -> Any:
        """Return a function for scripts that compiles text, or records a syntax error and returns nil."""
        return self._callable(self._guarded(self.compiled))

    def call(self, do: Any, *arguments: str) -> None:
        """Call a function that a file has returned.

        Raises
        ------
        VirtualInstrumentError
            -286 for a run-time error.
        """
        try:
            outcome = self._functions["call"](do, *arguments)
        except (LuaMemoryError, LuaError) as error:
            outcome = (False, str(error))
        if outcome is not True:
            raise _run_error(str(outcome[1]))

    def set_number_form(self, form: str) -> None:
        """Set the format in which ``print`` writes numbers."""
        self._functions["set_number_form"](form)

    def extend(self, seconds: float) -> None:
        """Let the running chunk use more processor time."""
        self._functions["extend"](seconds)

    def _published(self, value: Value, *, complete: bool = False) -> Any:
        if isinstance(value, Namespace):
            return self._table(value, complete=complete)
        return self._callable(self._guarded(value)) if callable(value) else value

    def _table(self, part: Namespace, *, complete: bool = False) -> Any:
        """Return the Lua table of an object; its items are made now, or when a script first uses one of them."""
        if id(part) in self._tables:
            return self._tables[id(part)][1]
        unknown = self._guarded(part.unknown) if part.refused else None
        indexed = None if part.indexed is None else self._guarded(part.indexed)
        fill = None if complete else self._guarded(partial(self._fill, part))
        table, *items = self._object(part.name, part.kind, part, indexed, unknown, None, fill)
        if complete:
            self._fill(part, *items, complete=True)
        self._tables[id(part)] = (part, table)
        return table

    def _fill(self, part: Namespace, fixed: Any, getters: Any, setters: Any, *, complete: bool = False) -> None:
        for key, value in part.fixed.items():
            fixed[key] = self._published(value, complete=complete)
        for key, attribute in part.attributes.items():
            getters[key] = self._getter(self._guarded(attribute.read))
            if attribute.write is not None:
                setters[key] = self._setter(self._guarded(attribute.write))

    def _guarded(self, do: Callable[..., Value]) -> Callable[..., Value]:
        """Return a function that raises nothing: Lua would hand the exception to the script."""

        def call(*arguments: Value) -> Value:
            try:
                found = do(*arguments)
                return self._made(found) if isinstance(found, Namespace) else found
            except VirtualInstrumentError as error:
                if error.code == -286:
                    return _FAILED, error.text
                self._record(error)
                return None
            except (LuaError, LuaMemoryError) as error:  # an object could not be made within the limits
                return _FAILED, "not enough memory" if isinstance(error, LuaMemoryError) else _text(str(error))
            except Exception as error:  # a fault of this program: raised after the script has ended
                self._fault = error
                return _FAILED, "internal error"

        return call

    def _made(self, part: Namespace) -> Any:
        """Return an object that a function has made; it lives as long as the script refers to it."""
        if id(part) in self._tables:
            return self._tables[id(part)][1]
        try:
            return self._table(part, complete=True)
        finally:
            self._forget(part)

    def _forget(self, part: Namespace) -> None:
        self._tables.pop(id(part), None)
        for inner in part.fixed.values():
            if isinstance(inner, Namespace):
                self._forget(inner)

    # --- chunks -------------------------------------------------------------------------------------

    def compiled(self, source: str) -> Any:
        """Return a chunk as a function.

        Raises
        ------
        VirtualInstrumentError
            -285 for a syntax error.
        """
        chunk = self._chunks.get(source)
        if chunk is not None:
            self._chunks.move_to_end(source)
            return chunk
        if source.startswith("\x1b"):
            raise _syntax_error("tsp:1: compiled chunks are refused")
        rewritten = with_pairs(source)
        found, message = self._compile(rewritten, "=tsp", rewritten is not source)
        if found is None:
            raise _syntax_error(str(message))
        if len(source) <= _MAX_CACHED:
            self._chunks[source] = found
            if len(self._chunks) > _MAX_CHUNKS:
                self._chunks.popitem(last=False)
        return found

    def run(self, source: str) -> None:
        """Execute a chunk.

        Raises
        ------
        VirtualInstrumentError
            -285 for a syntax error, -286 for a run-time error.
        Exhausted
            If the variables of the scripts fill the memory.
        """
        try:
            outcome = self._run(self.compiled(source))
            short = self._used() > 0.6 * self._soft
        except (LuaMemoryError, LuaError) as error:
            outcome, short = (False, str(error), True), True
        if short:
            self._recover()
        if self._fault is not None:
            fault, self._fault = self._fault, None
            raise fault
        if outcome is not True:
            raise _run_error(str(outcome[1]))

    def _recover(self) -> None:
        """Collect what no variable refers to. Without spare memory even that fails, so the limit is lifted."""
        self._chunks.clear()
        self._lua.set_max_memory(0)
        self._functions["collect"]()
        used = self._used()
        self._lua.set_max_memory(self._hard)
        if used > 0.6 * self._soft:
            raise Exhausted


def _no_attributes(subject: object, name: object, setting: bool) -> str:
    raise AttributeError("scripts have no access to attributes of Python objects")


def _new_list() -> list[Value]:
    return []


@cache
def _source(name: str) -> str:
    return (files("hwlearn_sim.instruments.tsp.script") / "lua" / f"{name}.lua").read_text(encoding="utf-8")


def _syntax_error(message: str) -> VirtualInstrumentError:
    at = _PLACE.match(message)
    line, text = (at[1], at[2]) if at else ("1", message)
    return VirtualInstrumentError(-285, f"TSP Syntax error at line {line}: {text}")


def _text(message: str) -> str:
    at = _PLACE.match(message)
    return at[2] if at else message


def _run_error(message: str) -> VirtualInstrumentError:
    at = _PLACE.match(message)
    if at:
        return VirtualInstrumentError(-286, f"TSP Runtime error at line {at[1]}: {at[2]}")
    return VirtualInstrumentError(-286, f"TSP Runtime error: {_OWN_PLACE.sub('', message)}")
