/* One reference board: all its state, and the loop that keeps it going. */
#ifndef HWLEARN_BOARD_H
#define HWLEARN_BOARD_H

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

typedef struct board {
    hal_t *hal;
    line_t line;
    parser_t parser;
    errors_t errors;
    uint16_t crc; /* of the block that is being answered */

    record_t record; /* converters and serial number */
    bool calibrated; /* a whole record was found; without one nothing is driven */
    bool unlocked;   /* the record may be written, once */
    limits_t limits;
    nudge_map_t maps[HAL_OUTPUTS];

    /* what is driven */
    uint16_t dac[HAL_DACS];
    uint8_t closed;                 /* nudge switches */
    int32_t free_code[HAL_OUTPUTS]; /* free reading when its switch closed, as a DAC code */

    sequence_t sequence; /* settings */

    /* time */
    uint32_t last_byte_ms, last_message_ms;
    uint16_t watchdog_ms;
    bool tripped;
    bool rebooting;
} board_t;

/* After power-up: everything safe, settings as they are then. */
void board_init(board_t *board, hal_t *hal);

/* Handle what has come and what time brings; call it for ever. */
void board_poll(board_t *board);

/* A byte has come; the one function that an interrupt may call. */
static inline void board_rx(board_t *board, uint8_t byte)
{
    line_put(&board->line, byte);
}

/* --- for the other files of the core --- */

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
