/* Model of UART0 after the data sheet (ATmega2560, chapter 22), in place of simavr's: ten bits per byte, a receive
 * buffer of two bytes and the shift register, and loss of further bytes. */
#ifndef HWLEARN_EMU_UART_H
#define HWLEARN_EMU_UART_H

#include <simavr/sim_avr.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Byte queue that grows as needed. */
typedef struct {
    uint8_t *bytes;
    size_t begin, end, capacity;
} queue_t;

bool queue_put(queue_t *queue, const uint8_t *data, size_t size);
size_t queue_take(queue_t *queue, uint8_t *out, size_t capacity);
static inline size_t queue_size(const queue_t *queue)
{
    return queue->end - queue->begin;
}

typedef struct {
    uint8_t byte, flags;
} received_t;

typedef struct {
    avr_t *avr;
    avr_int_vector_t *rx_vector, *empty_vector;
    queue_t in, out; /* bytes not yet arrived; bytes sent */

    received_t fifo[3]; /* the third waits in the shift register */
    uint8_t filled;
    bool lost;    /* a byte was lost before the next one */
    bool damaged; /* the next byte arrives without a stop bit */
    bool receiving;
    uint64_t overruns;

    bool shifting, holding; /* a byte is being sent; another one waits in the buffer */
    uint8_t shift, hold;
    uint64_t last_byte;
} uart_t;

bool uart_begin(uart_t *uart, avr_t *avr);
void uart_end(uart_t *uart);
void uart_reset(uart_t *uart);
void uart_receive(uart_t *uart, const uint8_t *data, size_t size);

#endif
