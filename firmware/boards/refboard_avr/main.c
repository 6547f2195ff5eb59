/* Main program of the reference board: ATmega2560 at 16 MHz. */
#include <avr/interrupt.h>
#include <util/delay.h>

#include "avr_hal.h"

#define ADC_WAKES_MS 15 /* power-up time of the ADC's internal reference (SBAS582C 6.5) */

board_t refboard;
static hal_t hal;

int main(void)
{
    pins_begin(); /* DACs and switches stay in reset until pins_release */
    clock_begin();
    _delay_ms(ADC_WAKES_MS);
    adc_begin();
    pins_release();
    sei();
    board_init(&refboard, &hal);
    uart_begin(); /* after board_init, which clears the receive buffer */
    for (;;) {
        board_poll(&refboard);
    }
}
