/* Command handlers of the IEEE 488.2 common commands and of SYSTem. */
#include "handlers.h"

#include "answers.h"
#include "narrow.h"
#include "rom.h"
#include "state.h"

#define WATCHDOG_MIN_MS 50u

/* --- common commands ------------------------------------------------------------------------------ */

void do_identify(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    answer_text(board, ROM_TEXT("hwlearn,REFBOARD,"));
    answer_more_text(board, board->record.serial);
    answer_more(board, ROM_TEXT("," FIRMWARE_VERSION));
}

void do_reset(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    board_reset(board);
}

void do_clear_status(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    board->errors.count = 0;
    board->errors.events = 0;
}

void do_events(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    answer_number(board, board->errors.events);
    board->errors.events = 0;
}

void do_enable_events(board_t *board, const arguments_t *arguments)
{
    board->errors.enabled = as_byte(arguments->values[0]);
}

void do_enabled_events(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    answer_number(board, board->errors.enabled);
}

void do_status_byte(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    uint8_t status = board->errors.count ? 4u : 0u;
    if (board->errors.events & board->errors.enabled) {
        status |= 32u;
    }
    answer_number(board, status);
}

void do_operation_complete(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    board->errors.events |= EVENT_OPC;
}

void do_is_complete(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    answer_number(board, 1);
}

void do_wait_to_continue(board_t *board, const arguments_t *arguments)
{
    (void)board;
    (void)arguments;
}

void do_self_test(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    uint8_t found = 0;
    if (!board->calibrated) {
        found = 1;
    }
    if (!hal_adc_scan(board->hal, 0xFFu, board->readings)) {
        found |= 2u;
    }
    if (!hal_edges_read(board->hal, board->codes)) {
        found |= 4u;
    }
    answer_number(board, found);
}

/* --- system --------------------------------------------------------------------------------------- */

void do_next_error(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    int16_t code = errors_pop(&board->errors);
    answer_number(board, code);
    hal_transmit(board->hal, ',');
    hal_transmit(board->hal, '"');
    answer_more(board, errors_text(code));
    hal_transmit(board->hal, '"');
}

void do_count_errors(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    answer_number(board, board->errors.count);
}

void do_capability(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    answer_text(board, ROM_TEXT(PROTOCOL_VERSION ",8,4,32,256,3072"));
}

void do_set_watchdog(board_t *board, const arguments_t *arguments)
{
    uint16_t ms = as_word(arguments->values[0]);
    if (ms < WATCHDOG_MIN_MS) {
        board_error(board, E_RANGE);
        return;
    }
    board->watchdog_ms = ms;
}

void do_get_watchdog(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    answer_number(board, board->watchdog_ms);
}

void do_watchdog_tripped(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    answer_number(board, board->tripped);
}

void do_clear_watchdog(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    board->tripped = false;
}

void do_reboot(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    board_safe(board);
    board->rebooting = true; /* the main loop restarts after this command */
}
