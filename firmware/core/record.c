/* Calibration record: decoding, validation and storage in two EEPROM banks. */
#include "record.h"

#include <string.h>

#include "crc16.h"
#include "narrow.h"
#include "rom.h"

enum {
    AT_MAGIC = 0,
    AT_VERSION = 2,
    AT_GENERATION = 3,
    AT_SERIAL = 4,
    AT_VOLTS = 16,
    AT_NUDGE = 20,
    AT_EDGES = 24,
    AT_ZERO = 26,
    AT_DACS = 28,
    AT_CRC = 336
};

#define MAGIC_LOW 0x57u
#define MAGIC_HIGH 0x48u
#define VERSION 1u
#define BANK_SIZE 512u
#define NO_BANK 0xFFFFu
#define VOLTS_MAX_UV 2490000
#define NUDGE_MAX_UV 5000000
#define GAIN_MAX_PPM 30000 /* larger values would overflow nudge_map_t */

static uint16_t word_at(const uint8_t *bytes, uint16_t at)
{
    uint16_t word;
    memcpy(&word, bytes + at, sizeof word);
    return word;
}

static int32_t long_at(const uint8_t *bytes, uint16_t at)
{
    int32_t value;
    memcpy(&value, bytes + at, sizeof value);
    return value;
}

/* Read a bank and return whether it holds a valid record. */
static bool bank_read(hal_t *hal, uint16_t base, uint8_t *bytes)
{
    uint16_t crc = CRC16_START;
    for (uint16_t k = 0; k < RECORD_SIZE; k++) {
        bytes[k] = hal_eeprom_read(hal, (uint16_t)(base + k));
        if (k < AT_CRC) {
            crc = crc16(crc, bytes[k]);
        }
    }
    return crc == word_at(bytes, AT_CRC) && record_plausible(bytes);
}

/* Read the newest valid record and return its address, or NO_BANK if there is none. */
static uint16_t newest(hal_t *hal, uint8_t *bytes)
{
    bool second = bank_read(hal, BANK_SIZE, bytes);
    uint8_t generation = bytes[AT_GENERATION];
    if (bank_read(hal, 0, bytes) && !(second && (uint8_t)(generation - bytes[AT_GENERATION]) < 128u)) {
        return 0;
    }
    if (!second) {
        return NO_BANK;
    }
    (void)bank_read(hal, BANK_SIZE, bytes);
    return BANK_SIZE;
}

bool record_read(hal_t *hal, uint8_t *bytes)
{
    return newest(hal, bytes) != NO_BANK;
}

NOINLINE void record_decode(record_t *record, const uint8_t *bytes)
{
    memcpy(record->serial, bytes + AT_SERIAL, RECORD_SERIAL);
    record->serial[RECORD_SERIAL] = '\0';
    record->volts_uV = long_at(bytes, AT_VOLTS);
    record->nudge_uV = long_at(bytes, AT_NUDGE);
    record->edge_low = bytes[AT_EDGES];
    record->edge_high = bytes[AT_EDGES + 1u];
    /* record and targets are little-endian */
    memcpy(record->dac, bytes + AT_DACS, sizeof record->dac);
    memcpy(record->adc, bytes + AT_DACS + sizeof record->dac, sizeof record->adc);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "records and blocks are copied without swapping bytes");
_Static_assert(sizeof(converter_t) == 4, "converter_t has the layout of the record");

static bool serial_plausible(const uint8_t *serial)
{
    bool ended = false;
    for (uint8_t k = 0; k < RECORD_SERIAL; k++) {
        uint8_t c = serial[k];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
        if (c == 0) {
            ended = true;
        } else if (ended || !letter) {
            return false;
        }
    }
    return serial[0] != 0;
}

bool record_plausible(const uint8_t *bytes)
{
    int32_t volts = long_at(bytes, AT_VOLTS);
    int32_t nudge = long_at(bytes, AT_NUDGE);
    if (bytes[AT_MAGIC] != MAGIC_LOW || bytes[AT_MAGIC + 1u] != MAGIC_HIGH || bytes[AT_VERSION] != VERSION ||
        word_at(bytes, AT_ZERO) != 0 || !serial_plausible(bytes + AT_SERIAL) ||
        volts < 1 || volts > VOLTS_MAX_UV || nudge < 1 || nudge > NUDGE_MAX_UV ||
        bytes[AT_EDGES] > bytes[AT_EDGES + 1u]) {
        return false;
    }
    for (uint8_t k = 0; k < HAL_DACS + HAL_ADCS; k++) {
        int16_t gain = (int16_t)word_at(bytes, (uint16_t)(AT_DACS + 4u * k));
        if (gain > GAIN_MAX_PPM || gain < -GAIN_MAX_PPM) {
            return false;
        }
    }
    return true;
}

void record_store(hal_t *hal, uint8_t *bytes)
{
    uint8_t present[RECORD_SIZE];
    uint16_t where = newest(hal, present);
    uint16_t base = where == 0u ? BANK_SIZE : 0u;
    bytes[AT_GENERATION] = where == NO_BANK ? 0u : (uint8_t)(present[AT_GENERATION] + 1u);
    uint16_t crc = CRC16_START;
    for (uint16_t k = 0; k < AT_CRC; k++) {
        crc = crc16(crc, bytes[k]);
    }
    bytes[AT_CRC] = low_byte(crc);
    bytes[AT_CRC + 1u] = high_byte(crc);
    /* the first byte marks a valid record: it is cleared first and written last, so that a mixture is never valid */
    hal_eeprom_write(hal, base, 0);
    for (uint16_t k = 1; k < RECORD_SIZE; k++) {
        hal_eeprom_write(hal, (uint16_t)(base + k), bytes[k]);
        hal_kick(hal);
    }
    hal_eeprom_write(hal, base, bytes[0]);
}
