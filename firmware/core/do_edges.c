/* Command handlers of the EDGE subsystem. */
#include "handlers.h"

#include "answers.h"
#include "crc16.h"
#include "narrow.h"
#include "state.h"

static bool read_edges(board_t *board)
{
    if (hal_edges_read(board->hal, board->codes)) {
        return true;
    }
    board_error(board, E_NO_RESPONSE);
    return false;
}

static void write_edges(board_t *board)
{
    if (!hal_edges_write(board->hal, board->codes)) {
        board_error(board, E_NO_RESPONSE);
    }
}

static bool edge_allowed(const board_t *board, int32_t code)
{
    return code >= board->limits.edge_low && code <= board->limits.edge_high;
}

static bool may_program(board_t *board)
{
    int16_t code = board->calibrated ? 0 : E_UNCALIBRATED;
    if (board->closed) {
        code = E_CONFLICT;
    }
    if (code) {
        board_error(board, code);
    }
    return code == 0;
}

void do_set_edges(board_t *board, const arguments_t *arguments)
{
    const uint8_t *word = arguments->block;
    if (!may_program(board)) {
        return;
    }
    for (uint8_t k = 0; k < HAL_EDGES; k++, word += 2) {
        if (word[1] != 0 || !edge_allowed(board, word[0])) {
            board_error(board, E_RANGE);
            return;
        }
        board->codes[k] = word[0];
    }
    write_edges(board);
}

void do_get_edges(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    if (!read_edges(board)) {
        return;
    }
    answer_block(board, 2u * HAL_EDGES);
    for (uint8_t k = 0; k < HAL_EDGES; k++) {
        uint16_t word = board->codes[k];
        answer_words(board, &word, 1);
    }
    answer_block_end(board);
}

void do_set_edge(board_t *board, const arguments_t *arguments)
{
    int32_t code = arguments->values[1];
    if (!may_program(board)) {
        return;
    }
    if (!edge_allowed(board, code)) {
        board_error(board, E_RANGE);
        return;
    }
    if (read_edges(board)) {
        board->codes[as_byte(arguments->values[0])] = as_byte(code);
        write_edges(board);
    }
}

void do_get_edge(board_t *board, const arguments_t *arguments)
{
    if (read_edges(board)) {
        answer_number(board, board->codes[as_byte(arguments->values[0])]);
    }
}

void do_get_state(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    if (!read_edges(board)) {
        return;
    }
    uint16_t crc = CRC16_START;
    for (uint8_t k = 0; k < HAL_EDGES; k++) {
        crc = crc16(crc16(crc, board->codes[k]), 0); /* as in the block of EDGE:DATA? */
    }
    /* negative: OFF */
    answer_number(board, board->off ? -(int32_t)board->state : (int32_t)board->state);
    answer_next_number(board, crc);
}
