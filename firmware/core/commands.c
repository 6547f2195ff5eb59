/* Command table, header lookup, parameter checks and dispatch. */
#include "commands.h"

#include <string.h>

#include "handlers.h"
#include "narrow.h"
#include "numbers.h"
#include "rom.h"
#include "state.h"
#include "words.h"

/* Parameters of a command. A count is an integer; a micro is a decimal number stored in millionths, and it is the last
 * number of the command. */
enum {
    NUMBERS = 3, /* mask of the number of parameters before the block */
    OPTIONAL = 4,
    MICRO = 8,
    WORD = 16,
    BLOCK = 32,
    CHANGES = 64, /* the board counts its executions */
    FROM_ONE = 128, /* minimum of the first count; otherwise 0 */

    TAKES_NONE = 0,
    TAKES_COUNT = 1,
    TAKES_MAYBE_COUNT = 1 | OPTIONAL,
    TAKES_TWO_COUNTS = 2, /* the second up to 65535 */
    TAKES_MICRO = 1 | MICRO,
    TAKES_COUNT_MICRO = 2 | MICRO,
    TAKES_WORD = 1 | WORD,
    TAKES_BLOCK = BLOCK,
    TAKES_MICRO_BLOCK = 1 | MICRO | BLOCK
};

/* Header with its short form in capitals, parameters, maximum of the first count, handler. "!" stands for the end of a
 * command and for its query, which is the Q after it. */
#define COMMANDS_OF(X, Q) \
    X("*IDN?", TAKES_NONE, 0, do_identify) \
    X("*RST", TAKES_NONE | CHANGES, 0, do_reset) \
    X("*CLS", TAKES_NONE, 0, do_clear_status) \
    X("*ESR?", TAKES_NONE, 0, do_events) \
    X("*ESE!", TAKES_COUNT, 255, do_enable_events) \
    Q(TAKES_NONE, 0, do_enabled_events) \
    X("*STB?", TAKES_NONE, 0, do_status_byte) \
    X("*OPC!", TAKES_NONE, 0, do_operation_complete) \
    Q(TAKES_NONE, 0, do_is_complete) \
    X("*WAI", TAKES_NONE, 0, do_wait_to_continue) \
    X("*TST?", TAKES_NONE, 0, do_self_test) \
    X("SYSTem:ERRor?", TAKES_NONE, 0, do_next_error) \
    X("SYSTem:ERRor:NEXT?", TAKES_NONE, 0, do_next_error) \
    X("SYSTem:ERRor:COUNt?", TAKES_NONE, 0, do_count_errors) \
    X("SYSTem:CAPability?", TAKES_NONE, 0, do_capability) \
    X("SYSTem:STATe?", TAKES_NONE, 0, do_get_state) \
    X("SYSTem:WDOG!", TAKES_COUNT | CHANGES, 60000, do_set_watchdog) \
    Q(TAKES_NONE, 0, do_get_watchdog) \
    X("SYSTem:WDOG:TRIPped?", TAKES_NONE, 0, do_watchdog_tripped) \
    X("SYSTem:WDOG:CLEar", TAKES_NONE | CHANGES, 0, do_clear_watchdog) \
    X("SYSTem:REBoot", TAKES_NONE | CHANGES, 0, do_reboot) \
    X("OUTPut!", TAKES_WORD | CHANGES, 0, do_output_off) \
    Q(TAKES_NONE, 0, do_output_state) \
    X("OUTPut:ARM", TAKES_TWO_COUNTS, 65535, do_allow_outputs) \
    X("SOURce:VOLTage!", TAKES_COUNT_MICRO | CHANGES, HAL_DACS - 1, do_set_voltage) \
    Q(TAKES_COUNT, HAL_DACS - 1, do_get_voltage) \
    X("SOURce:LIMit:VOLTage!", TAKES_MICRO | CHANGES, 0, do_set_volts_limit) \
    Q(TAKES_NONE, 0, do_get_volts_limit) \
    X("SOURce:LIMit:NUDGe!", TAKES_MICRO | CHANGES, 0, do_set_nudge_limit) \
    Q(TAKES_NONE, 0, do_get_nudge_limit) \
    X("SOURce:LIMit:EDGE!", TAKES_TWO_COUNTS | CHANGES, 255, do_set_edges_limit) \
    Q(TAKES_NONE, 0, do_get_edges_limit) \
    X("ROUTe:CLOSe!", TAKES_COUNT | CHANGES, (1 << HAL_OUTPUTS) - 1, do_close_switches) \
    Q(TAKES_NONE, 0, do_closed_switches) \
    X("ROUTe:OPEN", TAKES_NONE | CHANGES, 0, do_open_switches) \
    X("MEASure:VOLTage?", TAKES_MAYBE_COUNT, HAL_ADCS - 1, do_measure) \
    X("EDGE:DATA!", TAKES_BLOCK | CHANGES, 0, do_set_edges) \
    Q(TAKES_NONE, 0, do_get_edges) \
    X("EDGE:CODE!", TAKES_TWO_COUNTS | CHANGES, HAL_EDGES - 1, do_set_edge) \
    Q(TAKES_COUNT, HAL_EDGES - 1, do_get_edge) \
    X("SEQuence:SETTle!", TAKES_COUNT | CHANGES, 50000, do_set_settle) \
    Q(TAKES_NONE, 0, do_get_settle) \
    X("SEQuence:AVERage!", TAKES_COUNT | CHANGES | FROM_ONE, 64, do_set_average) \
    Q(TAKES_NONE, 0, do_get_average) \
    X("SEQuence:SIDEs!", TAKES_COUNT | CHANGES | FROM_ONE, 2, do_set_sides) \
    Q(TAKES_NONE, 0, do_get_sides) \
    X("SEQuence:FREE?", TAKES_BLOCK, 0, do_free_phase) \
    X("SEQuence:NUDGe?", TAKES_BLOCK, 0, do_nudged_phase) \
    X("SEQuence:TWOPhase?", TAKES_MICRO_BLOCK, 0, do_two_phase) \
    X("CALibration:DATA!", TAKES_BLOCK | CHANGES, 0, do_set_record) \
    Q(TAKES_NONE, 0, do_get_record) \
    X("CALibration:UNLock", TAKES_WORD | CHANGES, 0, do_unlock)

