# The whole interface to the build; Meson and Ninja do the work.
#
#   make            build/genvisor
#   make run        a Debian guest to a prompt (makes the guest once, in cache/)
#   make test       all tests
#   make test-guests  other people's guests: slow ones, and those that are not here by themselves
#   make bench      the yardstick, side by side with QEMU where both are there
#   make fuzz T=x   one fuzz target for SECONDS_EACH (default 600); without T: all
#   make lint       layers, headers alone, man page against options
#   make asan|tsan|debug|clang   other builds and their unit tests, in build-*/

SHELL := /bin/bash
B := build
GUEST := cache/demo
SECONDS_EACH ?= 600
DISK := $(GUEST)/root.vhdx

.PHONY: all run test test-guests with-tests unit bench fuzz lint asan tsan debug clang guest clean
all: $(B)/build.ninja
	@ninja -C $(B) --quiet genvisor

$(B)/build.ninja: meson.build
	@tool/deps.sh build
	@[ -f $@ ] || meson setup $(B) > $(B).log 2>&1 || { cat $(B).log; exit 1; }
	@rm -f $(B).log

guest: $(DISK)
$(DISK): tool/mkguest.sh tool/mkinitrd.sh | all
	@tool/deps.sh guest
	@tool/mkguest.sh $(GUEST)
	@rm -f $(DISK) && $(B)/genvisor disk new --from $(GUEST)/root.img --block-size 1M $(DISK) && rm -f $(GUEST)/root.img

run: all guest
	@tool/run.sh $(B)/genvisor $(GUEST)

# A build that was configured before cmocka was installed has no unit tests: configure it again.
with-tests:
	@tool/deps.sh test
	@[ ! -f $(B)/build.ninja ] || grep -q '"cmocka"' $(B)/meson-info/intro-dependencies.json || \
		meson setup --reconfigure $(B) > $(B).log 2>&1 || { cat $(B).log; exit 1; }
	@$(MAKE) --no-print-directory all

test: with-tests
	@tool/test.sh $(B)

test-guests: all
	@tool/test-guests.sh $(B)

unit: with-tests
	@ninja -C $(B) --quiet && meson test -C $(B) --print-errorlogs

bench: all guest
	@bench/run.sh $(B)/genvisor $(GUEST)

fuzz:
	@tool/deps.sh fuzz
	@tool/fuzz.sh "$(T)" $(SECONDS_EACH)

lint: all
	@tool/lint.sh $(B)

asan: ; @tool/variant.sh asan
tsan: ; @tool/variant.sh tsan
debug: ; @tool/variant.sh debug
clang: ; @tool/variant.sh clang

clean:
	rm -rf build build-*
