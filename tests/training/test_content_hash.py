"""Equal content has equal hashes in every process; other content has other ones."""

import copy
import os
import subprocess
import sys
import threading
from collections import OrderedDict, deque
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy import sparse
from skorch.callbacks import LRScheduler
from torch import nn

from sklearn_noisy._training.content_hash import UnknownContentError, content_hash

RATE = 0.1


def network(p=0.1, width=3):
    return nn.Sequential(nn.Linear(2, width), nn.Dropout(p), nn.Linear(width, 2))


def closure(p):
    def make():
        return nn.Dropout(p)

    return make


def reads_a_global():
    return nn.Dropout(RATE)


class Plain:
    factor = 1

    def __init__(self, value=1):
        self.value = value

    def double(self):
        return 2 * self.value * self.factor


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.p = p

    def forward(self, X):
        return self.layer(X)


class Slots:
    __slots__ = ("data",)

    def __init__(self, data):
        self.data = data


def differing():
    """Groups of values of which no two have the same content."""
    torch.manual_seed(0)
    net = Net(0.1)
    other = copy.deepcopy(net)
    other.p = 0.5
    hooked = copy.deepcopy(net)
    hooked.register_buffer("extra", torch.ones(2), persistent=False)
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    circle = [1]
    circle.append(circle)
    return {
        "partial": [
            partial(network, p=0.1),
            partial(network, p=0.5),
            partial(network, width=4),
            partial(torch.optim.SGD, momentum=0.9),
            partial(torch.optim.SGD),
        ],
        "functions": [
            lambda epoch: 0.5,
            lambda epoch: 0.6,
            closure(0.1),
            closure(0.5),
            network,
            reads_a_global,
            Plain(1).double,
            Plain(2).double,
            torch.relu,
            np.log,
            np.mean,
            str.lower,
        ],
        "modules": [net, other, hooked, nn.LazyLinear(3), nn.LSTM(2, 3), Net],
        "objects": [Plain(1), Plain(2), Slots([1]), Slots([2]), Plain, Slots],
        "callbacks": [
            LRScheduler("StepLR", step_size=2),
            LRScheduler("StepLR", step_size=3),
            LRScheduler("LambdaLR", lr_lambda=lambda epoch: 0.5),
            LRScheduler("LambdaLR", lr_lambda=lambda epoch: 0.6),
        ],
        "arrays": [
            np.arange(6.0),
            np.arange(6.0).reshape(2, 3),
            np.arange(6, dtype=np.float32),
            np.array(["a", "bb"]),
            np.array(["a", 1.5, None], dtype=object),
            np.empty((0, 3)),
            np.empty((0, 4)),
            np.float32(2),
            np.ma.masked_array([1, 2], [False, True]),
            np.ma.masked_array([1, 2], [True, False]),
            torch.ones(2),
            torch.ones(2, dtype=torch.bfloat16),
            torch.tensor(1.0),
            sparse.csr_array(np.eye(3)),
            sparse.csr_array(2 * np.eye(3)),
        ],
        "frames": [
            frame,
            frame.rename(columns={"a": "c"}),
            frame.assign(b=["x", "z"]),
            frame.set_axis([1, 2]),
            frame.astype({"b": "category"}),
            frame["a"],
            frame.index,
            pl.DataFrame({"a": [1, 2]}),
            pl.DataFrame({"a": [1, 3]}),
            pl.DataFrame({"c": [1, 2]}),
        ],
        "generators": [
            np.random.RandomState(0),
            np.random.RandomState(1),
            np.random.default_rng(0),
            torch.Generator().manual_seed(1),
            torch.Generator().manual_seed(2),
        ],
        "containers": [
            *([1, 2], (1, 2), {1, 2}, {1: 2}, OrderedDict({1: 2}), deque([1, 2])),
            *([1, [2]], [[1], 2], [1, 2.0], ["1", 2], [True, 2], [None, 2], circle),
            *(Path("a"), "a", b"a", slice(1, 2), range(1, 2), ...),
        ],
    }


GROUPS = list(differing())


@pytest.mark.parametrize("group", GROUPS)
def test_other_content_has_another_hash(group):
    hashes = [content_hash(value) for value in differing()[group]]
    assert len({*hashes}) == len(hashes)


@pytest.mark.parametrize("group", GROUPS)
def test_equal_content_has_the_same_hash(group):
    first, second = (
        [content_hash(value) for value in differing()[group]] for _ in range(2)
    )
    assert first == second


def all_hashes():
    return [content_hash(value) for group in differing().values() for value in group]


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import test_content_hash
print(*test_content_hash.all_hashes())
"""


def test_another_process_computes_the_same_hashes():
    """With other seeds of Python's own hashes, so sets have another order."""
    printed = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "1"},
    ).stdout.split()
    assert printed == all_hashes()


def test_a_dictionary_has_no_order():
    assert content_hash({"a": 1, "b": 2}) == content_hash({"b": 2, "a": 1})


def test_the_global_variables_and_attributes_of_code_count(monkeypatch):
    before = content_hash(reads_a_global), content_hash(Plain), content_hash(Plain(1))
    monkeypatch.setattr(sys.modules[__name__], "RATE", 0.2)
    monkeypatch.setattr(Plain, "factor", 2)
    after = content_hash(reads_a_global), content_hash(Plain), content_hash(Plain(1))
    assert all(a != b for a, b in zip(before, after, strict=True))


def test_a_method_that_changes_changes_its_class(monkeypatch):
    before = content_hash(Net(0.1).forward.__func__), content_hash(Net)
    monkeypatch.setattr(Net, "forward", lambda self, X: 2 * self.layer(X))
    assert content_hash(Net) != before[1]


def test_the_version_of_a_package_counts(monkeypatch):
    from sklearn_noisy._training import content_hash as module

    before = content_hash(nn.Linear)
    module._version_of.cache_clear()
    monkeypatch.setattr(torch, "__version__", "0.0")
    assert content_hash(nn.Linear) != before
    module._version_of.cache_clear()


def deep_list():
    value = []
    for _ in range(5000):
        value = [value]
    return value


@pytest.mark.parametrize(
    "make",
    [
        threading.Lock,
        lambda: Path(__file__).open(),  # noqa: SIM115
        lambda: (i for i in range(3)),
        lambda: [{"a": threading.Lock()}],
        lambda: partial(network, threading.Lock()),
        lambda: Plain(threading.Lock()),
        lambda: closure(threading.Lock()),
        deep_list,
    ],
)
def test_what_has_no_content_is_an_error(make):
    value = make()
    with pytest.raises(UnknownContentError, match="the content of .* cannot be read"):
        content_hash(value)
    if hasattr(value, "close"):
        value.close()


def test_an_object_may_say_what_its_content_is(monkeypatch):
    value = Plain(threading.Lock())
    monkeypatch.setattr(Plain, "__getstate__", lambda self: {"n": 3}, raising=False)
    assert content_hash(value) == content_hash(Plain(threading.Lock()))
