/* Error queue and event status register as defined by SCPI and IEEE 488.2. */
#ifndef HWLEARN_ERRORS_H
#define HWLEARN_ERRORS_H

#include <stdint.h>

enum {
    E_SYNTAX = -102,
    E_TYPE = -104,
    E_TOO_MANY = -108,
    E_TOO_FEW = -109,
    E_UNKNOWN = -113,
    E_BLOCK = -161,
    E_OFF = -200,
    E_LOCKED = -203,
    E_CONFLICT = -221,
    E_RANGE = -222,
    E_WORD = -224,
    E_WATCHDOG = -240,
    E_UNCALIBRATED = -340,
    E_QUEUE = -350,
    E_OVERRUN = -363,
    E_NO_RESPONSE = -365
};

enum { EVENT_OPC = 1, EVENT_QUERY = 4, EVENT_DEVICE = 8, EVENT_EXECUTION = 16, EVENT_COMMAND = 32, EVENT_POWER = 128 };

#define ERRORS_MAX 8u

typedef struct {
    int16_t codes[ERRORS_MAX];
    uint8_t first, count;
    uint8_t events, enabled;
} errors_t;

void errors_push(errors_t *errors, int16_t code);
int16_t errors_pop(errors_t *errors); /* 0: the queue is empty */

/* Return the text of an error code, in flash. */
const char *errors_text(int16_t code);

#endif
