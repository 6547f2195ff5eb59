"""Switches instruments off whoever uses them: directly, through the owner, or by ending the owner.

The owner of the claim is asked to send OFF. Where the link admits several clients, OFF is also sent directly: at
once if nobody owns the instrument, else when the owner has confirmed, at the latest after 0.15 s. Where the link
admits one client, only its owner can send; if it does not confirm within one second, it is ended and the link is
opened.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Generic, TypeVar

from hwlearn.errors import SetupError
from hwlearn.network.switched_off import SwitchedOff, Way
from hwlearn_drivers.address import normal_address
from hwlearn_drivers.claims.ask import CONFIRM_S, Confirmation, ask_for_off, end_owner
from hwlearn_drivers.claims.claim import claim_path, owner_of
from hwlearn_drivers.claims.keys import AddressKey, address_key
from hwlearn_drivers.claims.owner import Owner
from hwlearn_drivers.errors import LinkError, OutputsMayBeOnError

SOURCES_OFF_S: Final = 0.05
"""Time in seconds in which a source obeys OFF; a switch matrix waits for it, because relays wear under voltage."""

_LONGEST_S: Final = 9.0  # for everything; each step has a shorter limit of its own
_DIRECT_S: Final = 3.0  # until OFF was sent directly, and answered
_OWNER_FIRST_S: Final = 0.15  # OFF is sent directly after this time at the latest
_QUICK_S: Final = 0.5  # a link that failed later than this is not tried twice

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class OffTarget:
    """An instrument that is to be switched off.

    Attributes
    ----------
    name : str
        Its address, for messages.
    send : callable
        Opens the link, sends OFF and closes it; raises `LinkError`. If its argument is true, it also finds out,
        after OFF, whether the instrument answers on this link, and returns that.
    key : AddressKey or None
        None in a dry run, in which no claim is looked at.
    outputs : tuple of str
        Names of the outputs that OFF is sent to.
    """

    name: str
    send: Callable[[bool], bool]
    key: AddressKey | None
    outputs: tuple[str, ...] = ()


def off_target(
    address: str, send: Callable[[bool], bool], dry_run: bool, outputs: tuple[str, ...] = ()
) -> OffTarget:
    """Return the target behind an address; an address without a known form fails when OFF is sent, not before.

    So one wrong address does not keep OFF from the other instruments.
    """
    try:
        name = normal_address(address)
    except SetupError as error:
        return OffTarget(address, partial(_refuse, str(error)), None)
    return OffTarget(name, send, None if dry_run else address_key(name), outputs)


def _refuse(why: str, check: bool) -> bool:
    raise LinkError(why)


@dataclass(frozen=True, slots=True)
class OffResult:
    """What was done with one instrument.

    Attributes
    ----------
    name : str
    done : SwitchedOff or None
        None if OFF could not be sent.
    failure : str
        Why it could not be sent.
    """

    name: str
    done: SwitchedOff | None = None
    failure: str = ""


def switch_off(targets: Sequence[OffTarget]) -> list[OffResult]:
    """Switch instruments off in parallel; this ends within seconds, even with instruments that are gone."""
    owners = _Owners()
    work = [_Background(partial(_switch_off, target, owners)) for target in targets]
    deadline = time.monotonic() + _LONGEST_S
    for one in work:
        one.wait(deadline - time.monotonic())
    results = []
    for target, one in zip(targets, work, strict=True):
        if one.error is not None and not isinstance(one.error, LinkError):
            raise one.error
        late = f"it was not done after {_LONGEST_S:g} s" if one.error is None else str(one.error)
        results.append(OffResult(target.name, failure=late) if one.result is None else one.result)
    return results


def _switch_off(target: OffTarget, owners: _Owners) -> OffResult:
    try:
        owner, doubt = owner_of(target.key), ""
    except SetupError as error:  # OFF is never refused
        owner, doubt = None, f"claims cannot be read: {error}"
    if owner is None:
        _send(target, check=False)
        return OffResult(target.name, SwitchedOff(target.name, "direct", doubt))
    assert target.key is not None
    asked = owners.ask(owner)
    # an owner that answers at once is told by whom it is switched off, before it finds its outputs off
    asked.wait(_OWNER_FIRST_S)
    direct = None if target.key.exclusive else _Background(partial(_send, target, check=True))
    asked.wait(CONFIRM_S + 0.2)
    reply = Confirmation(False) if asked.result is None else asked.result
    sent = False
    if reply.confirmed and target.key.text not in reply.failed:
        # the connection may be one that the instrument does not read: what the owner confirms counts
        sent = direct is not None and direct.done and direct.error is None
        way: Way = "direct and owner" if sent else "owner"
        return OffResult(target.name, SwitchedOff(target.name, way, f"confirmed by {owner}"))
    reason = reply.failed.get(target.key.text, f"it did not confirm within {CONFIRM_S:g} s")
    if direct is not None:
        direct.wait(_DIRECT_S)
        sent = direct.done and direct.error is None
        if direct.result:
            return OffResult(target.name, SwitchedOff(target.name, "direct", f"still in use by {owner}: {reason}"))
    kept = owners.end(owner, target.key)
    if kept is not None:
        also = "; OFF was written to a second connection, which the instrument may not read" if sent else ""
        return OffResult(target.name, failure=f"it is in use by {owner}: {reason}; {kept}{also}")
    _send(target, check=False)
    return OffResult(target.name, SwitchedOff(target.name, "owner ended", f"ended {owner}: {reason}"))


def _send(target: OffTarget, check: bool) -> bool:
    began = time.monotonic()
    try:
        return target.send(check)
    except LinkError:
        if time.monotonic() - began > _QUICK_S:
            raise
    # a link that was just dropped may work again; the error is gone first, because it may keep the link open
    return target.send(check)


class _Owners:
    """Asks each owner once, and ends it at most once, though it may own several of the instruments."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: dict[tuple[str, int, str], _Background[Confirmation]] = {}
        self._ended: dict[tuple[str, int, str], str | None] = {}

    def ask(self, owner: Owner) -> _Background[Confirmation]:
        with self._lock:
            who = (owner.host, owner.pid, owner.start)
            if who not in self._asked:
                self._asked[who] = _Background(partial(ask_for_off, owner))
            return self._asked[who]

    def end(self, owner: Owner, key: AddressKey) -> str | None:
        with self._lock:
            who = (owner.host, owner.pid, owner.start)
            if who not in self._ended:
                self._ended[who] = end_owner(owner, claim_path(key))
            return self._ended[who]


