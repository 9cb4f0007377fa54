"""Random edits over files, records and boxes: none is called intact where it changed anything that matters.

`BODYCAM_EDITS` says how many, `BODYCAM_SEED` which; each is drawn from the seed and its own number.
"""

import os
import random
from collections import Counter
from pathlib import Path

from hw_sim.agency import Agency
from tests.benches import shown, verified
from tests.cards import copy_of, record_card
from tests.random_edits import Editor, files_of, is_of_a_lost_journal, is_of_the_journals_end, matters

EDITS = int(os.environ.get("BODYCAM_EDITS", "300"))
SEED = os.environ.get("BODYCAM_SEED", "1")


def test_no_random_edit_is_called_intact(tmp_path: Path) -> None:
    agency = Agency()
    bench = copy_of(record_card(tmp_path / "recorded", agency, seconds=(1, 0.5)), tmp_path / "bench")
    editor = Editor(bench, record_card(tmp_path / "other", agency, device="BC-000002", seconds=(1,)), agency)
    verdicts: Counter[str] = Counter()
    for n in range(EDITS):
        done = editor.edit(random.Random(f"{SEED} {n}"))
        after = files_of(bench.card)
        verdict = verified(bench)
        said = f"seed {SEED}, edit {n}: {done}: {shown(verdict)}"
        changed = matters(editor.before, after)
        journal = is_of_the_journals_end(editor.before, after) or is_of_a_lost_journal(editor.before, after)
        allowed = {1, 3, 4} if journal else {1, 3}
        assert verdict.exit_status in (allowed if changed else {0}), said
        verdicts[verdict.verdict if changed else "changed nothing that matters: intact"] += 1
        editor.put_back()
        if n % 500 == 499:
            print(f"seed {SEED}: {n + 1} edits: {dict(verdicts)}", flush=True)
    print(f"card, seed {SEED}: {EDITS} random edits: {dict(verdicts)}")
    assert verdicts["ALTERED"] > EDITS * 0.8
    assert verdicts["intact"] == 0
