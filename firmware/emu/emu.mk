# Emulated board: libsimavr (GPL-3) with models of the other chips. For tests only, never distributed.
EMU_SOURCES := $(sort $(wildcard emu/*.c)) boards/host/noise.c
SIMAVR ?= /usr/include/simavr
EMU_HEADERS := $(wildcard emu/*.h) boards/host/noise.h boards/refboard_avr/pins.h

.PHONY: emu
emu: avr $(B)/emu/libhwlearn_emu.so

$(B)/emu/libhwlearn_emu.so: $(EMU_SOURCES) $(EMU_HEADERS)
	@mkdir -p $(@D)
	$(CC) -std=gnu11 $(filter-out -std=c11,$(WARN)) -O2 -fPIC -shared -Iemu -Iboards/host -Iboards/refboard_avr \
	  -isystem $(SIMAVR) $(EMU_SOURCES) -o $@ -lsimavr -lelf -lm
