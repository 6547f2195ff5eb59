/* libFuzzer target: arbitrary bytes from the host. The first four bytes select the EEPROM contents, the repair of
 * block CRCs and the pauses; the rest is sent to the board. It aborts if a DAC exceeds its limits, if the parser does
 * not reply after silence and a newline, or if OUTP OFF leaves an output driven. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"

enum { RECORD = 338, SECOND = 512, DACS = 16, ADCS = 8, OUTPUTS = 4, MIDSCALE = 32768, TIMEOUT_US = 150000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(uint8_t *at, uint32_t value, unsigned bytes)
{
    for (unsigned k = 0; k < bytes; k++) {
        at[k] = (uint8_t)(value >> (8u * k));
    }
}

/* CRC-16/CCITT-FALSE, bit by bit. */
static uint16_t crc_of(const uint8_t *bytes, size_t size)
{
    uint32_t crc = 0xFFFF;
    for (size_t k = 0; k < size; k++) {
        crc ^= (uint32_t)bytes[k] << 8;
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc & 0x8000u) ? ((crc << 1) ^ 0x1021u) & 0xFFFFu : (crc << 1) & 0xFFFFu;
        }
    }
    return (uint16_t)crc;
}

static const uint8_t SERIAL[3] = {'F', '-', '1'};

/* A record with ideal converters. */
static void put_record(uint8_t *at, uint8_t generation, uint32_t volts_uV, uint32_t nudge_uV)
{
    memset(at, 0, RECORD);
    put(at, 0x4857, 2);
    at[2] = 1;
    at[3] = generation;
    memcpy(at + 4, SERIAL, sizeof SERIAL);
    put(at + 16, volts_uV, 4);
    put(at + 20, nudge_uV, 4);
    at[24] = 2;
    at[25] = 250;
    put(at + RECORD - 2, crc_of(at, RECORD - 2), 2);
}

/* Fill the EEPROM and return the voltage limit in uV. */
static uint32_t fill_eeprom(uint8_t *eeprom, uint8_t choice)
{
    switch (choice % 6u) {
    case 0: /* blank */
        return 0;
    case 1:
        put_record(eeprom, 1, 1000000, 200000);
        return 1000000;
    case 2: /* the second record is newer */
        put_record(eeprom, 255, 2000000, 5000000);
        put_record(eeprom + SECOND, 0, 500000, 100000);
        return 500000;
    case 3: /* the newer record is damaged */
        put_record(eeprom, 7, 1500000, 300000);
        put_record(eeprom + SECOND, 8, 2400000, 300000);
        eeprom[SECOND + 16] ^= 1u;
        return 1500000;
    case 4: /* correct CRC, invalid limits */
        put_record(eeprom, 1, 0x7FFFFFFF, 0xFFFFFFFF);
        return 0;
    default:
        put_record(eeprom, 1, 2490000, 5000000);
        return 2490000;
    }
}

static void allow(host_board *board, uint32_t volts_uV)
{
    uint16_t low[DACS];
    uint16_t high[DACS];
    uint32_t half_range = (uint32_t)(((uint64_t)volts_uV * 65536u + 2500000u) / 5000000u);
    for (int k = 0; k < DACS; k++) {
        low[k] = (uint16_t)(MIDSCALE - half_range);
        high[k] = (uint16_t)(MIDSCALE + half_range);
    }
    host_allow(board, low, high);
}

/* Connect a network: each output is half of an input, or exceeds the ADC range; a closed switch adds its nudge. */
static void connect(host_board *board, bool beyond)
{
    for (unsigned closed = 0; closed < 1u << OUTPUTS; closed++) {
        double rows[ADCS][DACS] = {{0}};
        for (unsigned j = 0; j < OUTPUTS; j++) {
            rows[j][j] = beyond ? 2.0 : 0.5;
            if (closed & (1u << j)) {
                rows[j][8 + j] = 0.4;
            }
        }
        host_set_transfer(board, (uint8_t)closed, &rows[0][0]);
    }
}

