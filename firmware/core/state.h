/* State of the board, and operations on it that all files of the core use. */
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

#define FIRMWARE_VERSION "1.1.0"
#define PROTOCOL_VERSION "2"

/* The most used members come first: the AVR addresses 64 bytes relative to a pointer at no extra cost. */
typedef struct board {
    hal_t *hal;
    uint8_t closed; /* nudge switches */
    bool calibrated; /* a valid record was found; without one no output can be driven */
    bool unlocked;   /* the record may be written once */
    bool tripped;    /* watchdog latch */
    bool off;        /* OFF latch: a held board was switched off */
    bool rebooting;
    sequence_t sequence; /* settings */
    uint16_t crc;        /* CRC of the block that is being sent */
    uint16_t watchdog_ms;
    uint16_t state; /* number of changes, from the number that the host has set; 0: no host holds the board */
    uint32_t last_byte_ms, last_message_ms;
    errors_t errors;

    uint16_t dac[HAL_DACS];          /* as text commands set them */
    uint16_t free_code[HAL_OUTPUTS]; /* free reading of the output when its switch was closed */
    nudge_map_t maps[HAL_OUTPUTS];
    limits_t limits;
    record_t record; /* converters and serial number */
    uint8_t codes[HAL_EDGES];    /* of the command that runs; on the stack they would cost flash */
    uint16_t readings[HAL_ADCS]; /* of the command that runs */
    line_t line;
    parser_t parser;
} board_t;

/* Enter the safe state: open all switches, then set every DAC to midscale. */
void board_safe(board_t *board);

/* Enter the safe state. If a host holds the board, outputs stay off until it allows them again. */
void board_off(board_t *board);

/* Return whether an output is driven. */
bool board_driving(const board_t *board);

/* Queue an error. The rest of the message is not executed. */
void board_error(board_t *board, int16_t code);

/* Return whether outputs may be driven; if not, queue the error. */
bool board_may_drive(board_t *board);

/* Load the newest calibration record and its limits. */
void board_calibrate(board_t *board);

/* Enter the safe state and set the settings of *RST. */
void board_reset(board_t *board);

#endif
