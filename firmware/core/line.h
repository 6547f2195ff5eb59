/* Receive buffer: the receive interrupt writes bytes, the main loop reads them. */
#ifndef HWLEARN_LINE_H
#define HWLEARN_LINE_H

#include <stdbool.h>
#include <stdint.h>

#define LINE_CANCEL 0x18u /* ASCII CAN */

typedef struct {
    volatile uint8_t head; /* written by the interrupt */
    volatile uint8_t tail; /* written by the main loop */
    volatile bool lost;    /* a byte was lost; the buffer accepts no more bytes until the main loop clears this */
    volatile bool running; /* a sequence is running, so CAN ends it */
    volatile bool cancel;
    uint8_t bytes[256]; /* 8-bit indices wrap around without a test */
} line_t;

static inline void line_put(line_t *line, uint8_t byte)
{
    if (line->running && byte == LINE_CANCEL) {
        line->cancel = true;
        return;
    }
    uint8_t head = line->head;
    uint8_t next = (uint8_t)(head + 1u);
    if (line->lost || next == line->tail) {
        line->lost = true;
        return;
    }
    line->bytes[head] = byte;
    line->head = next;
}

static inline bool line_empty(const line_t *line)
{
    return line->head == line->tail;
}

static inline bool line_full(const line_t *line)
{
    return (uint8_t)(line->head + 1u) == line->tail;
}

static inline uint8_t line_take(line_t *line)
{
    uint8_t tail = line->tail;
    uint8_t byte = line->bytes[tail];
    line->tail = (uint8_t)(tail + 1u);
    return byte;
}

#endif
