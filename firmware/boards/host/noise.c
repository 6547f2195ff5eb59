/* Seeded normal random numbers. */
#include "noise.h"

#include <math.h>
#include <string.h>

/* D. Blackman and S. Vigna, "Scrambled linear pseudorandom number generators", ACM TOMS 47 (2021), with the
 * recommended seeding by splitmix64. */
void noise_seed(noise_t *noise, uint64_t seed)
{
    for (int k = 0; k < 4; k++) {
        seed += 0x9E3779B97F4A7C15u;
        uint64_t z = seed;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        noise->state[k] = z ^ (z >> 31);
    }
    noise->has_spare = false;
}

static uint64_t rotated(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

static uint64_t next(noise_t *noise)
{
    uint64_t *s = noise->state;
    uint64_t result = rotated(s[0] + s[3], 23) + s[0];
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotated(s[3], 45);
    return result;
}

static double uniform(noise_t *noise)
{
    return (double)(next(noise) >> 11) * (2.0 / 9007199254740992.0) - 1.0;
}

double noise_normal(noise_t *noise)
{
    if (noise->has_spare) {
        noise->has_spare = false;
        return noise->spare;
    }
    double x;
    double y;
    double square;
    do {
        x = uniform(noise);
        y = uniform(noise);
        square = x * x + y * y;
    } while (square >= 1.0 || square <= 0.0);
    double scale = sqrt(-2.0 * log(square) / square);
    noise->spare = y * scale;
    noise->has_spare = true;
    return x * scale;
}

void noise_get(const noise_t *noise, uint64_t *words)
{
    memcpy(words, noise->state, sizeof noise->state);
    words[4] = noise->has_spare;
    words[5] = 0; /* a spare that was used is no part of the state */
    if (noise->has_spare) {
        memcpy(&words[5], &noise->spare, sizeof noise->spare);
    }
}

void noise_set(noise_t *noise, const uint64_t *words)
{
    memcpy(noise->state, words, sizeof noise->state);
    noise->has_spare = words[4] != 0;
    memcpy(&noise->spare, &words[5], sizeof noise->spare);
}
