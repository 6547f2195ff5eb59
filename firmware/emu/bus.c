/* Emulated SPI bus and pins. */
#include "bus.h"

#include "pins.h"

/* Addresses and bits of the ATmega2560. */
enum { PINA = 0x20, DDRA = 0x21, PORTA = 0x22, PORT_STRIDE = 3 };
enum { SPCR = 0x4C, SPSR = 0x4D, SPDR = 0x4E };
enum { SPIF = 7, WCOL = 6, SPI2X = 0 };
enum { SPE = 6, DORD = 5, MSTR = 4, CPOL = 3, CPHA = 2 };

/* --- pins -------------------------------------------------------------------------------------------- */

typedef struct {
    char letter;
    uint8_t bit;
    bool idle; /* level when not driven */
} line_t;

#define AT_(port, number, level) {.letter = #port[0], .bit = (number), .idle = (level)}
#define AT(...) AT_(__VA_ARGS__)
#define LETTER_(port) (#port[0])
#define LETTER(port) LETTER_(port)

/* Lines after the chip selects. The order matters when both RESET lines fall together: the switches open well before
 * a DAC changes. */
enum { LINE_LDAC = SELECTS, LINE_SWITCH_RESET, LINE_DAC_RESET, LINE_KICK, LINES };

static const line_t lines[LINES] = {
    [SELECT_DAC_INPUTS] = AT(PIN_DAC_INPUTS, true),
    [SELECT_DAC_NUDGES] = AT(PIN_DAC_NUDGES, true),
    [SELECT_SWITCHES] = AT(PIN_SWITCHES, true),
    [SELECT_ADC] = AT(PIN_ADC, true),
    [LINE_LDAC] = AT(PIN_LDAC, true),
    [LINE_DAC_RESET] = AT(PIN_DAC_RESET, false),
    [LINE_SWITCH_RESET] = AT(PIN_SWITCH_RESET, false),
    [LINE_KICK] = AT(PIN_KICK, false),
};

static bool level(const bus_t *b, uint8_t n)
{
    line_t line = lines[n];
    if (n >= SELECT_EDGES && n < SELECTS) {
        line = (line_t){.letter = LETTER(PORT_EDGES), .bit = (uint8_t)(n - SELECT_EDGES), .idle = true};
    }
    if (b->supervised && (n == LINE_DAC_RESET || n == LINE_SWITCH_RESET)) {
        return false;
    }
    unsigned offset = (unsigned)(line.letter - 'A') * PORT_STRIDE;
    bool driven = b->avr->data[DDRA + offset] >> line.bit & 1;
    return driven ? b->avr->data[PORTA + offset] >> line.bit & 1 : line.idle;
}

static bool is_select(uint8_t n)
{
    return n < SELECTS;
}

/* Pass level changes to the chips. */
static void look(bus_t *b)
{
    uint32_t now = 0;
    uint8_t selected = 0;
    b->chips->now = b->avr->cycle;
    for (uint8_t n = 0; n < LINES; n++) {
        now |= (uint32_t)level(b, n) << n;
    }
    uint32_t moved = now ^ b->lines;
    b->lines = now;
    if (moved == 0) {
        return;
    }
    for (uint8_t n = 0; n < SELECTS; n++) {
        selected = (uint8_t)(selected + !(now >> n & 1u));
    }
    if (selected > 1u) {
        chips_fault(b->chips, "SPI: two chips are selected at once");
    }
    if (b->busy && (moved & ((1u << SELECTS) - 1u))) {
        chips_fault(b->chips, "SPI: a chip select changed during a transfer");
    }
    for (uint8_t n = 0; n < LINES; n++) {
        bool high = now >> n & 1u;
        if (!(moved >> n & 1u)) {
            continue;
        }
        if (is_select(n)) {
            if (high) {
                chip_deselect(b->chips, n);
            } else {
                chip_select(b->chips, n);
            }
        } else if (n == LINE_LDAC && !high) {
            chips_ldac(b->chips);
        } else if (n == LINE_DAC_RESET) {
            chips_dac_reset(b->chips, !high);
        } else if (n == LINE_SWITCH_RESET) {
            chips_switch_reset(b->chips, !high);
        } else if (n == LINE_KICK) {
            b->kicked = b->avr->cycle;
        }
    }
}

static void write_port(avr_t *avr, avr_io_addr_t address, uint8_t value, void *param)
{
    avr->data[address] = value; /* PORTx or DDRx */
    look(param);
}

