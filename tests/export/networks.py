"""Factories of small torch networks, opened in tests as `networks:NAME` from this folder."""

import torch
from torch import nn


class Residual(nn.Module):
    """Residual sum, channel concatenation and a depthwise convolution; 2D pooling and a linear layer at the end."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.pointwise = nn.Conv2d(8, 8, 1)
        self.narrow = nn.Conv2d(16, 4, 3, 2, 1)
        self.head = nn.Linear(4, 5)

    def forward(self, x):
        x = self.stem(x)
        y = x + nn.functional.hardswish(self.pointwise(self.depthwise(x)))
        z = nn.functional.relu6(self.narrow(torch.cat([x, y], 1)))
        return self.head(z.view(z.shape[0], 4, -1).mean(2))


class Mixing(nn.Module):
    """Mixes rows: the answer for one row depends on the others."""

    def forward(self, x):
        return torch.relu(x - x.mean(0, keepdim=True)) * 2


def residual():
    torch.manual_seed(0)
    return Residual(), (torch.rand(2, 3, 16, 16),)


def residual_one_row():
    torch.manual_seed(0)
    return Residual(), (torch.rand(1, 3, 16, 16),)


def mixing():
    return Mixing(), (torch.rand(2, 4),)


def not_a_module():
    return "network"


def failing():
    raise RuntimeError("no weights here")


class Branching(nn.Module):
    """Branches in Python on the content of its input."""

    def forward(self, x):
        return x * 2 if x.sum() > 0 else x - 1


def branching():
    return Branching(), (torch.rand(2, 4),)


def half():
    torch.manual_seed(0)
    return Residual().half(), (torch.rand(2, 3, 16, 16).half(),)


class Unbatched(nn.Module):
    """Takes one picture and not a batch of them."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, 2, 1)

    def forward(self, x):
        return torch.relu(self.stem(x[None]))[0].flatten()


def unbatched():
    torch.manual_seed(0)
    return Unbatched(), (torch.rand(3, 16, 12),)


def of_bytes():
    torch.manual_seed(0)
    return nn.Sequential(Scaled(), Residual()), (torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8),)


class Scaled(nn.Module):
    """Bytes to 0..1."""

    def forward(self, x):
        return x.float() / 255


class Normalised(nn.Module):
    """A batch norm behind a nonlinearity, where no convolution takes it in."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.narrow = nn.Conv2d(3, 4, 3, 2, 1)

    def forward(self, x):
        return self.narrow(self.norm(torch.relu(x))).mean((2, 3))


def normalised():
    torch.manual_seed(0)
    network = Normalised().train()
    network(torch.rand(8, 3, 16, 16))
    network.norm.bias.data += 0.5
    return network.eval(), (torch.rand(2, 3, 16, 16),)
