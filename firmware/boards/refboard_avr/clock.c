/* Timers, watchdogs and EEPROM. */
#include <avr/eeprom.h>
#include <avr/interrupt.h>
#include <avr/wdt.h>
#include <util/atomic.h>

#include "avr_hal.h"
#include "narrow.h"
#include "spi.h"

#define WATCHDOG WDTO_500MS
#define MILLISECOND_TOP (F_CPU / 64u / 1000u - 1u)

static volatile uint32_t millis;

/* The watchdog stays enabled after the reset that it causes (ATmega2560 data sheet, 12.4.2): disable it before main. */
void watchdog_off(void) __attribute__((naked, used, section(".init3")));
void watchdog_off(void)
{
    MCUSR = 0;
    wdt_disable();
}

void clock_begin(void)
{
    /* Timer 0: interrupt every millisecond */
    TCCR0A = (uint8_t)(1u << WGM01);
    TCCR0B = (uint8_t)(1u << CS01 | 1u << CS00);
    OCR0A = as_byte(MILLISECOND_TOP);
    TIMSK0 = (uint8_t)(1u << OCIE0A);
    /* Timer 1: free-running, 0.5 us per tick */
    TCCR1A = 0;
    TCCR1B = (uint8_t)(1u << CS11);
    wdt_enable(WATCHDOG);
}

ISR(TIMER0_COMPA_vect)
{
    millis++;
}

uint32_t hal_millis(hal_t *hal)
{
    uint32_t now;
    (void)hal;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE)
    {
        now = millis;
    }
    return now;
}

void hal_timer_start(hal_t *hal, uint16_t us)
{
    hal->timer_from = TCNT1;
    hal->timer_ticks = (uint16_t)(2u * us);
}

void hal_timer_wait(hal_t *hal)
{
    while ((uint16_t)(TCNT1 - hal->timer_from) < hal->timer_ticks) {
    }
}

void hal_kick(hal_t *hal)
{
    (void)hal;
    wdt_reset();
    pin_toggle(PIN_KICK);
}

uint8_t hal_eeprom_read(hal_t *hal, uint16_t address)
{
    (void)hal;
    return eeprom_read_byte((const uint8_t *)address);
}

/* Each write takes 3.4 ms, so writing a record takes longer than the watchdog time. */
void hal_eeprom_write(hal_t *hal, uint16_t address, uint8_t value)
{
    hal_kick(hal);
    eeprom_update_byte((uint8_t *)address, value);
    eeprom_busy_wait();
}
