/* Command handlers of the SEQuence subsystem. */
#include "handlers.h"

#include "answers.h"
#include "narrow.h"
#include "numbers.h"
#include "state.h"

void do_set_settle(board_t *board, const arguments_t *arguments)
{
    board->sequence.settle_us = as_word(arguments->values[0]);
}

void do_get_settle(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    answer_number(board, board->sequence.settle_us);
}

void do_set_average(board_t *board, const arguments_t *arguments)
{
    uint8_t count = as_byte(arguments->values[0]);
    uint8_t bits = 0;
    while (!(count & 1u)) {
        count >>= 1;
        bits++;
    }
    if (count != 1u) {
        board_error(board, E_RANGE);
        return;
    }
    board->sequence.average_bits = bits;
}

void do_get_average(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    answer_number(board, (int32_t)1 << board->sequence.average_bits);
}

void do_set_sides(board_t *board, const arguments_t *arguments)
{
    board->sequence.sides = as_byte(arguments->values[0]);
}

void do_get_sides(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    answer_number(board, board->sequence.sides);
}

void do_free_phase(board_t *board, const arguments_t *arguments)
{
    sequence_run(board, SEQUENCE_FREE, arguments->block, arguments->block_size, 0);
}

void do_nudged_phase(board_t *board, const arguments_t *arguments)
{
    sequence_run(board, SEQUENCE_NUDGE, arguments->block, arguments->block_size, 0);
}

void do_two_phase(board_t *board, const arguments_t *arguments)
{
    int32_t micro = arguments->values[0];
    int32_t eta = micro > 8000000 ? 0 : number_scaled(micro, 4096, 1000000);
    if (eta < 1 || eta > 32767) {
        board_error(board, E_RANGE);
        return;
    }
    sequence_run(board, SEQUENCE_TWO_PHASE, arguments->block, arguments->block_size, as_word(eta));
}
