/* Error queue, event status register and error texts. */
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
    if (errors->count == ERRORS_MAX) {
        errors->codes[(errors->first + ERRORS_MAX - 1u) % ERRORS_MAX] = E_QUEUE;
        return;
    }
    errors->codes[((unsigned)errors->first + errors->count) % ERRORS_MAX] = code;
    errors->count++;
}

int16_t errors_pop(errors_t *errors)
{
    if (errors->count == 0) {
        return 0;
    }
    int16_t code = errors->codes[errors->first];
    errors->first = (uint8_t)((errors->first + 1u) % ERRORS_MAX);
    errors->count--;
    return code;
}

#define TEXTS_OF(X) \
    X(E_SYNTAX, "Syntax error") \
    X(E_TYPE, "Data type error") \
    X(E_TOO_MANY, "Parameter not allowed") \
    X(E_TOO_FEW, "Missing parameter") \
    X(E_UNKNOWN, "Undefined header") \
    X(E_BLOCK, "Invalid block data") \
    X(E_OFF, "Execution error; off, OUTP:ARM") \
    X(E_LOCKED, "Command protected") \
    X(E_CONFLICT, "Settings conflict; open the switches") \
    X(E_RANGE, "Data out of range; nothing moved") \
    X(E_WORD, "Illegal parameter value") \
    X(E_WATCHDOG, "Hardware error; watchdog, SYST:WDOG:CLE") \
    X(E_UNCALIBRATED, "Calibration failed; no valid record") \
    X(E_QUEUE, "Queue overflow") \
    X(E_OVERRUN, "Input buffer overrun") \
    X(E_NO_RESPONSE, "Time out error; a chip does not answer")

#define CODE(code, text) code,
#define TEXT(code, text) text "\0"

static const int16_t CODES[] ROM = {TEXTS_OF(CODE)};
static const char TEXTS[] ROM = TEXTS_OF(TEXT);

const char *errors_text(int16_t code)
{
    const char *text = TEXTS;
    for (uint8_t k = 0; k < sizeof CODES / sizeof CODES[0]; k++) {
        if (rom_word(&CODES[k]) == (uint16_t)code) {
            return text;
        }
        while (rom_byte(text++) != 0) {
        }
    }
    return ROM_TEXT("No error");
}
