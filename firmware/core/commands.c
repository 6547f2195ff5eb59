/* Command table, header lookup, parameter checks and dispatch. */
#include "commands.h"

#include <string.h>

#include "handlers.h"
#include "narrow.h"
#include "numbers.h"
#include "rom.h"
#include "state.h"
#include "words.h"

/* Parameters of a command: a count is an integer, a micro is a decimal number stored in millionths. */
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

/* Header with its short form in capitals, parameters, minimum and maximum of the first count, handler. */
#define COMMANDS_OF(X) \
    X("*IDN?", TAKES_NONE, 0, 0, do_identify) \
    X("*RST", TAKES_NONE, 0, 0, do_reset) \
    X("*CLS", TAKES_NONE, 0, 0, do_clear_status) \
    X("*ESR?", TAKES_NONE, 0, 0, do_events) \
    X("*ESE", TAKES_COUNT, 0, 255, do_enable_events) \
    X("*ESE?", TAKES_NONE, 0, 0, do_enabled_events) \
    X("*STB?", TAKES_NONE, 0, 0, do_status_byte) \
    X("*OPC", TAKES_NONE, 0, 0, do_operation_complete) \
    X("*OPC?", TAKES_NONE, 0, 0, do_is_complete) \
    X("*WAI", TAKES_NONE, 0, 0, do_wait_to_continue) \
    X("*TST?", TAKES_NONE, 0, 0, do_self_test) \
    X("SYSTem:ERRor?", TAKES_NONE, 0, 0, do_next_error) \
    X("SYSTem:ERRor:NEXT?", TAKES_NONE, 0, 0, do_next_error) \
    X("SYSTem:ERRor:COUNt?", TAKES_NONE, 0, 0, do_count_errors) \
    X("SYSTem:CAPability?", TAKES_NONE, 0, 0, do_capability) \
    X("SYSTem:WDOG", TAKES_COUNT, 50, 60000, do_set_watchdog) \
    X("SYSTem:WDOG?", TAKES_NONE, 0, 0, do_get_watchdog) \
    X("SYSTem:WDOG:TRIPped?", TAKES_NONE, 0, 0, do_watchdog_tripped) \
    X("SYSTem:WDOG:CLEar", TAKES_NONE, 0, 0, do_clear_watchdog) \
    X("SYSTem:REBoot", TAKES_NONE, 0, 0, do_reboot) \
    X("OUTPut", TAKES_WORD, 0, 0, do_output_off) \
    X("OUTPut?", TAKES_NONE, 0, 0, do_output_state) \
    X("SOURce:VOLTage", TAKES_COUNT_MICRO, 0, HAL_DACS - 1, do_set_voltage) \
    X("SOURce:VOLTage?", TAKES_COUNT, 0, HAL_DACS - 1, do_get_voltage) \
    X("SOURce:LIMit:VOLTage", TAKES_MICRO, 0, 0, do_set_volts_limit) \
    X("SOURce:LIMit:VOLTage?", TAKES_NONE, 0, 0, do_get_volts_limit) \
    X("SOURce:LIMit:NUDGe", TAKES_MICRO, 0, 0, do_set_nudge_limit) \
    X("SOURce:LIMit:NUDGe?", TAKES_NONE, 0, 0, do_get_nudge_limit) \
    X("SOURce:LIMit:EDGE", TAKES_TWO_COUNTS, 0, 255, do_set_edges_limit) \
    X("SOURce:LIMit:EDGE?", TAKES_NONE, 0, 0, do_get_edges_limit) \
    X("ROUTe:CLOSe", TAKES_COUNT, 0, (1 << HAL_OUTPUTS) - 1, do_close_switches) \
    X("ROUTe:CLOSe?", TAKES_NONE, 0, 0, do_closed_switches) \
    X("ROUTe:OPEN", TAKES_NONE, 0, 0, do_open_switches) \
    X("MEASure:VOLTage?", TAKES_MAYBE_COUNT, 0, HAL_ADCS - 1, do_measure) \
    X("EDGE:DATA", TAKES_BLOCK, 0, 0, do_set_edges) \
    X("EDGE:DATA?", TAKES_NONE, 0, 0, do_get_edges) \
    X("EDGE:CODE", TAKES_TWO_COUNTS, 0, HAL_EDGES - 1, do_set_edge) \
    X("EDGE:CODE?", TAKES_COUNT, 0, HAL_EDGES - 1, do_get_edge) \
    X("SEQuence:SETTle", TAKES_COUNT, 0, 50000, do_set_settle) \
    X("SEQuence:SETTle?", TAKES_NONE, 0, 0, do_get_settle) \
    X("SEQuence:AVERage", TAKES_COUNT, 1, 64, do_set_average) \
    X("SEQuence:AVERage?", TAKES_NONE, 0, 0, do_get_average) \
    X("SEQuence:SIDEs", TAKES_COUNT, 1, 2, do_set_sides) \
    X("SEQuence:SIDEs?", TAKES_NONE, 0, 0, do_get_sides) \
    X("SEQuence:FREE?", TAKES_BLOCK, 0, 0, do_free_phase) \
    X("SEQuence:NUDGe?", TAKES_BLOCK, 0, 0, do_nudged_phase) \
    X("SEQuence:TWOPhase?", TAKES_MICRO_BLOCK, 0, 0, do_two_phase) \
    X("CALibration:DATA?", TAKES_NONE, 0, 0, do_get_record) \
    X("CALibration:DATA", TAKES_BLOCK, 0, 0, do_set_record) \
    X("CALibration:UNLock", TAKES_WORD, 0, 0, do_unlock)

