"""What a reader would bring: functions that return a network and loaders."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def make_net() -> nn.Module:
    """A network for images of 16 pixels and three classes."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()]
    layers += [nn.Conv2d(16, 16, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 49, 3)]
    return nn.Sequential(*layers)


class Branching(nn.Module):
    """Decides by its data, which cannot be exported."""

    def __init__(self):
        super().__init__()
        self.body = make_net()

    def forward(self, x):
        """Logits, whatever the sign."""
        return self.body(x) if x.sum() > 0 else self.body(-x)


def make_loaders():
    """Images in which the brightest channel is the class."""
    torch.manual_seed(1)
    parts = []
    for n in (96, 64, 64):
        labels = torch.arange(n) % 3
        images = torch.rand(n, 3, 16, 16)
        images[torch.arange(n), labels] += 1
        parts.append(DataLoader(TensorDataset(images, labels), batch_size=32))
    return parts


def two_loaders():
    """One too few."""
    return make_loaders()[:2]


def many_classes():
    """Labels that the network has no outputs for."""
    batch = (torch.rand(8, 3, 16, 16), torch.arange(8))
    return [batch], [batch], [batch]


def gray_images():
    """Images with one channel."""
    batch = (torch.rand(8, 1, 16, 16), torch.zeros(8, dtype=torch.long))
    return [batch], [batch], [batch]


def features() -> nn.Module:
    """A network without a head."""
    return make_net()[:4]


def broken():
    """Raises."""
    raise KeyError("no such key")


a_number = 3
