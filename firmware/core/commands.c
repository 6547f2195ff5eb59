#include "commands.h"

#include <ctype.h>
#include <string.h>

#include "answers.h"
#include "board.h"
#include "numbers.h"
#include "rom.h"

#define WATCHDOG_LEAST_MS 50
#define WATCHDOG_MOST_MS 60000
#define SETTLE_MOST_US 50000
#define AVERAGE_BITS_MOST 6u

/* --- parameters ----------------------------------------------------------------------------------- */

static bool read_scaled(board_t *board, const parameter_t *from, int8_t shift, int32_t *value)
{
    number_t found = number_read(from->text, from->size, shift, value);
    if (found == NUMBER_OK) {
        return true;
    }
    board_error(board, found == NUMBER_NONE ? E_TYPE : E_RANGE);
    return false;
}

static bool read_micro(board_t *board, const parameter_t *from, int32_t *micro)
{
    return read_scaled(board, from, 6, micro);
}

static bool read_within(board_t *board, const parameter_t *from, int32_t least, int32_t most, int32_t *value)
{
    if (!read_scaled(board, from, 0, value)) {
        return false;
    }
    if (*value < least || *value > most) {
        board_error(board, E_RANGE);
        return false;
    }
    return true;
}

static bool same_word(const parameter_t *from, const char *rom)
{
    for (uint8_t k = 0; k < from->size; k++) {
        if (toupper((unsigned char)from->text[k]) != (int)rom_byte(rom + k)) {
            return false;
        }
    }
    return rom_byte(rom + from->size) == 0;
}

/* --- common commands ------------------------------------------------------------------------------ */

static void identify(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    answer_text(board, ROM_TEXT("hwlearn,REFBOARD,"));
    answer_more_text(board, board->record.serial);
    answer_more(board, ROM_TEXT("," FIRMWARE_VERSION));
}

static void reset(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    board_reset(board);
}

static void clear_status(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    board->errors.count = 0;
    board->errors.events = 0;
}

static void events(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    answer_number(board, board->errors.events);
    board->errors.events = 0;
}

static void enable_events(board_t *board, const arguments_t *arguments)
{
    int32_t value;
    if (read_within(board, &arguments->parameters[0], 0, 255, &value)) {
        board->errors.enabled = (uint8_t)value;
    }
}

static void enabled_events(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    answer_number(board, board->errors.enabled);
}

static void status_byte(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    uint8_t status = board->errors.count ? 4u : 0u;
    if (board->errors.events & board->errors.enabled) {
        status |= 32u;
    }
    answer_number(board, status);
}

static void operation_complete(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    board->errors.events |= EVENT_OPC;
}

static void is_complete(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    answer_number(board, 1);
}

static void wait_to_continue(board_t *board, const arguments_t *arguments)
{
    (void)board;
    (void)arguments;
}

static void self_test(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    uint16_t codes[HAL_ADCS];
    uint8_t edges[HAL_EDGES];
    int32_t found = board->calibrated ? 0 : 1;
    found += hal_adc_scan(board->hal, 0xFFu, codes) ? 0 : 2;
    found += hal_edges_read(board->hal, edges) ? 0 : 4;
    answer_number(board, found);
}

/* --- system --------------------------------------------------------------------------------------- */

static void next_error(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    int16_t code = errors_pop(&board->errors);
    answer_number(board, code);
    answer_more(board, ROM_TEXT(",\""));
    answer_more(board, errors_text(code));
    answer_more(board, ROM_TEXT("\""));
}

static void count_errors(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    answer_number(board, board->errors.count);
}

static void capability(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    answer_text(board, ROM_TEXT(PROTOCOL_VERSION ",8,4,32,256,3072"));
}

static void set_watchdog(board_t *board, const arguments_t *arguments)
{
    int32_t value;
    if (read_within(board, &arguments->parameters[0], WATCHDOG_LEAST_MS, WATCHDOG_MOST_MS, &value)) {
        board->watchdog_ms = (uint16_t)value;
    }
}

static void get_watchdog(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    answer_number(board, board->watchdog_ms);
}

static void watchdog_tripped(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    answer_number(board, board->tripped);
}

