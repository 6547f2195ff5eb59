# Cortex-M4 build of the core: a portability check, not a product.
ARM_CC ?= arm-none-eabi-gcc
ARM_SIZE ?= arm-none-eabi-size
ARM_SOURCES := $(sort $(wildcard boards/arm/*.c))
ARM_FLAGS := -mcpu=cortex-m4 -mthumb -Os -ffunction-sections -fdata-sections -Wl,--gc-sections,-u,uart_interrupt \
  --specs=nano.specs --specs=nosys.specs

.PHONY: arm
arm: $(B)/arm/refboard.elf

$(B)/arm/refboard.elf: $(CORE) $(ARM_SOURCES) $(wildcard core/*.h hal/*.h)
	@mkdir -p $(@D)
	$(ARM_CC) $(WARN) $(ARM_FLAGS) $(INC) $(CORE) $(ARM_SOURCES) -o $@
	$(ARM_SIZE) $@
