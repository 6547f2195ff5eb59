#include "errors.h"

#include <stdint.h>

#include "rom.h"

void errors_push(errors_t *errors, int16_t code)
{
    uint8_t event = EVENT_QUERY;
    if (code > -200) {
        event = EVENT_COMMAND;
    } else if (code > -300) {
        event = EVENT_EXECUTION;
    } else if (code > -400) {
        event = EVENT_DEVICE;
    }
    errors->events |= event;
    if (errors->count == ERRORS_MOST) {
        errors->codes[(errors->first + ERRORS_MOST - 1u) % ERRORS_MOST] = E_QUEUE;
        return;
    }
    errors->codes[((unsigned)errors->first + errors->count) % ERRORS_MOST] = code;
    errors->count++;
}

int16_t errors_pop(errors_t *errors)
{
    if (errors->count == 0) {
        return 0;
    }
    int16_t code = errors->codes[errors->first];
    errors->first = (uint8_t)((errors->first + 1u) % ERRORS_MOST);
    errors->count--;
    return code;
}

const char *errors_text(int16_t code)
{
    switch (code) {
    case 0:
        return ROM_TEXT("No error");
    case E_SYNTAX:
        return ROM_TEXT("Syntax error");
    case E_TYPE:
        return ROM_TEXT("Data type error");
    case E_TOO_MANY:
        return ROM_TEXT("Parameter not allowed");
    case E_TOO_FEW:
        return ROM_TEXT("Missing parameter");
    case E_UNKNOWN:
        return ROM_TEXT("Undefined header");
    case E_BLOCK:
        return ROM_TEXT("Invalid block data");
    case E_LOCKED:
        return ROM_TEXT("Command protected");
    case E_CONFLICT:
        return ROM_TEXT("Settings conflict; open the switches first");
    case E_RANGE:
        return ROM_TEXT("Data out of range; nothing moved");
    case E_WORD:
        return ROM_TEXT("Illegal parameter value");
    case E_WATCHDOG:
        return ROM_TEXT("Hardware error; watchdog, SYST:WDOG:CLE");
    case E_UNCALIBRATED:
        return ROM_TEXT("Calibration failed; no valid record");
    case E_QUEUE:
        return ROM_TEXT("Queue overflow");
    case E_OVERRUN:
        return ROM_TEXT("Input buffer overrun");
    default:
        return ROM_TEXT("Time out error; a chip does not answer");
    }
}
