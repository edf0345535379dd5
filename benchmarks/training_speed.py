"""An epoch of training: ours, skorch, scikit-learn, and a loop written by hand.

Rows of the size of MNIST. The contenders take turns in one process, each trains a new
model from scratch for some epochs (``fit``: the estimators check the rows, and build
the network); told are the median of the seconds an epoch and of the ratios to the loop.
Peak memory is that of a process of its own, above what it held before the training.

    python benchmarks/training_speed.py
    python benchmarks/training_speed.py --case "MLP, batch 128" --turns 9
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from _common import markdown_table
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from skorch import NeuralNetClassifier
from torch import nn

from sklearn_noisy import NoiseAdaptedClassifier, RobustLossClassifier
from sklearn_noisy.datasets import make_noise_matrix
from sklearn_noisy.nn import MLP

LR = 1e-3


class CNN(nn.Module):
    """1.2 million parameters: two convolutions, pooling, two linear layers."""

    def __init__(self, n_classes=10):
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU()),
            *(nn.MaxPool2d(2), nn.Dropout(0.25), nn.Flatten()),
            *(nn.Linear(64 * 12 * 12, 128), nn.ReLU(), nn.Dropout(0.5)),
            nn.Linear(128, n_classes),
        )

    def forward(self, X):
        return self.layers(X)


class ChannelsLast(CNN):
    """The same with the channels of a pixel side by side in memory."""

    def __init__(self, n_classes=10):
        super().__init__(n_classes)
        self.to(memory_format=torch.channels_last)


MODULES = {"cnn": CNN, "cnn, channels last": ChannelsLast}


@dataclass
class Case:
    """What is trained."""

    kind: str = "mlp"
    batch_size: int = 128
    n_classes: int = 10
    noise: bool = False
    n_rows: int = 30_000
    precision: str = "float32"


CASES = {
    "MLP, batch 64": Case(batch_size=64),
    "MLP, batch 128": Case(),
    "MLP, batch 512": Case(batch_size=512),
    "CNN": Case("cnn", n_rows=1500),
    "CNN, channels last": Case("cnn, channels last", n_rows=1500),
    "CNN, bfloat16": Case("cnn", n_rows=1500, precision="bfloat16"),
    "CNN, channels last, bfloat16": Case(
        "cnn, channels last", n_rows=1500, precision="bfloat16"
    ),
    "noise layer, K = 10": Case(noise=True),
    "noise layer, K = 1000": Case(noise=True, n_classes=1000, n_rows=10_000),
}


def make_data(case):
    rng = np.random.RandomState(0)
    shape = (784,) if case.kind == "mlp" else (1, 28, 28)
    X = rng.randint(256, size=(case.n_rows, *shape), dtype=np.uint8) / np.float32(255)
    y = rng.randint(case.n_classes, size=case.n_rows)
    y[: case.n_classes] = np.arange(case.n_classes)
    return X, y


def make_module(case):
    if case.kind in MODULES:
        return MODULES[case.kind](case.n_classes)
    return MLP(784, case.n_classes, hidden_layer_sizes=(256, 256))


# Each contender trains a new model from scratch, for some epochs.


def by_hand(case, device, n_epochs, *, fused=True):
    """Nothing but what training needs: a permutation, slices, a step."""
    X, y = make_data(case)
    start = time.perf_counter()
    X, y = torch.from_numpy(X).to(device), torch.from_numpy(y).to(device)
    torch.manual_seed(0)
    module = make_module(case).to(device).train()
    optimizer = torch.optim.Adam(module.parameters(), LR, fused=fused)
    Q = torch.as_tensor(
        make_noise_matrix(case.n_classes, 0.3), dtype=torch.float32, device=device
    )
    autocast = torch.autocast(
        torch.device(device).type,
        torch.bfloat16,
        enabled=case.precision == "bfloat16",
    )
    for _ in range(n_epochs):
        total = torch.zeros((), device=device)
        for rows in torch.randperm(len(y)).to(device).split(case.batch_size):
            with autocast:
                logits = module(X[rows])
            logits, target = logits.float(), y[rows]
            if case.noise:
                p = torch.softmax(logits, dim=1)
                loss = -(Q[target] * p).sum(dim=1).log().mean()
            else:
                loss = nn.functional.cross_entropy(logits, target)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(rows)
        total.item()
    return time.perf_counter() - start


def by_hand_plain(case, device, n_epochs):
    """The same with the step that torch's Adam takes where nobody asks for another."""
    return by_hand(case, device, n_epochs, fused=None)


