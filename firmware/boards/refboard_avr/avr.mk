# ATmega2560 binary, and a check of its flash and RAM use.
AVR_CC ?= avr-gcc
AVR_OBJCOPY ?= avr-objcopy
AVR_SIZE ?= avr-size
AVR_SOURCES := $(sort $(wildcard boards/refboard_avr/*.c))
AVR_HEADERS := $(wildcard core/*.h hal/*.h boards/refboard_avr/*.h)
AVR_FLAGS := -mmcu=atmega2560 -DF_CPU=16000000UL -Os -flto -fuse-linker-plugin -ffunction-sections -fdata-sections \
  -fshort-enums -mcall-prologues -fno-move-loop-invariants -fno-tree-loop-im -fno-guess-branch-probability \
  -Wl,--gc-sections -Wl,--relax
AVR_FLASH_MAX := 16384
AVR_RAM_MAX := 7168

.PHONY: avr size
avr: $(B)/avr/refboard.elf $(B)/avr/refboard.hex

$(B)/avr/refboard.elf: $(CORE) $(AVR_SOURCES) $(AVR_HEADERS)
	@mkdir -p $(@D)
	$(AVR_CC) $(WARN) $(AVR_FLAGS) $(INC) -Iboards/refboard_avr $(CORE) $(AVR_SOURCES) -o $@

$(B)/avr/refboard.hex: $(B)/avr/refboard.elf
	$(AVR_OBJCOPY) -O ihex -j .text -j .data $< $@

size: $(B)/avr/refboard.elf
	@$(AVR_SIZE) -A $< | awk '\
	  $$1 == ".text" || $$1 == ".data" {flash += $$2} \
	  $$1 == ".data" || $$1 == ".bss" || $$1 == ".noinit" {ram += $$2} \
	  END {printf "flash %d of $(AVR_FLASH_MAX) bytes, RAM %d of $(AVR_RAM_MAX) bytes\n", flash, ram; \
	       exit flash > $(AVR_FLASH_MAX) || ram > $(AVR_RAM_MAX) || !flash}'
