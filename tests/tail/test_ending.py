import signal
import subprocess
import sys

import pytest

PROGRAM = """
import asyncio
from isthmus.tail.ending import Ending

async def main():
    ending = Ending(lambda: print("last words"))
    print("ready", flush=True)
    print("caught", await ending.wait(), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second"), [(signal.SIGTERM, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT)])
def test_the_first_signal_is_told_and_the_second_ends_a_program_that_hangs(first, second):
    with subprocess.Popen([sys.executable, "-W", "error", "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout.readline() == "ready\n"
        program.send_signal(first)
        assert any(line == f"caught {int(first)}\n" for line in program.stdout)
        program.send_signal(second)
        assert program.wait(30) == 128 + second
        assert program.stdout.read().endswith("last words\n")
