/* The ADS8688: eight channels of 16 bits, 0 to 5.12 V, each reading with proof of where it comes from.
 *
 * In front of its multiplexer every channel has a second-order low-pass filter of 15 kHz (SBAS582C 8.3.5), which no
 * command here can wait for: after a full step it takes about 170 us until the last bit stands. SEQuence:SETTle does. */
#include <util/delay.h>

#include "avr_hal.h"
#include "spi.h"

/* Commands: first byte of a frame, executed when CS rises (SBAS582C 8.5.1, Table 6). */
#define CONTINUE 0x00u
#define RESET 0x85u
#define MANUAL_CHANNEL(n) ((uint8_t)(0xC0u + 4u * (n)))

/* Program registers: seven bits of address, one for writing, then the value (8.5.2). */
#define WRITE_REGISTER(address) ((uint8_t)(2u * (address) + 1u))
#define REGISTER_FEATURES 0x03u
#define REGISTER_RANGE(n) (0x05u + (n))
#define RANGE_5V12 0x06u /* 0 to 1.25 VREF (8.5.2.3.3) */

/* SDO behind each result: four bits of channel, two of device, then the range, of which two bits still fit in
 * the byte (8.5.2.3.2, Tables 13 and 14). A chip that is silent, or has lost its ranges, does not say this. */
#define FEATURES_ALL 0x03u
#define PROOF(channel) ((uint8_t)(16u * (channel) + (RANGE_5V12 >> 1)))

/* Between two frames the chip acquires: 1.15 us at least (6.6, tACQ). The rest passes in the loop; the emulated
 * chip complains when it is less. */
#define ACQUIRE_US 0.75

static void write_register(uint8_t address, uint8_t value)
{
    pin_low(PIN_ADC);
    (void)spi_exchange(WRITE_REGISTER(address));
    (void)spi_exchange(value);
    (void)spi_exchange(0);
    pin_high(PIN_ADC);
    _delay_us(ACQUIRE_US);
}

void adc_begin(void)
{
    pin_low(PIN_ADC);
    (void)spi_exchange(RESET);
    (void)spi_exchange(0);
    pin_high(PIN_ADC);
    _delay_us(ACQUIRE_US);
    for (uint8_t channel = 0; channel < HAL_ADCS; channel++) {
        write_register((uint8_t)REGISTER_RANGE(channel), RANGE_5V12);
    }
    write_register(REGISTER_FEATURES, FEATURES_ALL);
}

/* The result in a frame is that of the channel which the frame before has chosen; so one frame goes ahead. */
bool hal_adc_scan(hal_t *hal, uint8_t mask, uint16_t *codes)
{
    (void)hal;
    uint8_t channel = 0;
    bool fine = true;
    if (mask == 0) {
        return true;
    }
    while (!(mask & 1u)) {
        mask >>= 1;
        channel++;
    }
    pin_low(PIN_ADC);
    spi_start(MANUAL_CHANNEL(channel));
    (void)spi_finish();
    spi_start(0);
    (void)spi_finish();
    pin_high(PIN_ADC);
    _delay_us(ACQUIRE_US);
    for (;;) {
        uint8_t next = channel;
        uint8_t command = CONTINUE;
        for (mask >>= 1; mask != 0; mask >>= 1) {
            next++;
            if (mask & 1u) {
                command = MANUAL_CHANNEL(next);
                break;
            }
        }
        pin_low(PIN_ADC);
        spi_start(command);
        (void)spi_finish();
        spi_start(0);
        (void)spi_finish();
        spi_start(0);
        uint8_t high = spi_finish();
        spi_start(0);
        uint8_t low = spi_finish();
        spi_start(0);
        uint8_t proof = spi_finish();
        pin_high(PIN_ADC);
        *codes++ = (uint16_t)((uint16_t)((uint16_t)high << 8) | low);
        fine = fine && proof == PROOF(channel);
        if (command == CONTINUE) {
            break;
        }
        channel = next;
        _delay_us(ACQUIRE_US);
    }
    if (!fine) {
        adc_begin(); /* it may have lost power for a moment: the next scan finds it set up again */
    }
    return fine;
}
