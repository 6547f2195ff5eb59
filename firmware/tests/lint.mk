# cppcheck checks the core for an 8-bit target with a 16-bit int. Settings of clang-tidy: tests/clang-tidy.yaml.
.PHONY: lint cppcheck tidy
lint: cppcheck tidy

CPPCHECK := cppcheck --quiet --std=c11 --enable=warning,style,performance,portability --error-exitcode=1 \
  --inline-suppr --suppress=missingIncludeSystem
cppcheck:
	$(CPPCHECK) --platform=avr8 $(INC) $(CORE) $(wildcard boards/refboard_avr/*.c)
	$(CPPCHECK) --platform=unix64 $(INC) -Iboards/host $(HOST) tests/fuzz_stream.c

tidy:
	clang-tidy --quiet --config-file=tests/clang-tidy.yaml $(CORE) $(HOST) tests/fuzz_stream.c -- \
	  -std=c11 $(INC) -Iboards/host
