"""A program that speaks a worker's protocol and does what its job's first prompt says."""

import json
import os
import signal
import sys
import time
from pathlib import Path


def say(**event: object) -> None:
    """Sends one event."""
    print(json.dumps(event), flush=True)


def stop(*_: object) -> None:
    """Says that the job is cancelled, and ends at once."""
    say(kind="cancelled")
    os._exit(0)


def main() -> None:
    """Takes the job and plays the part."""
    job = json.loads(sys.stdin.readline())
    part = job["prompts"][0]
    say(kind="progress", stage="training", step=1, steps=2, reward_means={"brevity": 0.5})
    if part == "succeed":
        say(kind="progress", stage="training", step=2, steps=2)
        say(kind="succeeded")
    elif part == "fail":
        say(kind="failed", error="the loss is NaN")
    elif part == "die":
        Path(job["folder"], "job.log").write_text("a line\nout of memory\n", encoding="utf-8")
        os.kill(os.getpid(), signal.SIGKILL)
    elif part == "exit":
        sys.exit(3)
    elif part == "babble":
        print("no event at all", flush=True)
        time.sleep(60)
    elif part == "stop when told":
        signal.signal(signal.SIGTERM, stop)
        say(kind="progress", message="listening")
        signal.pause()
    elif part == "never stop":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        say(kind="progress", message="listening")
        while True:
            time.sleep(1)


main()
