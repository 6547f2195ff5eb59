/* The emulated board: power, resets, supervisor, time and serial line. Analog circuit and probes: probes.c. */
#include "emu.h"

#include <simavr/sim_avr.h>
#include <simavr/sim_elf.h>
#include <simavr/sim_io.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "emulated.h"
#include "pins.h"

#define HERTZ 16000000u
#define CYCLES_PER_MS 16000u
#define RUN_MAX 100000u /* cycles between two checks of the clock */
#define IDLE_TURN 400u  /* maximum cycles of an idle turn of the main loop */
#define IDLE_LOOK 50u   /* less than an idle turn: cycles between two checks */
#define IDLE_TURNS 8u

static void quiet(avr_t *avr, const int severity, const char *format, va_list arguments)
{
    (void)avr;
    (void)severity;
    (void)format;
    (void)arguments;
}

/* --- power, resets, supervisor ----------------------------------------------------------------------- */

static avr_cycle_count_t watch(avr_t *avr, avr_cycle_count_t when, void *param)
{
    emu_board *e = param;
    avr_cycle_count_t due = e->bus.kicked + (avr_cycle_count_t)SUPERVISOR_MS * CYCLES_PER_MS;
    (void)avr;
    if (due > when) {
        return due;
    }
    e->trips++;
    bus_supervise(&e->bus, true);
    return 0;
}

static void begin_watch(emu_board *e)
{
    e->bus.kicked = e->avr->cycle;
    bus_supervise(&e->bus, false);
    avr_cycle_timer_register(e->avr, (avr_cycle_count_t)SUPERVISOR_MS * CYCLES_PER_MS, watch, e);
}

static void was_reset(avr_io_t *io)
{
    emu_board *e = (emu_board *)(void *)((char *)io - offsetof(struct emu, watcher));
    if (!e->on) {
        return;
    }
    if (!e->powering) {
        e->resets++;
    }
    e->avr->run_cycle_limit = RUN_MAX;
    e->eeprom.armed = 0;
    uart_reset(&e->uart);
    bus_reset(&e->bus);
    begin_watch(e);
}

emu_board *emu_new(const char *elf)
{
    elf_firmware_t firmware;
    memset(&firmware, 0, sizeof firmware);
    avr_global_logger_set(quiet);
    emu_board *e = calloc(1, sizeof *e);
    if (!e || elf_read_firmware(elf, &firmware) != 0 || !firmware.flash) {
        free(e);
        return NULL;
    }
    e->avr = avr_make_mcu_by_name("atmega2560");
    if (!e->avr) {
        free(e);
        return NULL;
    }
    avr_init(e->avr);
    firmware.frequency = HERTZ;
    avr_load_firmware(e->avr, &firmware);
    e->avr->frequency = HERTZ;
    world_begin(&e->world);
    chips_begin(&e->chips, &e->world);
    chips_power_on(&e->chips);
    bus_begin(&e->bus, e->avr, &e->chips);
    eeprom_begin(&e->eeprom, e->avr);
    if (!uart_begin(&e->uart, e->avr)) {
        emu_free(e);
        return NULL;
    }
    e->watcher.kind = "watcher";
    e->watcher.reset = was_reset;
    /* append the watcher, so that it is called after the peripherals of simavr */
    avr_io_t *last = e->avr->io_port;
    while (last->next) {
        last = last->next;
    }
    last->next = &e->watcher;
    e->watcher.avr = e->avr;
    free(firmware.flash);
    return e;
}

void emu_free(emu_board *e)
{
    if (e) {
        avr_terminate(e->avr);
        free(e->avr);
        uart_end(&e->uart);
        free(e);
    }
}

void emu_power_on(emu_board *e)
{
    uint8_t byte;
    e->on = true;
    e->stopped = false;
    e->powering = true;
    while (queue_take(&e->uart.in, &byte, 1) || queue_take(&e->uart.out, &byte, 1)) {
    }
    chips_power_on(&e->chips);
    avr_reset(e->avr);
    avr_regbit_set(e->avr, e->avr->reset_flags.porf);
    e->powering = false;
}

/* End the reset by the supervisor. */
static void end_trip(emu_board *e)
{
    avr_reset(e->avr);
}

