#include "record.h"

#include "crc16.h"

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
    AT_ADCS = 92,
    AT_CRC = 336
};

#define MAGIC_LOW 0x57u
#define MAGIC_HIGH 0x48u
#define VERSION 1u
#define BANK_SIZE 512u
#define MOST_VOLTS_UV 2490000
#define MOST_NUDGE_UV 5000000
#define MOST_GAIN_PPM 30000 /* beyond, fixed-point maps of the sequence would overflow */

static uint16_t word_at(const uint8_t *bytes, uint16_t at)
{
    return (uint16_t)(bytes[at] | (uint16_t)((uint16_t)bytes[at + 1u] << 8));
}

static int32_t long_at(const uint8_t *bytes, uint16_t at)
{
    return (int32_t)(word_at(bytes, at) | ((uint32_t)word_at(bytes, (uint16_t)(at + 2u)) << 16));
}

static uint16_t bank_base(uint8_t bank)
{
    return bank ? BANK_SIZE : 0u;
}

static bool bank_valid(hal_t *hal, uint8_t bank)
{
    uint16_t base = bank_base(bank);
    if (hal_eeprom_read(hal, base) != MAGIC_LOW || hal_eeprom_read(hal, base + 1u) != MAGIC_HIGH ||
        hal_eeprom_read(hal, base + AT_VERSION) != VERSION) {
        return false;
    }
    uint16_t crc = CRC16_START;
    for (uint16_t k = 0; k < AT_CRC; k++) {
        crc = crc16(crc, hal_eeprom_read(hal, base + k));
    }
    return hal_eeprom_read(hal, base + AT_CRC) == (uint8_t)crc &&
           hal_eeprom_read(hal, base + AT_CRC + 1u) == (uint8_t)(crc >> 8);
}

/* 0 or 1: the bank of the newest whole record; 2: there is none. */
static uint8_t newest_bank(hal_t *hal)
{
    bool first = bank_valid(hal, 0);
    bool second = bank_valid(hal, 1);
    if (first && second) {
        uint8_t ahead = (uint8_t)(hal_eeprom_read(hal, BANK_SIZE + AT_GENERATION) - hal_eeprom_read(hal, AT_GENERATION));
        return ahead < 128u;
    }
    return first ? 0u : (second ? 1u : 2u);
}

uint8_t record_byte(hal_t *hal, uint16_t index)
{
    return hal_eeprom_read(hal, (uint16_t)(bank_base(newest_bank(hal) == 1u) + index));
}

static int16_t eeprom_word(hal_t *hal, uint16_t at)
{
    return (int16_t)(hal_eeprom_read(hal, at) | (uint16_t)((uint16_t)hal_eeprom_read(hal, (uint16_t)(at + 1u)) << 8));
}

static int32_t eeprom_long(hal_t *hal, uint16_t at)
{
    return (int32_t)((uint16_t)eeprom_word(hal, at) |
                     ((uint32_t)(uint16_t)eeprom_word(hal, (uint16_t)(at + 2u)) << 16));
}

static void load_converters(hal_t *hal, uint16_t at, converter_t *converters, uint8_t count)
{
    for (uint8_t k = 0; k < count; k++, at = (uint16_t)(at + 4u)) {
        converters[k].gain_ppm = eeprom_word(hal, at);
        converters[k].offset_uV = eeprom_word(hal, (uint16_t)(at + 2u));
    }
}

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

static bool limits_plausible(int32_t volts_uV, int32_t nudge_uV, uint8_t edge_low, uint8_t edge_high)
{
    return volts_uV >= 1 && volts_uV <= MOST_VOLTS_UV && nudge_uV >= 1 && nudge_uV <= MOST_NUDGE_UV &&
           edge_low <= edge_high;
}

bool record_load(hal_t *hal, record_t *record)
{
    uint8_t bank = newest_bank(hal);
    if (bank > 1u) {
        return false;
    }
    uint16_t base = bank_base(bank);
    for (uint8_t k = 0; k < RECORD_SERIAL; k++) {
        record->serial[k] = (char)hal_eeprom_read(hal, (uint16_t)(base + AT_SERIAL + k));
    }
    record->serial[RECORD_SERIAL] = '\0';
    record->volts_uV = eeprom_long(hal, base + AT_VOLTS);
    record->nudge_uV = eeprom_long(hal, base + AT_NUDGE);
    record->edge_low = hal_eeprom_read(hal, base + AT_EDGES);
    record->edge_high = hal_eeprom_read(hal, base + AT_EDGES + 1u);
    load_converters(hal, base + AT_DACS, record->dac, HAL_DACS);
    load_converters(hal, base + AT_ADCS, record->adc, HAL_ADCS);
    /* another program may have written it: a right CRC alone makes no limits */
    return serial_plausible((const uint8_t *)record->serial) &&
           limits_plausible(record->volts_uV, record->nudge_uV, record->edge_low, record->edge_high);
}

bool record_plausible(const uint8_t *bytes)
{
    int32_t volts = long_at(bytes, AT_VOLTS);
    int32_t nudge = long_at(bytes, AT_NUDGE);
    if (bytes[AT_MAGIC] != MAGIC_LOW || bytes[AT_MAGIC + 1u] != MAGIC_HIGH || bytes[AT_VERSION] != VERSION ||
        word_at(bytes, AT_ZERO) != 0 || !serial_plausible(bytes + AT_SERIAL) ||
        !limits_plausible(volts, nudge, bytes[AT_EDGES], bytes[AT_EDGES + 1u])) {
        return false;
    }
    for (uint8_t k = 0; k < HAL_DACS + HAL_ADCS; k++) {
        int16_t gain = (int16_t)word_at(bytes, (uint16_t)(AT_DACS + 4u * k));
        if (gain > MOST_GAIN_PPM || gain < -MOST_GAIN_PPM) {
            return false;
        }
    }
    return true;
}

bool record_store(hal_t *hal, const uint8_t *bytes)
{
    uint8_t newest = newest_bank(hal);
    uint8_t bank = newest == 0u ? 1u : 0u;
    uint16_t base = bank_base(bank);
    uint8_t generation = newest > 1u ? 0u : (uint8_t)(hal_eeprom_read(hal, (uint16_t)(bank_base(newest) + AT_GENERATION)) + 1u);
    uint16_t crc = CRC16_START;
    /* its first byte marks a record: it goes first and comes back last, so that no mixture is ever taken for one */
    hal_eeprom_write(hal, base, 0);
    for (uint16_t k = 0; k < AT_CRC; k++) {
        uint8_t byte = k == AT_GENERATION ? generation : bytes[k];
        crc = crc16(crc, byte);
        if (k > 0) {
            hal_eeprom_write(hal, (uint16_t)(base + k), byte);
            hal_kick(hal);
        }
    }
    hal_eeprom_write(hal, base + AT_CRC, (uint8_t)crc);
    hal_eeprom_write(hal, base + AT_CRC + 1u, (uint8_t)(crc >> 8));
    hal_eeprom_write(hal, base, MAGIC_LOW);
    return newest_bank(hal) == bank;
}