static void clear_watchdog(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    board->tripped = false;
}

static void reboot(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    board_safe(board);
    board->rebooting = true; /* once this message has ended */
}

/* --- outputs -------------------------------------------------------------------------------------- */

static void output_off(board_t *board, const arguments_t *arguments)
{
    const parameter_t *word = &arguments->parameters[0];
    if (!same_word(word, ROM_TEXT("OFF")) && !same_word(word, ROM_TEXT("0"))) {
        board_error(board, E_WORD);
        return;
    }
    board_safe(board);
}

static void output_state(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    answer_number(board, board_driving(board));
}

/* Whether a code is near enough to the free reading of an output that is being nudged. */
static bool near_enough(const board_t *board, uint8_t output, int32_t code)
{
    int32_t away = code - board->free_code[output];
    return away <= board->limits.dac_span[output] && away >= -board->limits.dac_span[output];
}

static void set_voltage(board_t *board, const arguments_t *arguments)
{
    int32_t channel;
    int32_t uV;
    if (!board_may_drive(board) || !read_within(board, &arguments->parameters[0], 0, HAL_DACS - 1, &channel) ||
        !read_micro(board, &arguments->parameters[1], &uV)) {
        return;
    }
    if (uV > board->limits.volts_uV || uV < -board->limits.volts_uV) {
        board_error(board, E_RANGE);
        return;
    }
    uint8_t k = (uint8_t)channel;
    int32_t code = scale_dac_code(&board->record.dac[k], uV);
    if (code < 0 || code > 0xFFFE || !limits_allow(&board->limits, k, (uint16_t)code)) {
        board_error(board, E_RANGE);
        return;
    }
    if (board->closed && k < HAL_INPUTS) {
        board_error(board, E_CONFLICT);
        return;
    }
    if (k >= HAL_INPUTS && k < HAL_INPUTS + HAL_OUTPUTS) {
        uint8_t output = (uint8_t)(k - HAL_INPUTS);
        if ((board->closed & (uint8_t)(1u << output)) && !near_enough(board, output, code)) {
            board_error(board, E_RANGE);
            return;
        }
    }
    hal_dac_write(board->hal, k, (uint16_t)code);
    hal_dac_load(board->hal);
    board->dac[k] = (uint16_t)code;
}

static void get_voltage(board_t *board, const arguments_t *arguments)
{
    int32_t channel;
    if (read_within(board, &arguments->parameters[0], 0, HAL_DACS - 1, &channel)) {
        answer_micro(board, scale_dac_uV(&board->record.dac[channel], board->dac[channel]));
    }
}

static void close_switches(board_t *board, const arguments_t *arguments)
{
    int32_t mask;
    uint16_t codes[HAL_ADCS];
    int32_t free_code[HAL_OUTPUTS];
    if (!board_may_drive(board) ||
        !read_within(board, &arguments->parameters[0], 0, (1 << HAL_OUTPUTS) - 1, &mask)) {
        return;
    }
    uint8_t more = (uint8_t)((uint8_t)mask & (uint8_t)~board->closed);
    if (more && !sequence_read(board, (1u << HAL_OUTPUTS) - 1u, codes)) {
        board_error(board, E_SILENT);
        return;
    }
    memcpy(free_code, board->free_code, sizeof free_code);
    for (uint8_t j = 0; j < HAL_OUTPUTS; j++) {
        if (!(more & (uint8_t)(1u << j))) {
            continue;
        }
        free_code[j] = scale_nudge_code(&board->maps[j], codes[j]);
        int32_t away = (int32_t)board->dac[HAL_INPUTS + j] - free_code[j];
        /* a reading at the end of the range tells no distance */
        if (away > board->limits.dac_span[j] || away < -board->limits.dac_span[j] || codes[j] == 0 ||
            codes[j] == 0xFFFFu) {
            board_error(board, E_RANGE);
            return;
        }
    }
    memcpy(board->free_code, free_code, sizeof free_code);
    board->closed = (uint8_t)mask;
    hal_switches(board->hal, board->closed);
}

static void closed_switches(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    answer_number(board, board->closed);
}

