/* Replies to the host: numbers, texts and blocks. */
#include "answers.h"

#include "crc16.h"
#include "narrow.h"
#include "numbers.h"
#include "rom.h"
#include "state.h"

static void begin(board_t *board)
{
    if (board->parser.answered) {
        hal_transmit(board->hal, ';');
    }
    board->parser.answered = true;
}

void answer_more_text(board_t *board, const char *text)
{
    while (*text != '\0') {
        hal_transmit(board->hal, (uint8_t)*text++);
    }
}

void answer_more(board_t *board, const char *rom)
{
    for (uint8_t c = rom_byte(rom); c != 0; c = rom_byte(++rom)) {
        hal_transmit(board->hal, c);
    }
}

NOINLINE static void answer_more_number(board_t *board, int32_t value)
{
    char text[12];
    (void)number_write(text, value);
    answer_more_text(board, text);
}

void answer_next_number(board_t *board, int32_t value)
{
    hal_transmit(board->hal, ',');
    answer_more_number(board, value);
}

void answer_more_micro(board_t *board, int32_t micro)
{
    char text[14];
    (void)number_write_micro(text, micro);
    answer_more_text(board, text);
}

void answer_number(board_t *board, int32_t value)
{
    begin(board);
    answer_more_number(board, value);
}

NOINLINE void answer_micro(board_t *board, int32_t micro)
{
    begin(board);
    answer_more_micro(board, micro);
}

void answer_text(board_t *board, const char *rom)
{
    begin(board);
    answer_more(board, rom);
}

void answer_block(board_t *board, uint16_t bytes)
{
    char length[12];
    char *end = number_write(length, (int32_t)bytes + 2);
    begin(board);
    hal_transmit(board->hal, '#');
    hal_transmit(board->hal, (uint8_t)('0' + (end - length)));
    answer_more_text(board, length);
    board->crc = CRC16_START;
}

void answer_byte(board_t *board, uint8_t byte)
{
    board->crc = crc16(board->crc, byte);
    hal_transmit(board->hal, byte);
}

void answer_words(board_t *board, const uint16_t *words, uint8_t count)
{
    uint16_t crc = board->crc;
    hal_t *hal = board->hal;
    for (; count > 0; count--) {
        uint16_t word = *words++;
        crc = crc16_next(crc, low_byte(word));
        hal_transmit(hal, low_byte(word));
        crc = crc16_next(crc, high_byte(word));
        hal_transmit(hal, high_byte(word));
    }
    board->crc = crc;
}

void answer_block_end(board_t *board)
{
    hal_transmit(board->hal, low_byte(board->crc));
    hal_transmit(board->hal, high_byte(board->crc));
}
