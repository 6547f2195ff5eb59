/* Parser: splits received bytes into headers, parameters and blocks, and executes commands. */
#include "parser.h"

#include <string.h>

#include "commands.h"
#include "crc16.h"
#include "narrow.h"
#include "rom.h"
#include "state.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static void end_message(board_t *board)
{
    parser_t *p = &board->parser;
    if (p->answered) {
        hal_transmit(board->hal, '\n');
    }
    p->answered = p->failed = false;
    p->size = 0;
    p->path[0] = '\0';
    p->state = STATE_TEXT;
}

/* Discard the received part of a message after an error. */
static void discard(board_t *board, state_t next)
{
    parser_t *p = &board->parser;
    p->size = 0;
    p->failed = true;
    p->state = next;
}

static void fail(board_t *board, int16_t code)
{
    if (!board->parser.failed) {
        board_error(board, code);
    }
}

NOINLINE static void fail_and_discard(board_t *board, int16_t code, state_t next)
{
    fail(board, code);
    discard(board, next);
}

/* --- one command ---------------------------------------------------------------------------------- */

static void trim(parameter_t *piece)
{
    while (piece->size > 0 && is_space(*piece->text)) {
        piece->text++;
        piece->size--;
    }
    while (piece->size > 0 && is_space(piece->text[piece->size - 1u])) {
        piece->size--;
    }
}

/* Store the level of a header, at which the next header is looked up first. */
static void remember_path(parser_t *p, const char *header, uint8_t size, bool below)
{
    uint8_t end = size;
    while (end > 0 && header[end - 1u] != ':') {
        end--;
    }
    uint8_t at = below ? as_byte((int32_t)strlen(p->path)) : 0u;
    if (at + end >= sizeof p->path) {
        at = end = 0;
    }
    memcpy(p->path + at, header, end);
    p->path[at + end] = '\0';
}

/* Split the text into header and parameters, and store the level of the header if `runs`. Return the command, or queue
 * an error and return COMMAND_NONE. */
static uint8_t read_unit(board_t *board, arguments_t *arguments, bool runs)
{
    parser_t *p = &board->parser;
    parameter_t rest = {p->text, p->size};
    trim(&rest);
    uint8_t size = 0;
    while (size < rest.size && !is_space(rest.text[size])) {
        size++;
    }
    parameter_t header = {rest.text, size};
    rest.text += size;
    rest.size = (uint8_t)(rest.size - size);
    trim(&rest);

    bool rooted = header.size > 0 && header.text[0] == ':';
    if (rooted) {
        header.text++;
        header.size--;
    }
    bool common = header.size > 0 && header.text[0] == '*';
    uint8_t command = COMMAND_NONE;
    bool below = !rooted && !common && p->path[0] != '\0';
    if (below) {
        command = commands_find(p->path, header.text, header.size);
        below = command != COMMAND_NONE;
    }
    if (command == COMMAND_NONE && !(rooted && common)) {
        command = commands_find("", header.text, header.size);
    }
    if (command == COMMAND_NONE) {
        fail(board, header.size == 0 ? E_SYNTAX : E_UNKNOWN);
        return COMMAND_NONE;
    }
    if (!common && runs) {
        remember_path(p, header.text, header.size, below);
    }

    arguments->count = 0;
    arguments->block = NULL;
    arguments->block_size = 0;
    while (rest.size > 0) {
        uint8_t length = 0;
        while (length < rest.size && rest.text[length] != ',') {
            length++;
        }
        bool more = length < rest.size;
        parameter_t piece = {rest.text, length};
        trim(&piece);
        /* a block may follow the last comma */
        bool expected = more && length + 1u == rest.size && p->state == STATE_BLOCK_DIGITS;
        if (piece.size == 0) {
            fail(board, E_SYNTAX);
            return COMMAND_NONE;
        }
        if (arguments->count == PARAMETERS_MAX) {
            fail(board, E_TOO_MANY);
            return COMMAND_NONE;
        }
        arguments->parameters[arguments->count++] = piece;
        rest.text += length + more;
        rest.size = (uint8_t)(rest.size - length - more);
        if (more && rest.size == 0 && !expected) {
            fail(board, E_SYNTAX);
            return COMMAND_NONE;
        }
    }
    return command;
}

