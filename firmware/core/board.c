/* Start, main loop and message watchdog. */
#include "board.h"

#include <string.h>

#define WATCHDOG_MS 2000u

void board_init(board_t *board, hal_t *hal)
{
    memset(board, 0, sizeof *board);
    board->hal = hal;
    board_reset(board);
    board_calibrate(board);
    board->watchdog_ms = WATCHDOG_MS;
    board->last_byte_ms = board->last_message_ms = hal_millis(hal);
    board->errors.events = EVENT_POWER;
    if (!board->calibrated) {
        errors_push(&board->errors, E_UNCALIBRATED);
    }
}

static void check_watchdog(board_t *board, uint32_t now)
{
    if (now - board->last_message_ms > board->watchdog_ms && board_driving(board)) {
        board_safe(board);
        board->tripped = true;
        errors_push(&board->errors, E_WATCHDOG);
    }
}

void board_poll(board_t *board)
{
    hal_kick(board->hal);
    uint32_t now = hal_millis(board->hal);
    if (!line_empty(&board->line)) {
        if (now - board->last_byte_ms > BLOCK_QUIET_MS) {
            parser_quiet(board); /* the new bytes are not part of a block that was interrupted before */
        }
        parser_run(board);
        board->last_byte_ms = now = hal_millis(board->hal);
    } else if (board->line.lost) {
        parser_overrun(board);
        board->line.lost = false;
    } else if (now - board->last_byte_ms > BLOCK_QUIET_MS) {
        parser_quiet(board);
    }
    check_watchdog(board, now);
    if (board->rebooting) {
        board_safe(board);
        hal_reboot(board->hal);
    }
}
