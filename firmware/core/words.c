/* Word comparison. */
#include "words.h"

#include "rom.h"

bool same_word(const parameter_t *from, const char *rom)
{
    for (uint8_t k = 0; k < from->size; k++) {
        char wanted = (char)rom_byte(rom + k);
        if (wanted == '\0' || upper(from->text[k]) != wanted) { /* the parameter may contain zero bytes */
            return false;
        }
    }
    return rom_byte(rom + from->size) == 0;
}