static bool blank(const parser_t *p)
{
    for (uint8_t k = 0; k < p->size; k++) {
        if (!is_space(p->text[k])) {
            return false;
        }
    }
    return true;
}

/* Execute a command and restart the watchdog, unless the command is refused; nothing else restarts it. The end of the
 * message would be too late: the command may have driven an output after a long silence. */
NOINLINE static void execute(board_t *board, uint8_t command, arguments_t *arguments)
{
    commands_run(board, command, arguments);
    if (!board->parser.failed) {
        board->last_message_ms = hal_millis(board->hal);
    }
}

/* Execute a command without a block. */
static void run_text(board_t *board)
{
    parser_t *p = &board->parser;
    arguments_t arguments;
    if (!p->failed && !blank(p)) {
        uint8_t command = read_unit(board, &arguments, true);
        if (command != COMMAND_NONE) {
            int16_t code = commands_fit(command, arguments.count, false);
            if (code != 0) {
                fail(board, code);
            } else {
                execute(board, command, &arguments);
            }
        }
    }
    p->size = 0;
}

/* Execute a command with a block. */
static void run_block(board_t *board)
{
    parser_t *p = &board->parser;
    arguments_t arguments;
    if (!p->failed) {
        p->state = STATE_BLOCK_DIGITS; /* read_unit then accepts a comma before the block */
        uint8_t command = read_unit(board, &arguments, true);
        p->state = STATE_BLOCK_END;
        if (command != COMMAND_NONE) {
            arguments.block = p->block;
            arguments.block_size = (uint16_t)(p->filled - 2u);
            execute(board, command, &arguments);
        }
    }
    p->size = 0;
}

/* --- blocks --------------------------------------------------------------------------------------- */

/* After "#": check that the command takes a block here. */
static void begin_block(board_t *board)
{
    parser_t *p = &board->parser;
    p->state = STATE_BLOCK_DIGITS;
    if (p->failed) {
        return;
    }
    arguments_t arguments;
    p->command = read_unit(board, &arguments, false); /* run_block reads the command again */
    if (p->command != COMMAND_NONE) {
        int16_t code = commands_fit(p->command, arguments.count, true);
        if (code != 0) {
            fail(board, code);
        }
    }
}

static void begin_data(board_t *board)
{
    parser_t *p = &board->parser;
    p->filled = 0;
    p->crc = CRC16_START;
    p->state = STATE_BLOCK_DATA;
    if (!p->failed && (p->length < 2u || p->length > sizeof p->block ||
                     !commands_length_fits(board, p->command, as_word((int32_t)p->length - 2)))) {
        fail(board, E_BLOCK);
    }
    if (p->failed) {
        p->state = p->length > 0 ? STATE_BLOCK_SKIP : STATE_BLOCK_END;
    }
}

static void end_data(board_t *board)
{
    parser_t *p = &board->parser;
    /* compare directly: the CRC is sent low byte first, so the remainder over data and CRC is not 0 */
    uint16_t sent = (uint16_t)(p->block[p->filled - 2u] | (uint16_t)((uint16_t)p->block[p->filled - 1u] << 8));
    if (p->crc != sent) {
        fail(board, E_BLOCK);
    }
    p->state = STATE_BLOCK_END;
}

/* Read all available block data in a fast loop. At 1 Mbaud the AVR has 160 cycles per byte, and the receive
 * interrupt takes half of them. */
NOINLINE static void take_data(board_t *board)
{
    parser_t *p = &board->parser;
    line_t *line = &board->line;
    uint16_t crc = p->crc;
    uint8_t *at = p->block + p->filled;
    uint8_t *const end = p->block + as_word((int32_t)p->length);
    uint8_t *const data_end = end - 2;
    uint8_t tail = line->tail;
    while (at < data_end && tail != line->head) {
        uint8_t byte = line->bytes[tail++];
        line->tail = tail;
        *at++ = byte;
        crc = crc16_next(crc, byte);
    }
    while (at >= data_end && at < end && tail != line->head) {
        *at++ = line->bytes[tail++];
        line->tail = tail;
    }
    p->filled = (uint16_t)(at - p->block);
    p->crc = crc;
    if (at == end) {
        end_data(board);
    }
}

