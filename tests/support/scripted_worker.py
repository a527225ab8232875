"""A program with a worker's protocol that plays the part named by its job's first prompt."""

import json
import os
import signal
import sys
import time
from pathlib import Path


def send(**event: object) -> None:
    """Sends one event."""
    print(json.dumps(event), flush=True)


def stop(*_: object) -> None:
    """Says that the job is cancelled, and ends at once."""
    send(kind="cancelled")
    os._exit(0)


def main() -> None:
    """Takes the job and plays the part."""
    job = json.loads(sys.stdin.readline())
    part = job["prompts"][0]
    send(kind="progress", stage="training", step=1, steps=2, reward_means={"brevity": 0.5})
    if part == "succeed":
        send(kind="progress", stage="training", step=2, steps=2)
        send(kind="succeeded")
    elif part == "fail":
        send(kind="failed", error="the loss is NaN")
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
        send(kind="progress", message="listening")
        signal.pause()
    elif part == "never stop":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        send(kind="progress", message="listening")
        while True:
            time.sleep(1)


main()
