/* State of the virtual board: the firmware core, its chips and the analog circuit. */
#ifndef HWLEARN_VIRTUAL_H
#define HWLEARN_VIRTUAL_H

#include <setjmp.h>

#include "board.h"
#include "host.h"
#include "noise.h"

enum { SWITCH_STATES = 1 << HAL_OUTPUTS };

struct hal {
    board_t board;
    bool on;
    bool reboot;
    bool running; /* inside run(): bytes received now arrive as in an interrupt */
    uint64_t now_us, timer_us, booted_us;

    /* serial line */
    uint8_t *out;
    size_t out_size, out_capacity;

    /* chips */
    uint16_t dac[HAL_DACS], written[HAL_DACS];
    uint16_t waiting; /* mask of channels that are written but not yet loaded */
    double dac_volts[HAL_DACS];
    uint8_t closed;
    uint8_t edges[HAL_EDGES];
    uint8_t eeprom[HAL_EEPROM];

    /* analog circuit */
    host_analog_fn analog;
    host_edges_fn on_edges;
    void *user;
    bool known[SWITCH_STATES];
    double transfer[SWITCH_STATES][HAL_ADCS][HAL_DACS];
    double dac_gain[HAL_DACS], dac_offset[HAL_DACS];
    double adc_gain[HAL_ADCS], adc_offset[HAL_ADCS];
    double noise_volts;
    noise_t noise;

    /* probes and injected power failures */
    uint16_t low[HAL_DACS], high[HAL_DACS];
    uint64_t violations, loads, scans;
    int64_t writes_left;
    jmp_buf power_lost;
};

#endif
