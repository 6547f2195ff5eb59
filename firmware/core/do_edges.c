/* Command handlers of the EDGE subsystem. */
#include "handlers.h"

#include "answers.h"
#include "narrow.h"
#include "state.h"

static bool read_edges(board_t *board, uint8_t *codes)
{
    if (hal_edges_read(board->hal, codes)) {
        return true;
    }
    board_error(board, E_NO_RESPONSE);
    return false;
}

static void write_edges(board_t *board, const uint8_t *codes)
{
    if (!hal_edges_write(board->hal, codes)) {
        board_error(board, E_NO_RESPONSE);
    }
}

static bool edge_allowed(const board_t *board, uint8_t code)
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
    uint8_t codes[HAL_EDGES];
    const uint8_t *word = arguments->block;
    if (!may_program(board)) {
        return;
    }
    for (uint8_t k = 0; k < HAL_EDGES; k++, word += 2) {
        if (word[1] != 0 || !edge_allowed(board, word[0])) {
            board_error(board, E_RANGE);
            return;
        }
        codes[k] = word[0];
    }
    write_edges(board, codes);
}

void do_get_edges(board_t *board, const arguments_t *arguments)
{
    uint8_t codes[HAL_EDGES];
    (void)arguments;
    if (!read_edges(board, codes)) {
        return;
    }
    answer_block(board, 2u * HAL_EDGES);
    for (uint8_t k = 0; k < HAL_EDGES; k++) {
        uint16_t word = codes[k];
        answer_words(board, &word, 1);
    }
    answer_block_end(board);
}

void do_set_edge(board_t *board, const arguments_t *arguments)
{
    uint8_t codes[HAL_EDGES];
    uint8_t code = as_byte(arguments->values[1]);
    if (!may_program(board)) {
        return;
    }
    if (!edge_allowed(board, code)) {
        board_error(board, E_RANGE);
        return;
    }
    if (read_edges(board, codes)) {
        codes[as_byte(arguments->values[0])] = code;
        write_edges(board, codes);
    }
}

void do_get_edge(board_t *board, const arguments_t *arguments)
{
    uint8_t codes[HAL_EDGES];
    if (read_edges(board, codes)) {
        answer_number(board, codes[as_byte(arguments->values[0])]);
    }
}
