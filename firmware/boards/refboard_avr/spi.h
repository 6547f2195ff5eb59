/* The SPI bus and the pins beside it, inline: 16 cycles a byte and nothing around them.
 *
 * SPI mode 1 (CPOL 0, CPHA 1) suits all four chips, which take data at the falling edge of SCLK: AD5676R
 * (data sheet, pin functions: SCLK), ADG714 (Theory of Operation, 3-Wire Serial Interface), AD5144 (Serial
 * Data Input), ADS8688 (SBAS582C 8.4.1.1; the Linux driver ti-ads8688 uses SPI_MODE_1). */
#ifndef HWLEARN_SPI_H
#define HWLEARN_SPI_H

#include <avr/io.h>
#include <stdint.h>

#include "pins.h"

#define SPI_INLINE static inline __attribute__((always_inline))

#define SET_(letter, bit) (PORT##letter |= (uint8_t)(1u << (bit)))
#define CLEAR_(letter, bit) (PORT##letter &= (uint8_t)~(1u << (bit)))
#define OUTPUT_(letter, bit) (DDR##letter |= (uint8_t)(1u << (bit)))
#define TOGGLE_(letter, bit) (PIN##letter = (uint8_t)(1u << (bit)))
#define pin_high(...) SET_(__VA_ARGS__)
#define pin_low(...) CLEAR_(__VA_ARGS__)
#define pin_output(...) OUTPUT_(__VA_ARGS__)
#define pin_toggle(...) TOGGLE_(__VA_ARGS__) /* writing a one to PINx does that (ATmega2560 data sheet, 13.2.2) */

#define PORT_(letter) PORT##letter
#define DDR_(letter) DDR##letter
#define port_of(letter) PORT_(letter)
#define direction_of(letter) DDR_(letter)

/* 8 MHz: converters and switches (50 MHz, 30 MHz and 17 MHz at most). */
SPI_INLINE void spi_fast(void)
{
    SPCR = (uint8_t)(1u << SPE | 1u << MSTR | 1u << CPHA);
    SPSR = (uint8_t)(1u << SPI2X);
}

/* 1 MHz: the open-drain outputs of the AD5144 rise through a resistor. */
SPI_INLINE void spi_slow(void)
{
    SPSR = 0;
    SPCR = (uint8_t)(1u << SPE | 1u << MSTR | 1u << CPHA | 1u << SPR0);
}

SPI_INLINE void spi_start(uint8_t byte)
{
    SPDR = byte;
}

/* The byte that came while the one that was started went. */
SPI_INLINE uint8_t spi_finish(void)
{
    while (!(SPSR & (uint8_t)(1u << SPIF))) {
    }
    return SPDR;
}

/* The same where time does not matter and flash does. */
uint8_t spi_exchange(uint8_t byte);

#endif