void emu_hang(emu_board *e)
{
    avr_flashaddr_t end = e->avr->flashend - 1u;
    e->avr->flash[end] = 0xFF; /* rjmp to itself */
    e->avr->flash[end + 1u] = 0xCF;
    e->avr->codeend = e->avr->flashend;
    e->avr->sreg[S_I] = 0;
    e->avr->pc = end;
}

void emu_stop_clock(emu_board *e, int stopped)
{
    e->stopped = stopped != 0;
}

/* --- time -------------------------------------------------------------------------------------------- */

uint64_t emu_now(const emu_board *e)
{
    return e->avr->cycle + e->lost_cycles;
}

static avr_cycle_count_t stop_here(avr_t *avr, avr_cycle_count_t when, void *param)
{
    (void)avr;
    (void)when;
    (void)param;
    return 0;
}

/* Run the MCU until its clock has reached `until`. */
static void run(emu_board *e, avr_cycle_count_t until)
{
    avr_t *avr = e->avr;
    bool held = false;
    if (until > avr->cycle) {
        avr_cycle_timer_register(avr, until - avr->cycle, stop_here, e);
    }
    while (avr->cycle < until) {
        if (e->bus.supervised) {
            /* MCU and chips are held in reset */
            avr_cycle_count_t hold = (avr_cycle_count_t)SUPERVISOR_RESET_MS * CYCLES_PER_MS;
            avr->cycle += hold;
            end_trip(e);
            held = true;
        } else {
            avr_run(avr);
        }
        if (avr->state == cpu_Crashed || avr->state == cpu_Done) {
            chips_fault(&e->chips, "ATmega2560: the program left its code");
            avr->state = cpu_Running;
            emu_hang(e);
        }
        if (held && until > avr->cycle) {
            avr_cycle_timer_register(avr, until - avr->cycle, stop_here, e);
            held = false;
        }
    }
    avr_cycle_timer_cancel(avr, stop_here, e);
}

void emu_advance_us(emu_board *e, uint64_t us)
{
    uint64_t cycles = us * CYCLES_PER_US;
    if (!e->on) {
        e->lost_cycles += cycles;
        return;
    }
    if (e->stopped) {
        /* only the supervisor has its own clock */
        uint64_t due = (uint64_t)SUPERVISOR_MS * CYCLES_PER_MS;
        uint64_t before = emu_now(e) - e->bus.kicked;
        e->lost_cycles += cycles;
        if (before < due && emu_now(e) - e->bus.kicked >= due) {
            e->trips++;
            bus_supervise(&e->bus, true);
        }
        return;
    }
    run(e, e->avr->cycle + cycles);
}

/* Return whether the program is idle: several short turns of the main loop, each with one watchdog kick, while
 * neither serial line nor EEPROM is busy. */
static bool idle(emu_board *e, uint64_t *kicked, uint8_t *turns)
{
    if (e->uart.receiving || e->uart.filled > 0 || e->uart.shifting ||
        (e->eeprom.written != 0 && e->avr->cycle - e->eeprom.written < e->eeprom.cycles_per_write + IDLE_TURN)) {
        *turns = 0;
    } else if (e->bus.kicked != *kicked) {
        *turns = e->bus.kicked - *kicked <= IDLE_TURN ? (uint8_t)(*turns + 1u) : 0;
    }
    *kicked = e->bus.kicked;
    return *turns >= IDLE_TURNS;
}

int emu_work(emu_board *e, uint64_t most)
{
    uint64_t end = emu_now(e) + most;
    uint64_t kicked = e->bus.kicked;
    uint8_t turns = 0;
    while (e->on && !e->stopped && emu_now(e) < end) {
        run(e, e->avr->cycle + IDLE_LOOK);
        if (idle(e, &kicked, &turns)) {
            return 1;
        }
    }
    return 0;
}

/* --- serial line ------------------------------------------------------------------------------------- */

void emu_receive(emu_board *e, const uint8_t *data, size_t size)
{
    if (e->on) {
        uart_receive(&e->uart, data, size);
    }
}

size_t emu_transmit(emu_board *e, uint8_t *out, size_t capacity)
{
    return queue_take(&e->uart.out, out, capacity);
}

uint64_t emu_last_byte(const emu_board *e)
{
    return e->uart.last_byte + e->lost_cycles;
}

uint64_t emu_overruns(const emu_board *e)
{
    return e->uart.overruns;
}
