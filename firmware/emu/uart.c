/* Model of UART0: receive buffer, transmit buffer, flags and interrupts. */
#include "uart.h"

#include <stdlib.h>
#include <string.h>

/* Addresses and bits of the ATmega2560. */
enum { UCSR0A = 0xC0, UCSR0B = 0xC1, UCSR0C = 0xC2, UBRR0L = 0xC4, UBRR0H = 0xC5, UDR0 = 0xC6 };
enum { RXC = 7, TXC = 6, UDRE = 5, FE = 4, DOR = 3, U2X = 1 };
enum { RXCIE = 7, UDRIE = 5, RXEN = 4, TXEN = 3 };
enum { RX_VECTOR = 25, EMPTY_VECTOR = 26 };
enum { BITS = 10, HOST_CYCLES_PER_BIT = 16, WRITABLE_A = 1u << U2X };

/* --- queues ------------------------------------------------------------------------------------------ */

bool queue_put(queue_t *q, const uint8_t *data, size_t size)
{
    if (q->begin == q->end) {
        q->begin = q->end = 0;
    }
    if (q->capacity - q->end < size) {
        size_t capacity = 2 * (q->end + size) + 1024;
        uint8_t *grown = realloc(q->bytes, capacity);
        if (!grown) {
            return false;
        }
        q->bytes = grown;
        q->capacity = capacity;
    }
    memcpy(q->bytes + q->end, data, size);
    q->end += size;
    return true;
}

size_t queue_take(queue_t *q, uint8_t *out, size_t capacity)
{
    size_t size = queue_size(q) < capacity ? queue_size(q) : capacity;
    if (size > 0) {
        memcpy(out, q->bytes + q->begin, size);
        q->begin += size;
    }
    return size;
}

/* --- flags and interrupts ---------------------------------------------------------------------------- */

static bool enabled(const uart_t *u, int bit)
{
    return u->avr->data[UCSR0B] >> bit & 1;
}

static void level(uart_t *u, avr_int_vector_t *vector, int enable, bool active)
{
    if (active && enabled(u, enable)) {
        if (!vector->pending) {
            avr_raise_interrupt(u->avr, vector);
        }
    } else if (vector->pending) {
        avr_clear_interrupt(u->avr, vector);
    }
}

/* Update the flags and both interrupts, which are level-triggered. */
static void update(uart_t *u)
{
    bool ready = u->filled > 0;
    level(u, u->rx_vector, RXCIE, ready);
    level(u, u->empty_vector, UDRIE, !u->holding);
    uint8_t a = u->avr->data[UCSR0A] & (uint8_t)(WRITABLE_A | 1u << TXC);
    if (ready) {
        a |= (uint8_t)(1u << RXC | u->fifo[0].flags);
    }
    if (!u->holding) {
        a |= (uint8_t)(1u << UDRE);
    }
    u->avr->data[UCSR0A] = a;
}

static uint64_t cycles_per_bit(const uart_t *u)
{
    const uint8_t *data = u->avr->data;
    unsigned divider = (unsigned)(data[UBRR0L] | (data[UBRR0H] & 0x0Fu) << 8) + 1u;
    return divider * (data[UCSR0A] >> U2X & 1 ? 8u : 16u);
}

/* --- receiving --------------------------------------------------------------------------------------- */

/* Receive a start bit. It overwrites a byte that still waits in the shift register. */
static void start_bit(uart_t *u)
{
    if (u->filled == 3u) {
        u->filled = 2;
        u->lost = true;
        u->overruns++;
    }
}

static avr_cycle_count_t arrived(avr_t *avr, avr_cycle_count_t when, void *param)
{
    uart_t *u = param;
    uint8_t byte;
    (void)avr;
    if (queue_take(&u->in, &byte, 1) == 1 && enabled(u, RXEN)) {
        /* with a wrong baud rate or frame format the received byte is wrong */
        bool strange = u->damaged || cycles_per_bit(u) != HOST_CYCLES_PER_BIT ||
                       (u->avr->data[UCSR0C] & 0xFEu) != 0x06u;
        u->fifo[u->filled].byte = strange ? (uint8_t)~byte : byte;
        u->fifo[u->filled].flags = (uint8_t)((strange ? 1u << FE : 0u) | (u->lost ? 1u << DOR : 0u));
        u->lost = u->damaged = false;
        u->filled++;
        update(u);
    }
    u->receiving = queue_size(&u->in) > 0;
    if (!u->receiving) {
        return 0;
    }
    start_bit(u);
    return when + BITS * HOST_CYCLES_PER_BIT;
}

