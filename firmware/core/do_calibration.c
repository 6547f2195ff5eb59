/* Command handlers of the CALibration subsystem. */
#include "handlers.h"

#include <string.h>

#include "answers.h"
#include "state.h"

void do_get_record(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    uint8_t *bytes = board->parser.block; /* free: this command has no block */
    if (!record_read(board->hal, bytes)) {
        board_error(board, E_UNCALIBRATED);
        return;
    }
    answer_block(board, RECORD_SIZE - 2u);
    for (uint16_t k = 0; k < RECORD_SIZE - 2u; k++) {
        answer_byte(board, bytes[k]);
    }
    answer_block_end(board);
}

void do_unlock(board_t *board, const arguments_t *arguments)
{
    const parameter_t *serial = &arguments->parameters[0];
    board->unlocked = serial->size == strlen(board->record.serial) &&
                      memcmp(serial->text, board->record.serial, serial->size) == 0;
    if (!board->unlocked) {
        board_error(board, E_WORD);
    }
}

void do_set_record(board_t *board, const arguments_t *arguments)
{
    int16_t code = record_plausible(arguments->block) ? 0 : E_RANGE;
    if (board->closed) {
        code = E_CONFLICT;
    }
    if (!board->unlocked) {
        code = E_LOCKED;
    }
    if (code) {
        board_error(board, code);
        return;
    }
    board->unlocked = false;
    board_safe(board);
    record_store(board->hal, board->parser.block); /* the same memory as arguments->block, but not const */
    board_calibrate(board);
    if (!board->calibrated) {
        board_error(board, E_UNCALIBRATED);
    }
}