/* Give every block a correct CRC, so that random data reach the limit checks. */
static void repair(uint8_t *bytes, size_t size)
{
    for (size_t at = 0; at + 2 < size; at++) {
        size_t digits = (size_t)bytes[at + 1] - '0';
        size_t length = 0;
        if (bytes[at] != '#' || bytes[at + 1] < '1' || digits > 4 || size - at < 2 + digits) {
            continue;
        }
        for (size_t k = 0; k < digits; k++) {
            length = length * 10 + (bytes[at + 2 + k] - (size_t)'0') % 10;
        }
        if (length >= 2 && length <= size - at - 2 - digits) {
            uint8_t *block = bytes + at + 2 + digits;
            put(block + length - 2, crc_of(block, length - 2), 2);
            at += 1 + digits + length;
        }
    }
}

static void require(bool condition, const char *message)
{
    if (!condition) {
        (void)fprintf(stderr, "%s\n", message);
        abort();
    }
}

static void drain(host_board *board)
{
    uint8_t reply[512];
    while (host_transmit(board, reply, sizeof reply) > 0) {
    }
}

static void send_text(host_board *board, const char *text)
{
    host_receive(board, (const uint8_t *)text, strlen(text));
}

static void check(host_board *board)
{
    uint8_t reply[16];
    host_advance_us(board, TIMEOUT_US);
    send_text(board, "\n");
    drain(board);
    send_text(board, "*ESE 37;*ESE?\n");
    size_t size = host_transmit(board, reply, sizeof reply);
    require(size == 3 && memcmp(reply, "37\n", 3) == 0, "no reply to the final query");
    send_text(board, "OUTP OFF\n");
    require(host_switches(board) == 0, "OUTP OFF left a switch closed");
    for (uint8_t k = 0; k < DACS; k++) {
        require(host_dac_code(board, k) == MIDSCALE, "OUTP OFF left a DAC off midscale");
    }
}

/* Hold the board and switch it off: afterwards nothing can be driven. */
static void check_hold(host_board *board)
{
    char reply[64] = {0};
    char message[96];
    unsigned crc = 0;
    int state = 0;
    send_text(board, "SYST:STAT?\n");
    (void)host_transmit(board, (uint8_t *)reply, sizeof reply - 1);
    require(sscanf(reply, "%d,%u", &state, &crc) == 2, "no reply to SYST:STAT?"); // NOLINT(cert-err34-c)
    (void)snprintf(message, sizeof message, "OUTP:ARM %d,%d\n", abs(state), abs(state) == 9 ? 8 : 9);
    send_text(board, message);
    send_text(board, "OUTP OFF\nSOUR:VOLT 0,0.000076\nSOUR:VOLT 1,-0.000076\n");
    require(host_dac_code(board, 0) == MIDSCALE && host_dac_code(board, 1) == MIDSCALE, "driven after OFF");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t PAUSES_US[4] = {0, 900, 99000, 2100000};
    static uint8_t before[4096];
    if (size < 4) {
        return 0;
    }
    host_board *board = host_new();
    require(board != NULL, "no memory");
    uint32_t volts_uV = fill_eeprom(host_eeprom(board), data[0]);
    memcpy(before, host_eeprom(board), sizeof before);
    host_power_on(board);
    connect(board, (data[1] & 1u) != 0);
    allow(board, volts_uV);
    uint8_t *sent = malloc(size);
    require(sent != NULL, "no memory");
    memcpy(sent, data, size);
    if (data[1] & 2u) {
        repair(sent + 4, size - 4);
    }
    size_t piece = data[2] ? data[2] : size;
    uint32_t pause = PAUSES_US[data[3] % 4u];
    for (size_t at = 4; at < size; at += piece) {
        host_receive(board, sent + at, size - at < piece ? size - at : piece);
        host_advance_us(board, pause);
    }
    check(board);
    check_hold(board);
    /* input that contains the serial number and a valid record changes the limits: skip the check then */
    if (memcmp(before, host_eeprom(board), sizeof before) == 0) {
        require(host_violations(board) == 0, "a DAC left its limits");
    }
    free(sent);
    host_free(board);
    return 0;
}