static void open_switches(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    hal_switches(board->hal, 0);
    board->closed = 0;
}

static void measure(board_t *board, const arguments_t *arguments)
{
    uint16_t codes[HAL_ADCS];
    uint8_t first = 0;
    uint8_t last = HAL_ADCS - 1;
    if (arguments->count) {
        int32_t channel;
        if (!read_within(board, &arguments->parameters[0], 0, HAL_ADCS - 1, &channel)) {
            return;
        }
        first = last = (uint8_t)channel;
    }
    uint8_t mask = (uint8_t)((0xFFu << first) & (0xFFu >> (HAL_ADCS - 1u - last)));
    if (!sequence_read(board, mask, codes)) {
        board_error(board, E_SILENT);
        return;
    }
    for (uint8_t k = first; k <= last; k++) {
        int32_t uV = scale_adc_uV(&board->record.adc[k], codes[k - first]);
        if (k == first) {
            answer_micro(board, uV);
        } else {
            answer_more(board, ROM_TEXT(","));
            answer_more_micro(board, uV);
        }
    }
}

/* --- limits --------------------------------------------------------------------------------------- */

static void limit_volts(board_t *board, const arguments_t *arguments)
{
    int32_t uV;
    if (!read_micro(board, &arguments->parameters[0], &uV)) {
        return;
    }
    if (!limits_narrow_volts(&board->limits, &board->record, uV)) {
        board_error(board, E_RANGE);
        return;
    }
    if (board_driving(board)) {
        board_safe(board); /* what stands may lie outside the new limit */
    }
}

static void limited_volts(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    answer_micro(board, board->limits.volts_uV);
}

static void limit_nudge(board_t *board, const arguments_t *arguments)
{
    int32_t uV;
    if (!read_micro(board, &arguments->parameters[0], &uV)) {
        return;
    }
    if (!limits_narrow_nudge(&board->limits, &board->record, uV)) {
        board_error(board, E_RANGE);
        return;
    }
    if (board_driving(board)) {
        board_safe(board);
    }
}

static void limited_nudge(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    answer_micro(board, board->limits.nudge_uV);
}

static void limit_edges(board_t *board, const arguments_t *arguments)
{
    int32_t low;
    int32_t high;
    if (!read_within(board, &arguments->parameters[0], 0, 255, &low) ||
        !read_within(board, &arguments->parameters[1], 0, 255, &high)) {
        return;
    }
    if (!limits_narrow_edges(&board->limits, low, high)) {
        board_error(board, E_RANGE);
    }
}

static void limited_edges(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    answer_number(board, board->limits.edge_low);
    answer_more(board, ROM_TEXT(","));
    answer_more_number(board, board->limits.edge_high);
}

/* --- edges ---------------------------------------------------------------------------------------- */

static void write_edges(board_t *board, const uint8_t *codes)
{
    if (!hal_edges_write(board->hal, codes)) {
        board_error(board, E_SILENT);
    }
}

static bool edge_allowed(const board_t *board, uint16_t code)
{
    return code >= board->limits.edge_low && code <= board->limits.edge_high;
}

static bool may_program(board_t *board)
{
    if (!board->calibrated) {
        board_error(board, E_UNCALIBRATED);
        return false;
    }
    if (board->closed) {
        board_error(board, E_CONFLICT);
        return false;
    }
    return true;
}

static void set_edges(board_t *board, const arguments_t *arguments)
{
    uint8_t codes[HAL_EDGES];
    if (!may_program(board)) {
        return;
    }
    for (uint8_t k = 0; k < HAL_EDGES; k++) {
        const uint8_t *word = arguments->block + 2u * k;
        if (word[1] != 0 || !edge_allowed(board, word[0])) {
            board_error(board, E_RANGE);
            return;
        }
        codes[k] = word[0];
    }
    write_edges(board, codes);
}

static void get_edges(board_t *board, const arguments_t *arguments)
{
    uint8_t codes[HAL_EDGES];
    (void)arguments;
    if (!hal_edges_read(board->hal, codes)) {
        board_error(board, E_SILENT);
        return;
    }
    answer_block(board, 2u * HAL_EDGES);
    for (uint8_t k = 0; k < HAL_EDGES; k++) {
        answer_word(board, codes[k]);
    }
    answer_block_end(board);
}