/* --- one byte ------------------------------------------------------------------------------------- */

static void take_text(board_t *board, char c)
{
    parser_t *p = &board->parser;
    if (c == '\n') {
        run_text(board);
        end_message(board);
    } else if (c == ';') {
        run_text(board);
    } else if (c == '#' && p->size > 0 && (is_space(p->text[p->size - 1u]) || p->text[p->size - 1u] == ',')) {
        begin_block(board);
    } else if (p->size == TEXT_MAX) {
        fail_and_discard(board, E_OVERRUN, STATE_SKIP_LINE);
    } else {
        p->text[p->size++] = c;
    }
}

NOINLINE static void take_byte(board_t *board, uint8_t byte)
{
    parser_t *p = &board->parser;
    switch (p->state) {
    case STATE_TEXT:
        take_text(board, (char)byte);
        break;
    case STATE_BLOCK_DIGITS:
        p->digits = (uint8_t)(byte - '0');
        p->length = 0;
        p->state = STATE_BLOCK_LENGTH;
        if (p->digits < 1u || p->digits > 9u) {
            fail_and_discard(board, E_BLOCK, STATE_SKIP_QUIET);
        }
        break;
    case STATE_BLOCK_LENGTH:
        if (byte < '0' || byte > '9') {
            fail_and_discard(board, E_BLOCK, STATE_SKIP_QUIET);
            break;
        }
        p->length = p->length * 10u + (uint32_t)(byte - '0');
        if (--p->digits == 0) {
            begin_data(board);
        }
        break;
    case STATE_BLOCK_SKIP:
        if (--p->length == 0) {
            p->state = STATE_BLOCK_END;
        }
        break;
    case STATE_BLOCK_END:
        if (byte == '\n' || byte == ';') {
            run_block(board);
            p->state = STATE_TEXT;
            if (byte == '\n') {
                end_message(board);
            }
        } else if (!is_space((char)byte)) {
            fail_and_discard(board, E_BLOCK, STATE_SKIP_LINE);
        }
        break;
    case STATE_SKIP_LINE:
        if (byte == '\n') {
            end_message(board);
        }
        break;
    case STATE_BLOCK_DATA: /* read by take_data */
    case STATE_SKIP_QUIET:
    default:
        break;
    }
}

static bool in_block(state_t state)
{
    return state == STATE_BLOCK_DIGITS || state == STATE_BLOCK_LENGTH || state == STATE_BLOCK_DATA ||
           state == STATE_BLOCK_SKIP;
}

/* CAN: discard the message that is being received and enter the safe state. */
static void cancel(board_t *board)
{
    parser_t *p = &board->parser;
    board_off(board);
    if (p->state != STATE_SKIP_QUIET) {
        end_message(board);
    }
}

void parser_run(board_t *board)
{
    parser_t *p = &board->parser;
    for (uint16_t turn = 0; turn < 256u && !line_empty(&board->line) && !board->rebooting; turn++) {
        if (p->state == STATE_BLOCK_DATA) {
            take_data(board);
            continue;
        }
        uint8_t byte = line_take(&board->line);
        if (byte == LINE_CANCEL && !in_block(p->state)) {
            cancel(board);
        } else {
            take_byte(board, byte);
        }
    }
}

void parser_quiet(board_t *board)
{
    state_t state = board->parser.state;
    if (state == STATE_SKIP_QUIET || state == STATE_BLOCK_END || in_block(state)) {
        fail(board, E_BLOCK);
        end_message(board);
    }
}

void parser_overrun(board_t *board)
{
    state_t state = board->parser.state;
    fail_and_discard(board, E_OVERRUN, in_block(state) || state == STATE_SKIP_QUIET ? STATE_SKIP_QUIET : STATE_SKIP_LINE);
}