def fit(clf, X, y):
    """Seconds of a fit."""
    start = time.perf_counter()
    clf.fit(X, y)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def ours(case, device, n_epochs):
    shared = {
        "optimizer": torch.optim.Adam,
        "lr": LR,
        "batch_size": case.batch_size,
        "precision": case.precision,
        "device": device,
        "random_state": 0,
        "max_epochs": n_epochs,
        "early_stopping": False,
    }
    if case.kind in MODULES:
        shared["module"] = MODULES[case.kind]
    else:
        shared |= {"module__dropout": 0.0, "module__input_dropout": 0.0}
        shared["module__input_scale"] = 1.0
    if case.noise:
        clf = NoiseAdaptedClassifier(
            noise_matrix=make_noise_matrix(case.n_classes, 0.3),
            n_rounds=0,
            lr_schedule="constant",
            **shared,
        )
    else:
        clf = RobustLossClassifier(loss="cross_entropy", **shared)
    return fit(clf, *make_data(case))


def skorch(case, device, n_epochs):
    torch.manual_seed(0)
    net = NeuralNetClassifier(
        make_module(case),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=LR,
        batch_size=case.batch_size,
        max_epochs=n_epochs,
        train_split=None,
        iterator_train__shuffle=True,
        verbose=0,
        device=device,
    )
    return fit(net, *make_data(case))


def scikit_learn(case, device, n_epochs):
    clf = MLPClassifier(
        (256, 256),
        learning_rate_init=LR,
        batch_size=case.batch_size,
        max_iter=n_epochs,
        random_state=0,
    )
    return fit(clf, *make_data(case))


CONTENDERS = {
    "by hand": by_hand,
    "by hand, plain Adam": by_hand_plain,
    "ours": ours,
    "skorch": skorch,
    "MLPClassifier": scikit_learn,
}


def contenders(case, device):
    """Those that can do it: others have neither a noise layer nor bfloat16."""
    names = ["by hand", "by hand, plain Adam", "ours"]
    if not case.noise and case.precision == "float32":
        names.append("skorch")
        if case.kind == "mlp" and device == "cpu":
            names.append("MLPClassifier")
    return names


def seconds(case, device, n_epochs, n_turns):
    """Seconds an epoch of each contender in each turn; the first does not count."""
    case = CASES[case]
    times = {name: [] for name in contenders(case, device)}
    for turn in range(n_turns + 1):
        for name, own in times.items():
            one = CONTENDERS[name](case, device, n_epochs) / n_epochs
            if turn:
                own.append(one)
    return times


def status(field):
    """MiB of this process, as Linux tells; a child's getrusage begins at its parent."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise ValueError(field)


def own_memory(case, name, device):
    """MiB that data and two epochs add, in this process."""
    make_data(Case(n_rows=10))
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    CONTENDERS[name](CASES[case], device, 2)
    if device == "cpu":
        return status("VmHWM") - before
    return torch.cuda.max_memory_allocated() / 2**20


def memory(case, name, device):
    """The same, in a new process."""
    command = [sys.executable, __file__, "--device", device, "--own-memory", name]
    command += ["--case", case]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--epochs", type=int, default=3, help="of each training")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument(
        "--device", default="cuda" if torch.cuda.is_available() else "cpu"
    )
    parser.add_argument("--own-memory", choices=CONTENDERS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.own_memory:
        print(own_memory(args.case[0], args.own_memory, args.device))
        return
    table = []
    for case in args.case:
        times = seconds(case, args.device, args.epochs, args.turns)
        loop = times["by hand"]
        first = None
        for name, own in times.items():
            ratio = statistics.median(
                one / other for one, other in zip(own, loop, strict=True)
            )
            mib = memory(case, name, args.device)
            first = first or mib
            table.append(
                [
                    case,
                    name,
                    f"{statistics.median(own):.3f}",
                    f"{ratio:.2f}",
                    f"{mib:.0f}",
                    f"{mib / first:.2f}",
                ]
            )
            print(table[-1], flush=True)
    header = ["case", "", "s an epoch", "ratio", "peak, MiB", "ratio"]
    print(f"{args.device}, {torch.get_num_threads()} thread(s)")
    print(markdown_table(header, table))


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", category=ConvergenceWarning)
    main()