typedef struct {
    uint8_t header_size; /* including the terminating zero */
    uint8_t takes;
    uint8_t minimum; /* bounds of the first count */
    uint16_t maximum;
    handler_t *run;
} command_t;

#define ROW(header, takes, minimum, maximum, run) {sizeof(header), takes, minimum, maximum, run},
#define HEADER(header, takes, minimum, maximum, run) header "\0"

static const command_t COMMANDS[] ROM = {COMMANDS_OF(ROW)};
static const char HEADERS[] ROM = COMMANDS_OF(HEADER);

#define COMMAND_COUNT (sizeof COMMANDS / sizeof COMMANDS[0])

NOINLINE static void look_up(uint8_t command, command_t *found)
{
    rom_copy(found, &COMMANDS[command], sizeof *found);
}

/* --- header lookup -------------------------------------------------------------------------------- */

#define HEADER_MAX 32u /* longer than every header of the table and its terminating zero */

static bool keyword_ends(char c)
{
    return c == ':' || c == '?' || c == '\0';
}

/* Return whether a table header matches the received header, which is in capitals. */
static bool matches(const char *pattern, const char *sent)
{
    for (;;) {
        /* one keyword: the short form, then either the complete rest or nothing */
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
    char sent[HEADER_MAX];
    uint8_t end = as_byte((int32_t)strlen(path));
    if (end + size >= HEADER_MAX) {
        return COMMAND_NONE;
    }
    memcpy(sent, path, end);
    for (; size > 0; size--) {
        if (*header == '\0') {
            return COMMAND_NONE; /* a received zero byte does not terminate a header */
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
    uint8_t maximum = found.takes == TAKES_TWO_COUNTS || found.takes == TAKES_COUNT_MICRO ? 2u : 1u;
    if (found.takes == TAKES_NONE || found.takes == TAKES_BLOCK) {
        maximum = 0;
    }
    uint8_t minimum = found.takes == TAKES_MAYBE_COUNT ? 0u : maximum;
    if (block && !takes_block) {
        return parameters < maximum ? E_TYPE : E_TOO_MANY;
    }
    if (parameters < minimum) {
        return E_TOO_FEW;
    }
    if (parameters > maximum) {
        return takes_block && !block ? E_TYPE : E_TOO_MANY;
    }
    return takes_block && !block ? E_TOO_FEW : 0;
}

bool commands_length_fits(const board_t *board, uint8_t command, uint16_t size)
{
    command_t found;
    look_up(command, &found);
    if (found.run == do_set_edges) {
        return size == 2u * HAL_EDGES;
    }
    if (found.run == do_set_record) {
        return size == RECORD_SIZE - 2u;
    }
    sequence_kind_t kind = SEQUENCE_FREE;
    if (found.run == do_nudged_phase) {
        kind = SEQUENCE_NUDGE;
    } else if (found.run == do_two_phase) {
        kind = SEQUENCE_TWO_PHASE;
    }
    uint16_t width = (uint16_t)(2u * sequence_words(board, kind));
    return size > 0 && size % width == 0;
}

/* Read parameter k as a number. Queue an error and return false if it is not valid. */
static bool read_value(board_t *board, arguments_t *arguments, uint8_t k, bool micro, int32_t minimum, int32_t maximum)
{
    const parameter_t *from = &arguments->parameters[k];
    int32_t *value = &arguments->values[k];
    number_t found = number_read(from->text, from->size, micro ? 6 : 0, value);
    if (found == NUMBER_NONE) {
        board_error(board, E_TYPE);
        return false;
    }
    if (found == NUMBER_RANGE || (!micro && (*value < minimum || *value > maximum))) {
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
        if (arguments->count > 0 && !read_value(board, arguments, 0, first_micro, found.minimum, found.maximum)) {
            return;
        }
        if (arguments->count > 1u &&
            !read_value(board, arguments, 1, found.takes == TAKES_COUNT_MICRO, 0, 255)) {
            return;
        }
    }
    found.run(board, arguments);
}
