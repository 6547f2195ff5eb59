/* One reference board: the loop that keeps it going, and the way its bytes come in. */
#ifndef HWLEARN_BOARD_H
#define HWLEARN_BOARD_H

#include "state.h"

/* After power-up: everything safe, settings as they are then. */
void board_init(board_t *board, hal_t *hal);

/* Handle what has come and what time brings; call it for ever. */
void board_poll(board_t *board);

/* A byte has come. Only this and board_rx_lost may be called from an interrupt. */
static inline void board_rx(board_t *board, uint8_t byte)
{
    line_put(&board->line, byte);
}

/* A byte has come damaged, or could not be taken; as for board_rx. */
static inline void board_rx_lost(board_t *board)
{
    board->line.lost = true;
}

#endif
