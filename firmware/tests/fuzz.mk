# libFuzzer on the host library. Run: make fuzz; build/fuzz/fuzz_stream -dict=tests/fuzz.dict CORPUS
.PHONY: fuzz
fuzz: $(B)/fuzz/fuzz_stream
$(B)/fuzz/fuzz_stream: tests/fuzz_stream.c $(CORE) $(HOST) $(HEADERS)
	@mkdir -p $(@D)
	$(CLANG) $(WARN) -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer,address,undefined \
	  -fno-sanitize-recover=all -DCHECK_NARROWING $(INC) -Iboards/host $< $(CORE) $(HOST) -o $@ -lm
