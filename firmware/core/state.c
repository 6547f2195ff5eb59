/* State of the board: safe state, errors, calibration and reset. */
#include "state.h"

#include <string.h>

#include "rom.h"

#define SETTLE_US 200u /* settling of the ADC's second-order 15 kHz filter to the last bit */

void board_safe(board_t *board)
{
    hal_safe(board->hal);
    board->closed = 0;
    for (uint8_t k = 0; k < HAL_DACS; k++) {
        board->dac[k] = HAL_MIDSCALE;
    }
}

void board_off(board_t *board)
{
    board_safe(board);
    board->off = board->state != 0;
}

bool board_driving(const board_t *board)
{
    for (uint8_t k = 0; k < HAL_DACS; k++) {
        if (board->dac[k] != HAL_MIDSCALE) {
            return true;
        }
    }
    return board->closed != 0;
}

void board_error(board_t *board, int16_t code)
{
    errors_push(&board->errors, code);
    board->parser.failed = true;
}

bool board_may_drive(board_t *board)
{
    int16_t code = board->tripped ? E_WATCHDOG : 0;
    if (board->off) {
        code = E_OFF;
    }
    if (!board->calibrated) {
        code = E_UNCALIBRATED;
    }
    if (code) {
        board_error(board, code);
    }
    return code == 0;
}

void board_calibrate(board_t *board)
{
    uint8_t *bytes = board->parser.block; /* not in use at this time */
    board->calibrated = record_read(board->hal, bytes);
    memset(&board->record, 0, sizeof board->record);
    board->record.serial[0] = '0';
    if (board->calibrated) {
        record_decode(&board->record, bytes);
    }
    limits_load(&board->limits, &board->record);
    for (uint8_t j = 0; j < HAL_OUTPUTS; j++) {
        board->maps[j] = scale_nudge_map(&board->record.adc[j], &board->record.dac[HAL_INPUTS + j]);
    }
}

NOINLINE void board_reset(board_t *board)
{
    board_safe(board);
    board->sequence.settle_us = SETTLE_US;
    board->sequence.average_bits = 0;
    board->sequence.sides = 2;
    board->unlocked = false;
}
