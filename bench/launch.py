"""Run a command and print, as the last line, what it took; run as a script by `bench.timing`.

A process apart, and a small one: the kernel counts the memory of whoever starts a process as the first peak of that
process, and a caller that holds pandas would be seen in every figure.
"""

import json
import os
import sys
import time


def main() -> None:
    """Print exit code, seconds and peak memory of the command in the arguments."""
    command = sys.argv[1:]
    started = time.perf_counter()
    child = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(child, 0)
    seconds = time.perf_counter() - started
    unit = 1 if sys.platform == "darwin" else 1024
    took = {"code": os.waitstatus_to_exitcode(status), "seconds": seconds, "peak": unit * usage.ru_maxrss}
    print(f"\n{json.dumps(took)}")


if __name__ == "__main__":
    main()