void uart_receive(uart_t *u, const uint8_t *data, size_t size)
{
    if (size > 0 && queue_put(&u->in, data, size) && !u->receiving) {
        u->receiving = true;
        start_bit(u);
        avr_cycle_timer_register(u->avr, BITS * HOST_CYCLES_PER_BIT, arrived, u);
    }
}

static uint8_t read_data(avr_t *avr, avr_io_addr_t address, void *param)
{
    uart_t *u = param;
    uint8_t byte = u->fifo[0].byte;
    (void)avr;
    (void)address;
    if (u->filled > 0) {
        u->filled--;
        u->fifo[0] = u->fifo[1];
        u->fifo[1] = u->fifo[2];
    }
    update(u);
    return byte;
}

/* --- sending ----------------------------------------------------------------------------------------- */

static avr_cycle_count_t left(avr_t *avr, avr_cycle_count_t when, void *param)
{
    uart_t *u = param;
    (void)queue_put(&u->out, &u->shift, 1);
    u->last_byte = when;
    u->shifting = u->holding;
    if (u->holding) {
        u->shift = u->hold;
        u->holding = false;
    } else {
        avr->data[UCSR0A] |= (uint8_t)(1u << TXC);
    }
    update(u);
    return u->shifting ? when + BITS * cycles_per_bit(u) : 0;
}

static void write_data(avr_t *avr, avr_io_addr_t address, uint8_t byte, void *param)
{
    uart_t *u = param;
    (void)address;
    if (!enabled(u, TXEN)) {
        return;
    }
    if (!u->shifting) {
        u->shift = byte;
        u->shifting = true;
        avr_cycle_timer_register(avr, BITS * cycles_per_bit(u), left, u);
    } else if (!u->holding) {
        u->hold = byte;
        u->holding = true;
    } /* else the buffer is full and the byte is lost */
    update(u);
}

/* --- registers --------------------------------------------------------------------------------------- */

static void write_a(avr_t *avr, avr_io_addr_t address, uint8_t value, void *param)
{
    uint8_t kept = avr->data[address] & (uint8_t)~WRITABLE_A;
    if (value >> TXC & 1) {
        kept &= (uint8_t)~(1u << TXC);
    }
    avr->data[address] = kept | (value & WRITABLE_A);
    update(param);
}

static void write_b(avr_t *avr, avr_io_addr_t address, uint8_t value, void *param)
{
    uart_t *u = param;
    avr->data[address] = value;
    if (!enabled(u, RXEN)) {
        u->filled = 0;
    }
    update(u);
}

static void write_plain(avr_t *avr, avr_io_addr_t address, uint8_t value, void *param)
{
    (void)param;
    avr->data[address] = value;
}

static avr_int_vector_t *vector(avr_t *avr, uint8_t number)
{
    for (int k = 0; k < avr->interrupts.vector_count; k++) {
        if (avr->interrupts.vector[k]->vector == number) {
            return avr->interrupts.vector[k];
        }
    }
    return NULL;
}

static void hook(uart_t *u, uint16_t address, avr_io_read_t read, avr_io_write_t write)
{
    u->avr->io[AVR_DATA_TO_IO(address)].r.c = read;
    u->avr->io[AVR_DATA_TO_IO(address)].r.param = u;
    u->avr->io[AVR_DATA_TO_IO(address)].w.c = write;
    u->avr->io[AVR_DATA_TO_IO(address)].w.param = u;
}

bool uart_begin(uart_t *u, avr_t *avr)
{
    u->avr = avr;
    u->rx_vector = vector(avr, RX_VECTOR);
    u->empty_vector = vector(avr, EMPTY_VECTOR);
    hook(u, UCSR0A, NULL, write_a);
    hook(u, UCSR0B, NULL, write_b);
    hook(u, UCSR0C, NULL, write_plain);
    hook(u, UBRR0L, NULL, write_plain);
    hook(u, UBRR0H, NULL, write_plain);
    hook(u, UDR0, read_data, write_data);
    return u->rx_vector && u->empty_vector;
}

/* Reset of the MCU and its timers. Bytes on the line still arrive. */
void uart_reset(uart_t *u)
{
    u->filled = 0;
    u->lost = u->shifting = u->holding = false;
    u->avr->data[UCSR0A] = (uint8_t)(1u << UDRE);
    u->avr->data[UCSR0B] = 0;
    u->avr->data[UCSR0C] = 0x06;
    u->receiving = queue_size(&u->in) > 0;
    if (u->receiving) {
        avr_cycle_timer_register(u->avr, BITS * HOST_CYCLES_PER_BIT, arrived, u);
    }
}

void uart_end(uart_t *u)
{
    free(u->in.bytes);
    free(u->out.bytes);
}
