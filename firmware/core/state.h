/* All that one reference board knows, and what every file of the core may do to it. */
#ifndef HWLEARN_STATE_H
#define HWLEARN_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "errors.h"
#include "hal.h"
#include "limits.h"
#include "line.h"
#include "parser.h"
#include "record.h"
#include "scale.h"
#include "sequence.h"

#define FIRMWARE_VERSION "1.0.0"
#define PROTOCOL_VERSION "1"

/* What is used most comes first: the AVR reaches the first 64 bytes behind a pointer at no cost. */
typedef struct board {
    hal_t *hal;
    uint8_t closed; /* nudge switches */
    bool calibrated; /* a whole record was found; without one nothing is driven */
    bool unlocked;   /* the record may be written, once */
    bool tripped;    /* the watchdog */
    bool rebooting;
    sequence_t sequence; /* settings */
    uint16_t crc;        /* of the block that is being answered */
    uint16_t watchdog_ms;
    uint32_t last_byte_ms, last_message_ms;
    errors_t errors;

    uint16_t dac[HAL_DACS];          /* as text commands set them */
    uint16_t free_code[HAL_OUTPUTS]; /* what its output read, left alone, when its switch closed */
    nudge_map_t maps[HAL_OUTPUTS];
    limits_t limits;
    record_t record; /* converters and serial number */
    line_t line;
    parser_t parser;
} board_t;

/* Open the switches, then bring every DAC to midscale. */
void board_safe(board_t *board);

/* Whether anything is driven. */
bool board_driving(const board_t *board);

/* An error: it is queued, and the rest of the message is not obeyed. */
void board_error(board_t *board, int16_t code);

/* Whether something may be driven now; if not, the error is queued. */
bool board_may_drive(board_t *board);

/* Take over the newest calibration record, and the limits in it. */
void board_calibrate(board_t *board);

/* Settings as after *RST; safe. */
void board_reset(board_t *board);

#endif