typedef struct {
    uint8_t header_size; /* including the terminating zero; 0: a query, found by the header before it */
    uint8_t takes;
    uint16_t maximum; /* of the first count */
    handler_t *run;
} command_t;

#define ROW(header, takes, maximum, run) {sizeof(header), takes, maximum, run},
#define QUERY_ROW(takes, maximum, run) {0, takes, maximum, run},
#define HEADER(header, takes, maximum, run) header "\0"
#define NO_HEADER(takes, maximum, run)

static const command_t COMMANDS[] ROM = {COMMANDS_OF(ROW, QUERY_ROW)};
static const char HEADERS[] ROM = COMMANDS_OF(HEADER, NO_HEADER);

#define COMMAND_COUNT (sizeof COMMANDS / sizeof COMMANDS[0])

NOINLINE static void look_up(uint8_t command, command_t *found)
{
    rom_copy(found, &COMMANDS[command], sizeof *found);
}

/* --- header lookup -------------------------------------------------------------------------------- */

#define HEADER_MAX 32u /* longer than every header of the table and its terminating zero */

NOINLINE static bool keyword_ends(char c)
{
    return c == ':' || c == '?' || c == '!' || c == '\0';
}

/* Compare a table header with the received header, which is in capitals. Return 0: different, 1: equal, 2: the query of
 * the command. */
static uint8_t matches(const char *pattern, const char *sent)
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
                return 0;
            }
            c = (char)rom_byte(++pattern);
        }
        uint8_t equal = 1;
        if (c == '!') {
            c = '\0';
            if (*sent == '?') {
                sent++;
                equal = 2;
            }
        }
        if (!keyword_ends(c) || *sent != c) {
            return 0;
        }
        if (c == '\0') {
            return equal;
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
        uint8_t length = rom_byte(&COMMANDS[k].header_size);
        if (length && (char)rom_byte(pattern) == sent[0]) {
            uint8_t equal = matches(pattern, sent);
            if (equal) {
                return (uint8_t)(k + (equal - 1u));
            }
        }
        pattern += length;
    }
    return COMMAND_NONE;
}

int16_t commands_fit(uint8_t command, uint8_t parameters, bool block)
{
    uint8_t takes = rom_byte(&COMMANDS[command].takes);
    bool takes_block = takes & BLOCK;
    uint8_t maximum = takes & NUMBERS;
    uint8_t minimum = takes & OPTIONAL ? 0u : maximum;
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
    for (uint8_t k = 0; k < arguments->count && !(found.takes & WORD); k++) {
        bool micro = (found.takes & MICRO) && k + 1u == (found.takes & NUMBERS);
        if (!read_value(board, arguments, k, micro, k == 0 && (found.takes & FROM_ONE), k ? 65535 : found.maximum)) {
            return;
        }
    }
    found.run(board, arguments);
    if ((found.takes & CHANGES) && !board->parser.failed && board->state != 0 && ++board->state == 0) {
        board->state = 1; /* 0: not held */
    }
}