class _Background(Generic[_Result]):
    """A call in a daemon thread: one that blocks does not keep the program from ending."""

    def __init__(self, call: Callable[[], _Result]) -> None:
        self.result: _Result | None = None
        self.error: Exception | None = None
        self._call, self._ended = call, threading.Event()
        threading.Thread(target=self._run, name="off", daemon=True).start()

    @property
    def done(self) -> bool:
        return self._ended.is_set()

    def wait(self, seconds: float) -> None:
        self._ended.wait(max(0.0, seconds))

    def _run(self) -> None:
        try:
            self.result = self._call()
        except Exception as error:
            self.error = error
        finally:
            self._ended.set()


def off_or_raise(targets: Sequence[OffTarget], what: str, advice: str) -> list[SwitchedOff]:
    """Switch instruments off, and return how.

    Parameters
    ----------
    targets : sequence of OffTarget
    what : str
        Which outputs an instrument has, in capitals.
    advice : str
        What a person is to do if OFF cannot be sent.

    Raises
    ------
    OutputsMayBeOnError
        Naming, in capitals, the instruments to which OFF could not be sent. All others have received it.
    """
    return off_in_stages([targets], what, advice)


def off_in_stages(stages: Sequence[Sequence[OffTarget]], what: str, advice: str) -> list[SwitchedOff]:
    """Switch instruments off, those of one stage in parallel, and return how; as `off_or_raise`.

    A stage begins `SOURCES_OFF_S` after the one before it has ended, also if OFF did not reach all instruments of
    that.
    """
    targets = [target for stage in stages for target in stage]
    results: list[OffResult] = []
    for stage in stages:
        if stage and results:
            time.sleep(SOURCES_OFF_S)
        results += switch_off(stage)
    done = [
        replace(result.done, outputs=target.outputs)
        for target, result in zip(targets, results, strict=True)
        if result.done is not None
    ]
    failed = [f"{result.name} ({result.failure})" for result in results if result.done is None]
    if failed:
        raise OutputsMayBeOnError(f"OUTPUTS MAY BE ON: {what} OF {', '.join(failed)}; {advice}", done)
    return done