static void write_pin(avr_t *avr, avr_io_addr_t address, uint8_t value, void *param)
{
    avr->data[address + PORTA - PINA] ^= value;
    look(param);
}

void bus_supervise(bus_t *b, bool low)
{
    b->supervised = low;
    look(b);
}

/* --- SPI --------------------------------------------------------------------------------------------- */

static avr_cycle_count_t shifted(avr_t *avr, avr_cycle_count_t when, void *param)
{
    bus_t *b = param;
    (void)when;
    b->busy = false;
    b->in = PULLED_UP;
    for (uint8_t n = 0; n < SELECTS; n++) {
        if (!(b->lines >> n & 1u)) {
            b->in &= chip_exchange(b->chips, n, b->out);
        }
    }
    avr->data[SPSR] |= (uint8_t)(1u << SPIF);
    b->seen = false;
    return 0;
}

/* Reading SPSR and then touching SPDR clears SPIF (ATmega2560 data sheet, 21.2.2). */
static uint8_t read_status(avr_t *avr, avr_io_addr_t address, void *param)
{
    bus_t *b = param;
    b->seen = avr->data[address] >> SPIF & 1;
    return avr->data[address];
}

static void touched(bus_t *b)
{
    if (b->seen) {
        b->avr->data[SPSR] &= (uint8_t)~(1u << SPIF | 1u << WCOL);
        b->seen = false;
    }
}

static uint8_t read_data(avr_t *avr, avr_io_addr_t address, void *param)
{
    bus_t *b = param;
    (void)avr;
    (void)address;
    touched(b);
    return b->in;
}

static void write_data(avr_t *avr, avr_io_addr_t address, uint8_t value, void *param)
{
    static const uint8_t dividers[4] = {4, 16, 64, 128};
    bus_t *b = param;
    uint8_t control = avr->data[SPCR];
    (void)address;
    touched(b);
    if (b->busy) {
        avr->data[SPSR] |= (uint8_t)(1u << WCOL);
        chips_fault(b->chips, "SPI: a byte was written during a transfer");
        return;
    }
    if ((control & (1u << SPE | 1u << DORD | 1u << MSTR | 1u << CPOL | 1u << CPHA)) !=
        (1u << SPE | 1u << MSTR | 1u << CPHA)) {
        chips_fault(b->chips, "SPI: not master in mode 1, most significant bit first");
        return;
    }
    if (!(avr->data[DDRA + PORT_STRIDE] & 1u)) {
        chips_fault(b->chips, "SPI: SS is an input, which can end the master mode at any time");
    }
    unsigned divider = dividers[control & 3u];
    if (avr->data[SPSR] >> SPI2X & 1) {
        divider /= 2u;
    }
    if (divider < 16u && ((b->lines >> SELECT_EDGES & 0xFFu) != 0xFFu)) {
        chips_fault(b->chips, "AD5144: SPI clock too fast for its open-drain output");
    }
    b->busy = true;
    b->out = value;
    avr_cycle_timer_register(avr, 8u * divider, shifted, b);
}

static void write_status(avr_t *avr, avr_io_addr_t address, uint8_t value, void *param)
{
    (void)param;
    avr->data[address] = (uint8_t)((avr->data[address] & ~1u) | (value & 1u));
}

static void hook(bus_t *b, uint16_t address, avr_io_read_t read, avr_io_write_t write)
{
    b->avr->io[AVR_DATA_TO_IO(address)].r.c = read;
    b->avr->io[AVR_DATA_TO_IO(address)].r.param = b;
    b->avr->io[AVR_DATA_TO_IO(address)].w.c = write;
    b->avr->io[AVR_DATA_TO_IO(address)].w.param = b;
}

void bus_begin(bus_t *b, avr_t *avr, chips_t *chips)
{
    b->avr = avr;
    b->chips = chips;
    for (uint16_t port = 0; port < 3u; port++) { /* A, B, C */
        hook(b, (uint16_t)(PINA + PORT_STRIDE * port), NULL, write_pin);
        hook(b, (uint16_t)(DDRA + PORT_STRIDE * port), NULL, write_port);
        hook(b, (uint16_t)(PORTA + PORT_STRIDE * port), NULL, write_port);
    }
    hook(b, SPSR, read_status, write_status);
    hook(b, SPDR, read_data, write_data);
    for (uint8_t n = 0; n < LINES; n++) {
        b->lines |= (uint32_t)level(b, n) << n;
    }
}

void bus_reset(bus_t *b)
{
    b->busy = b->seen = false;
    look(b);
}