static void set_edge(board_t *board, const arguments_t *arguments)
{
    uint8_t codes[HAL_EDGES];
    int32_t edge;
    int32_t code;
    if (!may_program(board) || !read_within(board, &arguments->parameters[0], 0, HAL_EDGES - 1, &edge) ||
        !read_within(board, &arguments->parameters[1], 0, 255, &code)) {
        return;
    }
    if (!edge_allowed(board, (uint16_t)code)) {
        board_error(board, E_RANGE);
        return;
    }
    if (!hal_edges_read(board->hal, codes)) {
        board_error(board, E_SILENT);
        return;
    }
    codes[edge] = (uint8_t)code;
    write_edges(board, codes);
}

static void get_edge(board_t *board, const arguments_t *arguments)
{
    uint8_t codes[HAL_EDGES];
    int32_t edge;
    if (!read_within(board, &arguments->parameters[0], 0, HAL_EDGES - 1, &edge)) {
        return;
    }
    if (!hal_edges_read(board->hal, codes)) {
        board_error(board, E_SILENT);
        return;
    }
    answer_number(board, codes[edge]);
}

/* --- sequences ------------------------------------------------------------------------------------ */

static void set_settle(board_t *board, const arguments_t *arguments)
{
    int32_t us;
    if (read_within(board, &arguments->parameters[0], 0, SETTLE_MOST_US, &us)) {
        board->sequence.settle_us = (uint16_t)us;
    }
}

static void get_settle(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    answer_number(board, board->sequence.settle_us);
}

static void set_average(board_t *board, const arguments_t *arguments)
{
    int32_t count;
    if (!read_within(board, &arguments->parameters[0], 1, 1 << AVERAGE_BITS_MOST, &count)) {
        return;
    }
    if (count & (count - 1)) {
        board_error(board, E_RANGE);
        return;
    }
    uint8_t bits = 0;
    while ((1 << bits) < count) {
        bits++;
    }
    board->sequence.average_bits = bits;
}

static void get_average(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    answer_number(board, (int32_t)1 << board->sequence.average_bits);
}

static void set_sides(board_t *board, const arguments_t *arguments)
{
    int32_t sides;
    if (read_within(board, &arguments->parameters[0], 1, 2, &sides)) {
        board->sequence.sides = (uint8_t)sides;
    }
}

static void get_sides(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    answer_number(board, board->sequence.sides);
}

static void free_phase(board_t *board, const arguments_t *arguments)
{
    sequence_run(board, SEQUENCE_FREE, arguments->block, arguments->block_size, 0);
}

static void nudged_phase(board_t *board, const arguments_t *arguments)
{
    sequence_run(board, SEQUENCE_NUDGE, arguments->block, arguments->block_size, 0);
}

static void two_phase(board_t *board, const arguments_t *arguments)
{
    int32_t micro;
    if (!read_micro(board, &arguments->parameters[0], &micro)) {
        return;
    }
    int32_t eta = micro > 8000000 ? 0 : number_scaled(micro, 4096, 1000000);
    if (eta < 1 || eta > 32767) {
        board_error(board, E_RANGE);
        return;
    }
    sequence_run(board, SEQUENCE_TWO_PHASE, arguments->block, arguments->block_size, (int16_t)eta);
}

/* --- calibration ---------------------------------------------------------------------------------- */

static void get_record(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    if (!board->calibrated) {
        board_error(board, E_UNCALIBRATED);
        return;
    }
    answer_block(board, RECORD_SIZE - 2u);
    for (uint16_t k = 0; k < RECORD_SIZE - 2u; k++) {
        answer_byte(board, record_byte(board->hal, k));
    }
    answer_block_end(board);
}

static void unlock(board_t *board, const arguments_t *arguments)
{
    const parameter_t *serial = &arguments->parameters[0];
    board->unlocked = serial->size == strlen(board->record.serial) &&
                      memcmp(serial->text, board->record.serial, serial->size) == 0;
    if (!board->unlocked) {
        board_error(board, E_WORD);
    }
}

