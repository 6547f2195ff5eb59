/* Serial line: UART0 at 1 Mbaud, 160 cycles per byte in each direction. */
#include <avr/interrupt.h>
#include <avr/wdt.h>

#include "avr_hal.h"

#define DIVIDER 1u /* 16 MHz / 8 / (1 + 1) (ATmega2560 data sheet, Table 22-12: 0.0 % error) */
#define LISTEN ((uint8_t)(1u << RXCIE0 | 1u << RXEN0 | 1u << TXEN0))
#define TALK ((uint8_t)(LISTEN | 1u << UDRIE0))
#define DAMAGED ((uint8_t)(1u << FE0 | 1u << DOR0 | 1u << UPE0))

static struct {
    uint8_t bytes[256]; /* 8-bit indices wrap around without a test */
    volatile uint8_t head, tail;
} sending;

void uart_begin(void)
{
    UCSR0A = (uint8_t)(1u << U2X0);
    UCSR0C = (uint8_t)(1u << UCSZ01 | 1u << UCSZ00);
    UBRR0H = 0;
    UBRR0L = DIVIDER;
    UCSR0B = LISTEN;
}

/* A damaged or lost byte invalidates its message: the core queues error -363. */
ISR(USART0_RX_vect)
{
    uint8_t damage = UCSR0A & DAMAGED;
    uint8_t byte = UDR0;
    if (damage) {
        board_rx_lost(&refboard);
    }
    board_rx(&refboard, byte);
}

ISR(USART0_UDRE_vect)
{
    uint8_t tail = sending.tail;
    UDR0 = sending.bytes[tail];
    tail++;
    sending.tail = tail;
    if (tail == sending.head) {
        UCSR0B = LISTEN;
    }
}

void hal_transmit(hal_t *hal, uint8_t byte)
{
    (void)hal;
    uint8_t head = sending.head;
    uint8_t next = (uint8_t)(head + 1u);
    while (next == sending.tail) {
    }
    sending.bytes[head] = byte;
    sending.head = next;
    UCSR0B = TALK;
}

/* Wait until the ring buffer is empty and the two bytes in the UART are sent, then reset by the watchdog, which
 * resets the MCU completely. */
void hal_reboot(hal_t *hal)
{
    while (sending.head != sending.tail) {
    }
    hal_timer_start(hal, 30);
    hal_timer_wait(hal);
    cli();
    wdt_enable(WDTO_15MS);
    wdt_reset();
    for (;;) {
    }
}
