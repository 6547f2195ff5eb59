/* Declarations shared by the files of this target. */
#ifndef HWLEARN_AVR_HAL_H
#define HWLEARN_AVR_HAL_H

#include <stdint.h>

#include "board.h"

struct hal {
    uint16_t timer_from, timer_ticks; /* Timer 1, 0.5 us each */
};

/* The board; a global variable, because the receive interrupt accesses it. */
extern board_t refboard;

/* Start each part, in this order, with interrupts disabled. */
void pins_begin(void);
void clock_begin(void);
void adc_begin(void);
void pins_release(void);
void uart_begin(void);

#endif