static void set_record(board_t *board, const arguments_t *arguments)
{
    if (!board->unlocked) {
        board_error(board, E_LOCKED);
        return;
    }
    if (board->closed) {
        board_error(board, E_CONFLICT);
        return;
    }
    if (!record_plausible(arguments->block)) {
        board_error(board, E_RANGE);
        return;
    }
    board->unlocked = false;
    board_safe(board);
    bool stored = record_store(board->hal, arguments->block);
    board_calibrate(board);
    if (!stored) {
        board_error(board, E_UNCALIBRATED);
    }
}

/* --- the table ------------------------------------------------------------------------------------ */

typedef void (*handler_t)(board_t *board, const arguments_t *arguments);

typedef struct {
    char pattern[22]; /* capitals are the short form */
    uint8_t least, most;
    bool block;
    handler_t run;
} command_t;

static const command_t COMMANDS[] ROM = {
    {"*IDN?", 0, 0, false, identify},
    {"*RST", 0, 0, false, reset},
    {"*CLS", 0, 0, false, clear_status},
    {"*ESR?", 0, 0, false, events},
    {"*ESE", 1, 1, false, enable_events},
    {"*ESE?", 0, 0, false, enabled_events},
    {"*STB?", 0, 0, false, status_byte},
    {"*OPC", 0, 0, false, operation_complete},
    {"*OPC?", 0, 0, false, is_complete},
    {"*WAI", 0, 0, false, wait_to_continue},
    {"*TST?", 0, 0, false, self_test},
    {"SYSTem:ERRor?", 0, 0, false, next_error},
    {"SYSTem:ERRor:NEXT?", 0, 0, false, next_error},
    {"SYSTem:ERRor:COUNt?", 0, 0, false, count_errors},
    {"SYSTem:CAPability?", 0, 0, false, capability},
    {"SYSTem:WDOG", 1, 1, false, set_watchdog},
    {"SYSTem:WDOG?", 0, 0, false, get_watchdog},
    {"SYSTem:WDOG:TRIPped?", 0, 0, false, watchdog_tripped},
    {"SYSTem:WDOG:CLEar", 0, 0, false, clear_watchdog},
    {"SYSTem:REBoot", 0, 0, false, reboot},
    {"OUTPut", 1, 1, false, output_off},
    {"OUTPut?", 0, 0, false, output_state},
    {"SOURce:VOLTage", 2, 2, false, set_voltage},
    {"SOURce:VOLTage?", 1, 1, false, get_voltage},
    {"SOURce:LIMit:VOLTage", 1, 1, false, limit_volts},
    {"SOURce:LIMit:VOLTage?", 0, 0, false, limited_volts},
    {"SOURce:LIMit:NUDGe", 1, 1, false, limit_nudge},
    {"SOURce:LIMit:NUDGe?", 0, 0, false, limited_nudge},
    {"SOURce:LIMit:EDGE", 2, 2, false, limit_edges},
    {"SOURce:LIMit:EDGE?", 0, 0, false, limited_edges},
    {"ROUTe:CLOSe", 1, 1, false, close_switches},
    {"ROUTe:CLOSe?", 0, 0, false, closed_switches},
    {"ROUTe:OPEN", 0, 0, false, open_switches},
    {"MEASure:VOLTage?", 0, 1, false, measure},
    {"EDGE:DATA", 0, 0, true, set_edges},
    {"EDGE:DATA?", 0, 0, false, get_edges},
    {"EDGE:CODE", 2, 2, false, set_edge},
    {"EDGE:CODE?", 1, 1, false, get_edge},
    {"SEQuence:SETTle", 1, 1, false, set_settle},
    {"SEQuence:SETTle?", 0, 0, false, get_settle},
    {"SEQuence:AVERage", 1, 1, false, set_average},
    {"SEQuence:AVERage?", 0, 0, false, get_average},
    {"SEQuence:SIDEs", 1, 1, false, set_sides},
    {"SEQuence:SIDEs?", 0, 0, false, get_sides},
    {"SEQuence:FREE?", 0, 0, true, free_phase},
    {"SEQuence:NUDGe?", 0, 0, true, nudged_phase},
    {"SEQuence:TWOPhase?", 1, 1, true, two_phase},
    {"CALibration:DATA?", 0, 0, false, get_record},
    {"CALibration:DATA", 0, 0, true, set_record},
    {"CALibration:UNLock", 1, 1, false, unlock},
};

