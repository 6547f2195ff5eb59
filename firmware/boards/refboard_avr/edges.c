/* Driver of the edge card: eight AD5144 with 32 edges. Every write is verified by a readback. */
#include "avr_hal.h"
#include "spi.h"

/* AD5144: frame of four bits command, four bits address, eight bits data, executed at the rising edge of SYNC (data
 * sheet, Table 14 and Table 20). Command 3 with data 3 copies an RDAC register to the shift register, and the next
 * frame shifts it out, followed by the bytes of that frame itself (Daisy-Chain Connection, Figure 44). An empty
 * socket cannot return these bytes, so they show that a chip is present. */
#define WRITE_RDAC 0x10u
#define READ_BACK 0x30u
#define READ_BACK_RDAC 0x03u
#define NOTHING 0x05u /* command 0 (no operation); the address bits serve as a pattern */
#define MARK 0xA6u

enum { CHIPS = 8, PER_CHIP = 4 };

static void write_edge(uint8_t select, uint8_t channel, uint8_t code)
{
    port_of(PORT_EDGES) = select;
    (void)spi_exchange((uint8_t)(WRITE_RDAC | channel));
    (void)spi_exchange(code);
    port_of(PORT_EDGES) = 0xFF;
}

static bool read_edge(uint8_t select, uint8_t channel, uint8_t *code)
{
    port_of(PORT_EDGES) = select;
    (void)spi_exchange((uint8_t)(READ_BACK | channel));
    (void)spi_exchange(READ_BACK_RDAC);
    port_of(PORT_EDGES) = 0xFF;
    port_of(PORT_EDGES) = select;
    (void)spi_exchange(NOTHING);
    *code = spi_exchange(MARK);
    uint8_t first = spi_exchange(0);
    uint8_t second = spi_exchange(0);
    port_of(PORT_EDGES) = 0xFF;
    return first == NOTHING && second == MARK;
}

bool hal_edges_read(hal_t *hal, uint8_t *codes)
{
    bool fine = true;
    spi_slow();
    for (uint8_t chip = 0; chip < CHIPS; chip++) {
        uint8_t select = (uint8_t)~(1u << chip);
        for (uint8_t channel = 0; channel < PER_CHIP; channel++) {
            fine = read_edge(select, channel, codes++) && fine;
        }
    }
    spi_fast();
    hal_kick(hal);
    return fine;
}

bool hal_edges_write(hal_t *hal, const uint8_t *codes)
{
    const uint8_t *code = codes;
    uint8_t found[HAL_EDGES];
    spi_slow();
    for (uint8_t chip = 0; chip < CHIPS; chip++) {
        uint8_t select = (uint8_t)~(1u << chip);
        for (uint8_t channel = 0; channel < PER_CHIP; channel++) {
            write_edge(select, channel, *code++);
        }
    }
    spi_fast();
    if (!hal_edges_read(hal, found)) {
        return false;
    }
    for (uint8_t edge = 0; edge < HAL_EDGES; edge++) {
        if (found[edge] != codes[edge]) {
            return false;
        }
    }
    return true;
}
