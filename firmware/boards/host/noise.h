/* Seeded normal random numbers for noisy readings: xoshiro256++ and Marsaglia's polar method. */
#ifndef HWLEARN_NOISE_H
#define HWLEARN_NOISE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint64_t state[4];
    double spare;
    bool has_spare;
} noise_t;

void noise_seed(noise_t *noise, uint64_t seed);
double noise_normal(noise_t *noise);

/* The state as 6 words, to continue the noise in another process. */
void noise_get(const noise_t *noise, uint64_t *words);
void noise_set(noise_t *noise, const uint64_t *words);

#endif
