"""The compiler's verdicts, and the memory of a program."""

import jax
import numpy as np

from mmjax.plan.program import analyse, out_of_memory


def test_verdict_on_everything():
    message = (
        "RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 20.69G of 15.75G hbm. Exceeded hbm "
        "capacity by 4.94G.\n\nTotal hbm usage >= 20.94G:\n    reserved 258.00M"
    )
    verdict = out_of_memory(message)
    assert (verdict["used"], verdict["available"]) == (round(20.69 * 2**30), int(15.75 * 2**30))
    assert verdict["message"].endswith("4.94G.")


def test_early_verdict_on_temporaries():
    verdict = out_of_memory(
        "E1000: CompileTimeHbmOom: Ran out of memory on HBM, the total memory required for HLO temporaries (670.77G) "
        "exceeds available HBM (15.75G). HLO module: jit_f."
    )
    assert (verdict["used"], verdict["available"]) == (round(670.77 * 2**30), int(15.75 * 2**30))


def test_other_messages_are_no_verdict():
    assert out_of_memory("INTERNAL: Mosaic failed to compile") is None


def test_memory_and_cost_of_a_program(tmp_path):
    x = jax.ShapeDtypeStruct((64, 32), np.float32)
    file = tmp_path / "program.hlo"
    said = analyse(jax.jit(lambda x: x @ x.T).lower(x), str(file))
    assert said["fits"] and said["flops"] == 2 * 64 * 64 * 32
    used = said["memory"]
    assert used["arguments"] == 64 * 32 * 4 and used["outputs"] == 64 * 64 * 4
    assert used["total"] == sum(used[k] for k in ("arguments", "outputs", "temporaries", "code")) - used["aliased"]
    assert file.read_text().startswith("HloModule")
