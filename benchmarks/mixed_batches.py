"""Clean and noisy rows: mixed in every batch, or batches of one kind in turn.

Digits, a tenth of the training rows clean, half of the other labels wrong by a random
pattern; the same hand-written loop, steps and learning rates for both. This is why
`NoiseAdaptedClassifier` mixes.

    python benchmarks/mixed_batches.py
"""

import numpy as np
import torch
from _common import markdown_table
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from sklearn_noisy.datasets import corrupt_labels, make_noise_matrix

GAMMAS = (0.03, 0.1, 0.3, 1.0)
SEEDS = range(5)
BATCH_SIZE = 128
EPOCHS = 30


def forever(rows, rng):
    """Batches of these rows, in another order each time."""
    while True:
        order = rng.permutation(rows)
        yield from np.array_split(order, -(-len(order) // BATCH_SIZE))


def in_turn(*sources):
    while True:
        for source in sources:
            yield next(source)


def test_accuracy(mode, Q, layer, gamma, seed):
    """Of a net trained with both kinds of rows."""
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X, y, stratify=y, random_state=seed)
    given = corrupt_labels(y, Q, random_state=seed)
    # Not the seed of the noise: that draws the same numbers.
    rng = np.random.RandomState(100 + seed)
    clean = rng.rand(len(y)) < 0.1
    labels = torch.from_numpy(np.where(clean, y, given))
    X, X_test = (torch.from_numpy(part).float() / 16 for part in (X, X_test))
    log_Q = torch.from_numpy(Q).float().log() if layer else None
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Linear(64, 100), nn.ReLU(), nn.Dropout(0.5), nn.Linear(100, 10)
    )
    n_steps = EPOCHS * -(-len(y) // BATCH_SIZE)
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=n_steps)
    batches = forever(np.arange(len(y)), rng)
    if mode == "in turn":
        kinds = (np.flatnonzero(clean), np.flatnonzero(~clean))
        batches = in_turn(*(forever(rows, rng) for rows in kinds))
    is_clean = torch.from_numpy(clean)
    for _ in range(n_steps):
        rows = torch.from_numpy(next(batches))
        log_p, y_batch = net(X[rows]).log_softmax(dim=1), labels[rows]
        loss = -log_p.gather(1, y_batch[:, None])[:, 0]
        noisy = loss if log_Q is None else -torch.logsumexp(log_Q[y_batch] + log_p, 1)
        loss = torch.where(is_clean[rows], loss, gamma * noisy).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        cycle.step()
    net.eval()
    return (net(X_test).argmax(dim=1).numpy() == y_test).mean()


def main():
    Q = make_noise_matrix(10, 0.5, "random", random_state=0)
    table = []
    for layer in (False, True):
        for mode in ("mixed", "in turn"):
            row = ["noise layer, true Q" if layer else "no noise layer", mode]
            for gamma in GAMMAS:
                found = [test_accuracy(mode, Q, layer, gamma, seed) for seed in SEEDS]
                row.append(f"{np.mean(found):.3f} ± {np.std(found, ddof=1):.3f}")
            table.append(row)
    header = ["", "batches", *(f"γ = {gamma}" for gamma in GAMMAS)]
    print(markdown_table(header, table))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