#define COMMAND_COUNT (sizeof COMMANDS / sizeof COMMANDS[0])

static void look_up(uint8_t command, command_t *found)
{
    rom_copy(found, &COMMANDS[command], sizeof *found);
}

/* --- finding a header ----------------------------------------------------------------------------- */

/* A header in two pieces: where it is looked up, and what was sent. */
typedef struct {
    const char *path;
    uint8_t path_size;
    const char *text;
    uint8_t size;
} header_t;

static char header_at(const header_t *header, uint8_t k)
{
    return k < header->path_size ? header->path[k] : header->text[k - header->path_size];
}

static bool keyword_ends(char c)
{
    return c == ':' || c == '?' || c == '\0';
}

static bool matches(const char *pattern, const header_t *header)
{
    uint8_t all = (uint8_t)(header->path_size + header->size);
    uint8_t at = 0;
    for (;;) {
        /* one keyword: as many letters as the short form or as the long one */
        uint8_t length = 0;
        uint8_t shortest = 0;
        while (!keyword_ends(pattern[length])) {
            shortest = (uint8_t)(shortest + !islower((unsigned char)pattern[length]));
            length++;
        }
        uint8_t sent = 0;
        while (at + sent < all && !keyword_ends(header_at(header, (uint8_t)(at + sent)))) {
            char c = header_at(header, (uint8_t)(at + sent));
            if (sent == length || toupper((unsigned char)c) != toupper((unsigned char)pattern[sent])) {
                return false;
            }
            sent++;
        }
        if (sent != length && sent != shortest) {
            return false;
        }
        at = (uint8_t)(at + sent);
        pattern += length;
        char next = at < all ? header_at(header, at) : '\0';
        if (*pattern != next) {
            return false;
        }
        if (next == '\0') {
            return at == all; /* a zero byte in what was sent is no end */
        }
        pattern++;
        at++;
    }
}

uint8_t commands_find(const char *path, const char *header, uint8_t size)
{
    header_t sent = {path, (uint8_t)strlen(path), header, size};
    if (size == 0) {
        return COMMAND_NONE;
    }
    char first = (char)toupper((unsigned char)header_at(&sent, 0));
    for (uint8_t k = 0; k < COMMAND_COUNT; k++) {
        command_t command;
        if ((char)rom_byte((const char *)&COMMANDS[k].pattern[0]) != first) {
            continue;
        }
        look_up(k, &command);
        if (matches(command.pattern, &sent)) {
            return k;
        }
    }
    return COMMAND_NONE;
}

int16_t commands_fit(uint8_t command, uint8_t parameters, bool block)
{
    command_t found;
    look_up(command, &found);
    if (block && !found.block) {
        return parameters < found.most ? E_TYPE : E_TOO_MANY;
    }
    if (parameters < found.least) {
        return E_TOO_FEW;
    }
    if (parameters > found.most) {
        return found.block && !block ? E_TYPE : E_TOO_MANY;
    }
    return found.block && !block ? E_TOO_FEW : 0;
}

bool commands_length_fits(const board_t *board, uint8_t command, uint16_t size)
{
    command_t found;
    look_up(command, &found);
    if (found.run == set_edges) {
        return size == 2u * HAL_EDGES;
    }
    if (found.run == set_record) {
        return size == RECORD_SIZE - 2u;
    }
    sequence_kind_t kind = SEQUENCE_FREE;
    if (found.run == nudged_phase) {
        kind = SEQUENCE_NUDGE;
    } else if (found.run == two_phase) {
        kind = SEQUENCE_TWO_PHASE;
    }
    uint16_t width = (uint16_t)(2u * sequence_words(board, kind));
    return size > 0 && size % width == 0;
}

void commands_run(board_t *board, uint8_t command, const arguments_t *arguments)
{
    command_t found;
    look_up(command, &found);
    found.run(board, arguments);
}
