"""Linear layers in oneDNN's layout say what torch's own say, and share what was shared."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from palmfolio_scorer.models.onednn import OneDnnLinear, use_onednn


@given(
    rows=st.lists(st.integers(1, 9), min_size=1, max_size=3) | st.just([]),
    inputs=st.integers(1, 70),
    outputs=st.integers(1, 70),
    bias=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)
@settings(deadline=None)
def test_equals_the_layer_it_replaces(
    rows: list[int], inputs: int, outputs: int, bias: bool, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(inputs, outputs, bias=bias).to(dtype))
    layer = model[0]
    use_onednn(model, "cpu")
    assert isinstance(model[0], OneDnnLinear)
    x = torch.randn(*rows, inputs).to(dtype)
    with torch.inference_mode():
        tolerance = 1e-5 if dtype == torch.float32 else 2e-2
        torch.testing.assert_close(model(x), layer(x), rtol=tolerance, atol=tolerance)


def test_shared_weights_and_other_devices_are_kept() -> None:
    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = torch.nn.Embedding(40, 24)
            self.output = torch.nn.Linear(24, 40, bias=False)
            self.output.weight = self.embedding.weight
            self.inner = torch.nn.Linear(24, 24)

    model = Model()
    use_onednn(model, "cuda:0")
    assert type(model.inner) is torch.nn.Linear
    use_onednn(model, "cpu")
    assert type(model.output) is torch.nn.Linear
    replaced: torch.nn.Module = model.get_submodule("inner")
    assert type(replaced) is OneDnnLinear


def test_a_processor_without_the_layout_keeps_its_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(linear: torch.nn.Linear) -> OneDnnLinear:
        raise RuntimeError("not supported")

    monkeypatch.setattr("palmfolio_scorer.models.onednn.OneDnnLinear", fail)
    model = torch.nn.Sequential(torch.nn.Linear(20, 20))
    use_onednn(model, "cpu")
    assert type(model[0]) is torch.nn.Linear
