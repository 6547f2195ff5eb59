#include "commands.h"

#include <string.h>

#include "answers.h"
#include "board.h"
#include "numbers.h"
#include "rom.h"

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static char upper(char c)
{
    return is_lower(c) ? (char)(c - 'a' + 'A') : c;
}

static bool same_word(const parameter_t *from, const char *rom)
{
    for (uint8_t k = 0; k < from->size; k++) {
        char wanted = (char)rom_byte(rom + k);
        if (wanted == '\0' || upper(from->text[k]) != wanted) { /* zero bytes may have been sent */
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
    board->errors.enabled = (uint8_t)arguments->values[0];
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
    board->watchdog_ms = (uint16_t)arguments->values[0];
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

static void set_voltage(board_t *board, const arguments_t *arguments)
{
    uint8_t k = (uint8_t)arguments->values[0];
    int32_t uV = arguments->values[1];
    if (!board_may_drive(board)) {
        return;
    }
    if (uV > board->limits.volts_uV || uV < -board->limits.volts_uV) {
        board_error(board, E_RANGE);
        return;
    }
    if (board->closed && k < HAL_INPUTS) {
        board_error(board, E_CONFLICT);
        return;
    }
    uint16_t code = (uint16_t)scale_dac_code(&board->record.dac[k], uV); /* within 16 bits, as the limits are */
    uint8_t output = (uint8_t)(k - HAL_INPUTS);
    bool nudging = output < HAL_OUTPUTS && (board->closed & (uint8_t)(1u << output));
    if (!limits_allow(&board->limits, k, code) ||
        (nudging && !sequence_near(board, output, code, board->free_code[output]))) {
        board_error(board, E_RANGE);
        return;
    }
    hal_dac_write(board->hal, k, code);
    hal_dac_load(board->hal);
    board->dac[k] = code;
}

static void get_voltage(board_t *board, const arguments_t *arguments)
{
    uint8_t k = (uint8_t)arguments->values[0];
    answer_micro(board, scale_dac_uV(&board->record.dac[k], board->dac[k]));
}

static void close_switches(board_t *board, const arguments_t *arguments)
{
    uint8_t mask = (uint8_t)arguments->values[0];
    uint8_t more = (uint8_t)(mask & (uint8_t)~board->closed);
    uint16_t codes[HAL_ADCS];
    if (!board_may_drive(board)) {
        return;
    }
    if (!sequence_read(board, (1u << HAL_OUTPUTS) - 1u, codes)) {
        board_error(board, E_SILENT);
        return;
    }
    for (uint8_t j = 0; j < HAL_OUTPUTS; j++) {
        if (!(more & (uint8_t)(1u << j))) {
            continue;
        }
        board->free_code[j] = codes[j]; /* of no use before its switch is closed */
        if (!sequence_near(board, j, board->dac[HAL_INPUTS + j], codes[j])) {
            board_error(board, E_RANGE);
            return;
        }
    }
    board->closed = mask;
    hal_switches(board->hal, mask);
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
    uint8_t mask = 0xFF;
    if (arguments->count) {
        mask = (uint8_t)(1u << (uint8_t)arguments->values[0]);
    }
    if (!sequence_read(board, mask, codes)) {
        board_error(board, E_SILENT);
        return;
    }
    uint8_t n = 0;
    for (uint8_t k = 0; k < HAL_ADCS; k++) {
        if (!(mask & (uint8_t)(1u << k))) {
            continue;
        }
        int32_t uV = scale_adc_uV(&board->record.adc[k], codes[n]);
        if (n++ == 0) {
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
    if (!limits_narrow_volts(&board->limits, &board->record, arguments->values[0])) {
        board_error(board, E_RANGE);
        return;
    }
    board_safe(board); /* what stands may lie outside the new limit */
}

static void limited_volts(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    answer_micro(board, board->limits.volts_uV);
}

static void limit_nudge(board_t *board, const arguments_t *arguments)
{
    if (!limits_narrow_nudge(&board->limits, &board->record, arguments->values[0])) {
        board_error(board, E_RANGE);
        return;
    }
    board_safe(board); /* what stands may lie outside the new limit */
}

static void limited_nudge(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    answer_micro(board, board->limits.nudge_uV);
}

static void limit_edges(board_t *board, const arguments_t *arguments)
{
    if (!limits_narrow_edges(&board->limits, arguments->values[0], arguments->values[1])) {
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

static bool read_edges(board_t *board, uint8_t *codes)
{
    if (hal_edges_read(board->hal, codes)) {
        return true;
    }
    board_error(board, E_SILENT);
    return false;
}

static void write_edges(board_t *board, const uint8_t *codes)
{
    if (!hal_edges_write(board->hal, codes)) {
        board_error(board, E_SILENT);
    }
}

static bool edge_allowed(const board_t *board, uint8_t code)
{
    return code >= board->limits.edge_low && code <= board->limits.edge_high;
}

static bool may_program(board_t *board)
{
    int16_t code = board->calibrated ? 0 : E_UNCALIBRATED;
    if (board->closed) {
        code = E_CONFLICT;
    }
    if (code) {
        board_error(board, code);
    }
    return code == 0;
}

static void set_edges(board_t *board, const arguments_t *arguments)
{
    uint8_t codes[HAL_EDGES];
    const uint8_t *word = arguments->block;
    if (!may_program(board)) {
        return;
    }
    for (uint8_t k = 0; k < HAL_EDGES; k++, word += 2) {
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
    if (!read_edges(board, codes)) {
        return;
    }
    answer_block(board, 2u * HAL_EDGES);
    for (uint8_t k = 0; k < HAL_EDGES; k++) {
        uint16_t word = codes[k];
        answer_words(board, &word, 1);
    }
    answer_block_end(board);
}

static void set_edge(board_t *board, const arguments_t *arguments)
{
    uint8_t codes[HAL_EDGES];
    uint8_t code = (uint8_t)arguments->values[1];
    if (!may_program(board)) {
        return;
    }
    if (!edge_allowed(board, code)) {
        board_error(board, E_RANGE);
        return;
    }
    if (read_edges(board, codes)) {
        codes[(uint8_t)arguments->values[0]] = code;
        write_edges(board, codes);
    }
}

static void get_edge(board_t *board, const arguments_t *arguments)
{
    uint8_t codes[HAL_EDGES];
    if (read_edges(board, codes)) {
        answer_number(board, codes[(uint8_t)arguments->values[0]]);
    }
}

/* --- sequences ------------------------------------------------------------------------------------ */

static void set_settle(board_t *board, const arguments_t *arguments)
{
    board->sequence.settle_us = (uint16_t)arguments->values[0];
}

static void get_settle(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    answer_number(board, board->sequence.settle_us);
}

static void set_average(board_t *board, const arguments_t *arguments)
{
    uint8_t count = (uint8_t)arguments->values[0];
    uint8_t bits = 0;
    while (!(count & 1u)) {
        count >>= 1;
        bits++;
    }
    if (count != 1u) {
        board_error(board, E_RANGE);
        return;
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
    board->sequence.sides = (uint8_t)arguments->values[0];
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
    int32_t micro = arguments->values[0];
    int32_t eta = micro > 8000000 ? 0 : number_scaled(micro, 4096, 1000000);
    if (eta < 1 || eta > 32767) {
        board_error(board, E_RANGE);
        return;
    }
    sequence_run(board, SEQUENCE_TWO_PHASE, arguments->block, arguments->block_size, (uint16_t)eta);
}

/* --- calibration ---------------------------------------------------------------------------------- */

static void get_record(board_t *board, const arguments_t *arguments)
{
    (void)arguments;
    uint8_t *bytes = board->parser.block; /* this message has no block */
    if (!record_read(board->hal, bytes)) {
        board_error(board, E_UNCALIBRATED);
        return;
    }
    answer_block(board, RECORD_SIZE - 2u);
    for (uint16_t k = 0; k < RECORD_SIZE - 2u; k++) {
        answer_byte(board, bytes[k]);
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
    int16_t code = record_plausible(arguments->block) ? 0 : E_RANGE;
    if (board->closed) {
        code = E_CONFLICT;
    }
    if (!board->unlocked) {
        code = E_LOCKED;
    }
    if (code) {
        board_error(board, code);
        return;
    }
    board->unlocked = false;
    board_safe(board);
    record_store(board->hal, board->parser.block); /* that is the block of the arguments */
    board_calibrate(board);
    if (!board->calibrated) {
        board_error(board, E_UNCALIBRATED);
    }
}

/* --- the table ------------------------------------------------------------------------------------ */

typedef void (*handler_t)(board_t *board, const arguments_t *arguments);

/* What stands behind a header: counts are whole numbers, micro are decimals taken as millionths. */
enum {
    TAKES_NONE,
    TAKES_COUNT,
    TAKES_MAYBE_COUNT,
    TAKES_TWO_COUNTS, /* the second up to 255 */
    TAKES_MICRO,
    TAKES_COUNT_MICRO,
    TAKES_WORD,
    TAKES_BLOCK,
    TAKES_MICRO_BLOCK
};

/* Headers with their short forms in capitals, parameters, bounds of the first count, and what is done. */
#define COMMANDS_OF(X) \
    X("*IDN?", TAKES_NONE, 0, 0, identify) \
    X("*RST", TAKES_NONE, 0, 0, reset) \
    X("*CLS", TAKES_NONE, 0, 0, clear_status) \
    X("*ESR?", TAKES_NONE, 0, 0, events) \
    X("*ESE", TAKES_COUNT, 0, 255, enable_events) \
    X("*ESE?", TAKES_NONE, 0, 0, enabled_events) \
    X("*STB?", TAKES_NONE, 0, 0, status_byte) \
    X("*OPC", TAKES_NONE, 0, 0, operation_complete) \
    X("*OPC?", TAKES_NONE, 0, 0, is_complete) \
    X("*WAI", TAKES_NONE, 0, 0, wait_to_continue) \
    X("*TST?", TAKES_NONE, 0, 0, self_test) \
    X("SYSTem:ERRor?", TAKES_NONE, 0, 0, next_error) \
    X("SYSTem:ERRor:NEXT?", TAKES_NONE, 0, 0, next_error) \
    X("SYSTem:ERRor:COUNt?", TAKES_NONE, 0, 0, count_errors) \
    X("SYSTem:CAPability?", TAKES_NONE, 0, 0, capability) \
    X("SYSTem:WDOG", TAKES_COUNT, 50, 60000, set_watchdog) \
    X("SYSTem:WDOG?", TAKES_NONE, 0, 0, get_watchdog) \
    X("SYSTem:WDOG:TRIPped?", TAKES_NONE, 0, 0, watchdog_tripped) \
    X("SYSTem:WDOG:CLEar", TAKES_NONE, 0, 0, clear_watchdog) \
    X("SYSTem:REBoot", TAKES_NONE, 0, 0, reboot) \
    X("OUTPut", TAKES_WORD, 0, 0, output_off) \
    X("OUTPut?", TAKES_NONE, 0, 0, output_state) \
    X("SOURce:VOLTage", TAKES_COUNT_MICRO, 0, HAL_DACS - 1, set_voltage) \
    X("SOURce:VOLTage?", TAKES_COUNT, 0, HAL_DACS - 1, get_voltage) \
    X("SOURce:LIMit:VOLTage", TAKES_MICRO, 0, 0, limit_volts) \
    X("SOURce:LIMit:VOLTage?", TAKES_NONE, 0, 0, limited_volts) \
    X("SOURce:LIMit:NUDGe", TAKES_MICRO, 0, 0, limit_nudge) \
    X("SOURce:LIMit:NUDGe?", TAKES_NONE, 0, 0, limited_nudge) \
    X("SOURce:LIMit:EDGE", TAKES_TWO_COUNTS, 0, 255, limit_edges) \
    X("SOURce:LIMit:EDGE?", TAKES_NONE, 0, 0, limited_edges) \
    X("ROUTe:CLOSe", TAKES_COUNT, 0, (1 << HAL_OUTPUTS) - 1, close_switches) \
    X("ROUTe:CLOSe?", TAKES_NONE, 0, 0, closed_switches) \
    X("ROUTe:OPEN", TAKES_NONE, 0, 0, open_switches) \
    X("MEASure:VOLTage?", TAKES_MAYBE_COUNT, 0, HAL_ADCS - 1, measure) \
    X("EDGE:DATA", TAKES_BLOCK, 0, 0, set_edges) \
    X("EDGE:DATA?", TAKES_NONE, 0, 0, get_edges) \
    X("EDGE:CODE", TAKES_TWO_COUNTS, 0, HAL_EDGES - 1, set_edge) \
    X("EDGE:CODE?", TAKES_COUNT, 0, HAL_EDGES - 1, get_edge) \
    X("SEQuence:SETTle", TAKES_COUNT, 0, 50000, set_settle) \
    X("SEQuence:SETTle?", TAKES_NONE, 0, 0, get_settle) \
    X("SEQuence:AVERage", TAKES_COUNT, 1, 64, set_average) \
    X("SEQuence:AVERage?", TAKES_NONE, 0, 0, get_average) \
    X("SEQuence:SIDEs", TAKES_COUNT, 1, 2, set_sides) \
    X("SEQuence:SIDEs?", TAKES_NONE, 0, 0, get_sides) \
    X("SEQuence:FREE?", TAKES_BLOCK, 0, 0, free_phase) \
    X("SEQuence:NUDGe?", TAKES_BLOCK, 0, 0, nudged_phase) \
    X("SEQuence:TWOPhase?", TAKES_MICRO_BLOCK, 0, 0, two_phase) \
    X("CALibration:DATA?", TAKES_NONE, 0, 0, get_record) \
    X("CALibration:DATA", TAKES_BLOCK, 0, 0, set_record) \
    X("CALibration:UNLock", TAKES_WORD, 0, 0, unlock)

typedef struct {
    uint8_t header_size; /* with the zero behind it */
    uint8_t takes;
    uint8_t least; /* of the first count */
    uint16_t most;
    handler_t run;
} command_t;

#define ROW(header, takes, least, most, run) {sizeof(header), takes, least, most, run},
#define HEADER(header, takes, least, most, run) header "\0"

static const command_t COMMANDS[] ROM = {COMMANDS_OF(ROW)};
static const char HEADERS[] ROM = COMMANDS_OF(HEADER);

#define COMMAND_COUNT (sizeof COMMANDS / sizeof COMMANDS[0])

static void look_up(uint8_t command, command_t *found)
{
    rom_copy(found, &COMMANDS[command], sizeof *found);
}

/* --- finding a header ----------------------------------------------------------------------------- */

#define HEADER_MOST 32u /* longer than any of ours, with a zero behind it */

static bool keyword_ends(char c)
{
    return c == ':' || c == '?' || c == '\0';
}

/* Whether a header of the table is the one that was sent, in capitals. */
static bool matches(const char *pattern, const char *sent)
{
    for (;;) {
        /* one keyword: the short form, then all of the rest or nothing of it */
        char c = (char)rom_byte(pattern);
        while (!keyword_ends(c) && !is_lower(c) && *sent == c) {
            c = (char)rom_byte(++pattern);
            sent++;
        }
        bool whole = !keyword_ends(*sent);
        while (is_lower(c)) {
            if (whole && *sent++ != upper(c)) {
                return false;
            }
            c = (char)rom_byte(++pattern);
        }
        if (!keyword_ends(c) || *sent != c) {
            return false;
        }
        if (c == '\0') {
            return true;
        }
        pattern++;
        sent++;
    }
}

uint8_t commands_find(const char *path, const char *header, uint8_t size)
{
    char sent[HEADER_MOST];
    uint8_t end = (uint8_t)strlen(path);
    if (end + size >= HEADER_MOST) {
        return COMMAND_NONE;
    }
    memcpy(sent, path, end);
    for (; size > 0; size--) {
        if (*header == '\0') {
            return COMMAND_NONE; /* a zero byte in what was sent is no end */
        }
        sent[end++] = upper(*header++);
    }
    sent[end] = '\0';
    const char *pattern = HEADERS;
    for (uint8_t k = 0; k < COMMAND_COUNT; k++) {
        if ((char)rom_byte(pattern) == sent[0] && matches(pattern, sent)) {
            return k;
        }
        pattern += rom_byte(&COMMANDS[k].header_size);
    }
    return COMMAND_NONE;
}

int16_t commands_fit(uint8_t command, uint8_t parameters, bool block)
{
    command_t found;
    look_up(command, &found);
    bool takes_block = found.takes >= TAKES_BLOCK;
    uint8_t most = found.takes == TAKES_TWO_COUNTS || found.takes == TAKES_COUNT_MICRO ? 2u : 1u;
    if (found.takes == TAKES_NONE || found.takes == TAKES_BLOCK) {
        most = 0;
    }
    uint8_t least = found.takes == TAKES_MAYBE_COUNT ? 0u : most;
    if (block && !takes_block) {
        return parameters < most ? E_TYPE : E_TOO_MANY;
    }
    if (parameters < least) {
        return E_TOO_FEW;
    }
    if (parameters > most) {
        return takes_block && !block ? E_TYPE : E_TOO_MANY;
    }
    return takes_block && !block ? E_TOO_FEW : 0;
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

/* Read one number into the arguments. */
static bool read_value(board_t *board, arguments_t *arguments, uint8_t k, bool micro, int32_t least, int32_t most)
{
    const parameter_t *from = &arguments->parameters[k];
    int32_t *value = &arguments->values[k];
    number_t found = number_read(from->text, from->size, micro ? 6 : 0, value);
    if (found == NUMBER_NONE) {
        board_error(board, E_TYPE);
        return false;
    }
    if (found == NUMBER_RANGE || (!micro && (*value < least || *value > most))) {
        board_error(board, E_RANGE);
        return false;
    }
    return true;
}

void commands_run(board_t *board, uint8_t command, arguments_t *arguments)
{
    command_t found;
    look_up(command, &found);
    bool first_micro = found.takes == TAKES_MICRO || found.takes == TAKES_MICRO_BLOCK;
    if (found.takes != TAKES_WORD) {
        if (arguments->count > 0 && !read_value(board, arguments, 0, first_micro, found.least, found.most)) {
            return;
        }
        if (arguments->count > 1u &&
            !read_value(board, arguments, 1, found.takes == TAKES_COUNT_MICRO, 0, 255)) {
            return;
        }
    }
    found.run(board, arguments);
}
