# Two commands on a fresh machine with Python >= 3.11 (with venv), git and make: `make demo` and `make test`.
# Everything else is set up in .venv, from constraints.txt.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
SEED ?= 1
KILLS ?= 200
CALLS ?= 1000
JOBS ?= 2
MACHINE ?= arm64

.PHONY: help demo panel panel-picture test lanes pins deb check format bench power-cuts alterations edits export-edits verify-large policy-million block-cuts kills real-kills failing-calls real-calls shift soak load slow-machine clean

help:
	@sed -n 's/^## //p' Makefile

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed: make PYTHON=python3.12 …"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

## make demo            a minute of the daemon on simulated hardware, and the proof of what it recorded
demo: $(READY)
	$(BIN)/bodycam-sim demo --out demo/$$(date +%Y%m%d-%H%M%S)

## make panel           a page on localhost: the device drawn, its buttons to press, what it sees and records
panel: $(READY)
	$(BIN)/bodycam-sim panel

## make panel-picture   docs/panel.png, taken of the panel as it records, in a headless Chromium; a minute
panel-picture: $(READY)
	$(BIN)/python -m tests.panel_picture docs/panel.png

## make test            the tests, warnings as errors, in random order, on two cores
test: $(READY)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

## make lanes           tests on the real camera stack, a real systemd and a clean distribution; as root, on a Debian
lanes: $(READY)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m lane tests/lanes

## make pins            of these, real GPIO lines in an arm64 machine alone, with what it saw
pins: $(READY)
	$(BIN)/python -m pytest -m pins -s tests/lanes/test_pins.py

## make deb             the Debian package for a Raspberry Pi, in build/deb; MACHINE=amd64 for a machine like this
deb: $(READY)
	$(BIN)/python -m deb.build --machine $(MACHINE)

## make check           what CI runs: format, lint, types, import layers, tests
check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) test

## make format          format and mend what can be mended by machine
format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

## make bench           medians and ratios, taken in one run: a quarter of an hour on a quiet machine; picamera2's outputs are set beside
bench: $(READY)
	@$(BIN)/pip install --quiet --no-deps --upgrade --target $(BIN)/../bench picamera2==0.3.38 || echo "picamera2 can't be installed: not measured"
	$(BIN)/python -m hw_sim.benchmarks --write docs

## make power-cuts      a power cut at every write and every sync of a scripted recording
power-cuts: $(READY)
	BODYCAM_CUTS=all BODYCAM_SEED=$(SEED) $(BIN)/python -m pytest -s tests/test_power_cuts.py

## make block-cuts      5,000 power cuts of a real ext4 under the real daemon; as root
block-cuts: $(READY)
	BODYCAM_CUTS=5000 BODYCAM_SEED=$(SEED) $(BIN)/python -m pytest -s -m lane tests/lanes/test_block_cuts.py -k power_cut

## make kills           1,000 kills of the daemon at instants that a seed draws; as root
kills: $(READY)
	BODYCAM_KILLS=1000 BODYCAM_SEED=$(SEED) $(BIN)/python -m pytest -s -m lane tests/lanes/test_block_cuts.py -k killed

## make real-kills      200 kills of the daemon in real time, with all its threads: 40 minutes; as root
real-kills: $(READY)
	BODYCAM_KILLS=$(KILLS) BODYCAM_SEED=$(SEED) $(BIN)/python -m pytest -s -m lane tests/lanes/test_block_cuts.py -k sigkill

## make failing-calls   every system call on the card fails once, with EIO and with ENOSPC; as root
failing-calls: $(READY)
	BODYCAM_SHARE=1 BODYCAM_SEED=$(SEED) $(BIN)/python -m pytest -s -m lane tests/lanes/test_block_cuts.py -k system_call

## make real-calls      the same in real time, with all its threads: 20 minutes; as root
real-calls: $(READY)
	BODYCAM_CALLS=$(CALLS) BODYCAM_SEED=$(SEED) $(BIN)/python -m pytest -s -m lane tests/lanes/test_block_cuts.py -k call_that_fails_in_real

## make alterations     every class of alteration, done once to a card, an export and a clip: what verify says, and where
alterations: $(READY)
	$(BIN)/python -m tests.alteration_table

## make edits           10,000 random edits over files, records and boxes of a card, and as many flipped bytes
edits: $(READY)
	BODYCAM_EDITS=10000 BODYCAM_FLIPS=10000 BODYCAM_SEED=$(SEED) $(BIN)/python -m pytest -s tests/test_random_edits.py tests/test_alterations.py

## make verify-large    verify's memory on ten hours of recordings: 36,000 segments
verify-large: $(READY)
	BODYCAM_LARGE=1 $(BIN)/python -m pytest -s tests/test_verify_large.py -k memory

## make export-edits    thousands of random edits of exported files; SEED=7 draws anew
export-edits: $(READY)
	BODYCAM_EDITS=10000 BODYCAM_SEED=$(SEED) $(BIN)/python -m pytest -s tests/test_exported.py -k "random_edit or each_byte"

## make policy-million  a million random inputs to the policy machine, under every profile and policies drawn
policy-million: $(READY)
	BODYCAM_INPUTS=1000000 BODYCAM_SEED=$(SEED) $(BIN)/python -m pytest -s tests/test_policy_random.py -k many_inputs

## make shift           twelve hours drawn at random, in virtual time: verified, audited, every frame accounted for
shift: $(READY)
	$(BIN)/bodycam-sim shift --hours 12 --seed $(SEED)

## make soak            twenty-four hours of virtual time: memory, threads, files and objects may not grow
soak: $(READY)
	$(BIN)/bodycam-sim shift --hours 24 --seed $(SEED) --soak --rate-hz 5 --no-sound

## make load            4 to 25 Mbit/s, a card of 2 MB/s that stalls for 20 s: what is lost is counted to the picture
load: $(READY)
	$(BIN)/python -m hw_sim.load

## make slow-machine    the daemon in real time on a part of one core; as root, with a cpu controller of cgroup v1
slow-machine: $(READY)
	$(BIN)/python -m hw_sim.slow_machine

## make clean           remove what these commands made
clean:
	rm -rf .venv build demo .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis ./*.egg-info
