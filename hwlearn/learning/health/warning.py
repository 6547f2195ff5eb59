"""Text about the health of a gradient: all figures, and the first alarm with what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_CAUSES: Final = {
    "scale_invariance": "check offsets and gains (hwlearn check), or the stated device error",
    "contrast_error": "check the wiring and the gain of the nudges, or the stated device error",
    "one_sided_error": "one sign of the nudge is biased: use symmetric = true, or a smaller strength",
    "setpoint_error_V": "clamped outputs miss their setpoints: check wiring, offsets and gains (hwlearn check)",
    "midpoint_error_V": "the phases do not fit each other: check settling, offsets and the order of readings",
    "power_balance": "voltages and currents do not fit each other: check wiring and gains (hwlearn check)",
    "model_residual_V": "the outputs are not those of the model: check wiring, offsets, or the device error",
    "saturated_share": "readings are at the end of their range: reduce the inputs, or use a larger range",
    "update_error_V": "the outputs do not follow the updates: check the programming of the edges",
    "bias": "the contrasts are not those of the model: check wiring and signs, or the stated device error",
}


def alarm_text(number: int, health: Mapping[str, Any]) -> str:
    """Return one line about the first alarm in the health of an epoch, which has one."""
    name, others = health["alarms"][0], health["alarms"][1:]
    more = f", and {', '.join(others)}" if others else ""
    bias, size = health.get("bias"), ""
    if isinstance(bias, float) and bias > 1:
        size = f"; the bias is at least {bias:.2g} times the gradient"
    found = f"{name} is {health[name]:.3g}"
    if name != "bias":
        found += f", stated errors explain {health['limits'][name]:.3g}"
    return f"health of the gradient, epoch {number + 1}: {found}{more}{size}: {_CAUSES[name]}"


def health_text(health: Mapping[str, Any]) -> str:
    """Return the figures of an epoch that have a number, with their limits, in one line."""
    limits, parts = health["limits"], []
    for name, value in health.items():
        if isinstance(value, float) and (value or name in limits):
            most = f" (at most {limits[name]:.2g})" if name in limits else ""
            parts.append(f"{name} {value:.2g}{most}")
    return ", ".join(parts) or "no figure is applicable to this rule and network"
