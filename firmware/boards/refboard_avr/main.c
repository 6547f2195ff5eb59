/* The reference board on an ATmega2560 at 16 MHz. */
#include <avr/interrupt.h>
#include <util/delay.h>

#include "avr_hal.h"

#define ADC_WAKES_MS 15 /* until its reference stands (SBAS582C 6.5, internal reference: power-up time) */

board_t refboard;
static hal_t hal;

int main(void)
{
    pins_begin(); /* DACs and switches stay in reset until all else is ready */
    clock_begin();
    _delay_ms(ADC_WAKES_MS);
    adc_begin();
    pins_release();
    sei();
    board_init(&refboard, &hal);
    uart_begin(); /* what came before could not be kept */
    for (;;) {
        board_poll(&refboard);
    }
}
