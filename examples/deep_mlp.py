"""Thirty-two plain layers, trained without normalization layers or skip connections.

What one learns: `selfnorm.init.initialize_` makes any PyTorch model start with activations of
variance 1, and that decides whether a deep plain network trains. The same network, with the same
optimizer and the same rows, starts once from torch's default weights and once from those.
"""

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import selfnorm

DEPTH, WIDTH, EPOCHS, BATCH = 32, 128, 8, 48


def network() -> nn.Sequential:
    """Linear and SELU, thirty-two times."""
    layers = []
    for layer in range(DEPTH):
        layers.append(nn.Linear(64 if layer == 0 else WIDTH, WIDTH))
        layers.append(selfnorm.nn.SELU(inplace=True))
    return nn.Sequential(*layers, nn.Linear(WIDTH, 10))


def train(model: nn.Module, images: torch.Tensor, digits: torch.Tensor) -> None:
    """Cross-entropy, AdamW, clipped gradients."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-4)
    model.train()
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(images)).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[rows]), digits[rows]).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    model.eval()


def main() -> None:
    """Train twice, print, and assert what the docstring says."""
    pixels, labels = load_digits(return_X_y=True)
    split = train_test_split(pixels, labels, test_size=0.2, random_state=0, stratify=labels)
    images, held_images, digits, held_digits = map(torch.from_numpy, split)
    # SELU keeps mean 0 and variance 1, so the inputs have to begin with them.
    mean, deviation = images.mean(0), images.std(0).clamp(min=1.0)  # some pixels are always 0
    images, held_images = (((x - mean) / deviation).float() for x in (images, held_images))

    print(f"Digits: {DEPTH} plain layers of SELU, {WIDTH} wide, {EPOCHS} epochs of training\n")
    print(f"{'':<15}{'variance behind':>20}{'accuracy on':>22}")
    print(f"{'weights':<15}{f'layer {DEPTH}, before':>20}{f'{len(held_images)} held-out rows':>22}")
    found = {}
    for name in ("torch's default", "initialize_"):
        torch.manual_seed(0)
        model = network().eval()
        if name == "initialize_":
            selfnorm.init.initialize_(model)
        with torch.no_grad():
            variance = float(model[:-1](images).var())
        train(model, images, digits)
        with torch.no_grad():
            accuracy = float((model(held_images).argmax(1) == held_digits).double().mean())
        found[name] = variance, accuracy
        print(f"{name:<15}{variance:>20.3f}{accuracy:>22.3f}")

    (lost, chance), (kept, good) = found.values()
    assert lost < 0.1
    assert 0.8 < kept < 1.5
    assert chance < 0.5
    assert good > 0.9
    print("\nSame rows, same optimizer: only the network that starts with variance 1 learns.")


if __name__ == "__main__":
    main()
