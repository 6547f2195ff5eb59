/* Entry points of the core: start, main loop and received bytes. */
#ifndef HWLEARN_BOARD_H
#define HWLEARN_BOARD_H

#include "state.h"

/* Initialize after power-up: safe state, power-up settings, newest calibration record. */
void board_init(board_t *board, hal_t *hal);

/* Process received bytes and timeouts. The main program calls it in an endless loop. */
void board_poll(board_t *board);

/* Store a received byte. Only this and board_rx_lost may be called from an interrupt. */
static inline void board_rx(board_t *board, uint8_t byte)
{
    line_put(&board->line, byte);
}

/* Report a received byte that was damaged or lost. May be called from an interrupt. */
static inline void board_rx_lost(board_t *board)
{
    board->line.lost = true;
}

#endif
