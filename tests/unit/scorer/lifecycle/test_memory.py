"""Memory is reported and given back."""

import json
import subprocess
import sys

import pytest
import torch

from palmfolio_scorer.lifecycle.memory import device_memory

# A process of its own: in the process of the tests, memory that earlier tests freed is given
# back to the system, or taken again, in between.
HOLD_AND_RELEASE = """
import gc, json, torch
from palmfolio_scorer.lifecycle.memory import release_memory, resident_bytes
before = resident_bytes()
held = [torch.ones(2**20) for _ in range(64)]  # 256 MiB
full = resident_bytes()
held.append(held)  # a reference cycle, as in models
gc.disable()
del held
release_memory(["cpu"])
print(json.dumps([before, full, resident_bytes()]))
"""


def test_resident_memory_rises_with_what_is_held_and_falls_when_it_is_given_back() -> None:
    run = subprocess.run(
        [sys.executable, "-c", HOLD_AND_RELEASE], check=True, capture_output=True, text=True
    )
    before, full, after = json.loads(run.stdout)
    assert full - before > 192 * 2**20
    assert full - after > 192 * 2**20


def test_only_devices_with_memory_of_their_own_are_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "memory_allocated", {"cuda:0": 5, "cuda:1": 7}.__getitem__)
    monkeypatch.setattr(torch.cuda, "memory_reserved", {"cuda:0": 6, "cuda:1": 8}.__getitem__)
    reported = [
        (each.device, each.allocated_bytes, each.reserved_bytes)
        for each in device_memory(["cpu", "cuda:0", "cuda:1"])
    ]
    assert reported == [("cuda:0", 5, 6), ("cuda:1", 7, 8)]
    assert device_memory(["cpu"]) == []
