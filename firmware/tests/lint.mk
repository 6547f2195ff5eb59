# cppcheck checks the core for an 8-bit target with a 16-bit int. Settings of clang-tidy: tests/clang-tidy.yaml.
.PHONY: lint cppcheck tidy narrowing
lint: cppcheck tidy narrowing

CPPCHECK := cppcheck --quiet --std=c11 --enable=warning,style,performance,portability --error-exitcode=1 \
  --inline-suppr --suppress=missingIncludeSystem
cppcheck:
	$(CPPCHECK) --platform=avr8 $(INC) $(CORE) $(wildcard boards/refboard_avr/*.c)
	$(CPPCHECK) --platform=unix64 $(INC) -Iboards/host $(HOST) tests/fuzz_stream.c

tidy:
	clang-tidy --quiet --config-file=tests/clang-tidy.yaml $(CORE) $(HOST) tests/fuzz_stream.c -- \
	  -std=c11 $(INC) -Iboards/host

# Fails on a cast of a computed value to a narrower type outside core/narrow.h; -Wconversion reports implicit conversions,
# but a cast silences it. clang parses for the AVR, whose int has 16 bits, then for the ports of the computer and the ARM.
# It rejects some assembler of avr-libc, which does not matter here. A missing header does, and so does a search that
# did not run.
CLANG_QUERY ?= $(shell command -v clang-query || command -v clang-query-14 || echo clang-query)
NARROWING = $(CLANG_QUERY) -f tests/narrowing.query
NONE_FOUND = awk '/binds here/ {print; getline; print} /^[0-9]+ match/ {runs++; found += $$1} \
  /fatal error:/ {print; broken = 1} \
  END {if (found) print found " unchecked narrowing casts; use core/narrow.h"; exit found || broken || runs != 3}'
narrowing:
	@$(NARROWING) $(CORE) $(wildcard boards/refboard_avr/*.c) -- -std=c11 -w --target=avr -mmcu=atmega2560 \
	  -DF_CPU=16000000UL $(INC) -Iboards/refboard_avr 2>&1 | $(NONE_FOUND)
	@$(NARROWING) $(HOST) $(wildcard boards/arm/*.c) -- -std=c11 -w $(INC) -Iboards/host 2>&1 | $(NONE_FOUND)
