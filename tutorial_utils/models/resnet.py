"""CIFAR-style residual networks in plain PyTorch."""

from torch import Tensor, nn

from tutorial_utils.errors import InputError


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut around them."""

    def __init__(self, n_in: int, n_out: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.relu2 = nn.ReLU()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or n_in != n_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(n_in, n_out, 1, stride=stride, bias=False), nn.BatchNorm2d(n_out)
            )

    def forward(self, inputs: Tensor) -> Tensor:
        out = self.relu1(self.bn1(self.conv1(inputs)))
        out = self.bn2(self.conv2(out))
        return self.relu2(out + self.shortcut(inputs))


class ResNet(nn.Module):
    """A ResNet for small images: a stem, three stages of blocks, one linear layer.

    It is made for 32x32 pixels. Images of other sizes work as well, because the last stage is
    averaged over whatever height and width it has; the cost grows with the number of pixels.

    Depth is `6 * n_blocks + 2`, counting the weighted layers on the main path. The stages have
    `width`, `2 * width` and `4 * width` channels; the second and third halve the resolution.
    Where the shape changes, the shortcut is a 1x1 convolution (option B of the paper).

    Args:
        n_blocks: blocks per stage.
        n_classes: outputs.
        width: channels of the first stage, 16 in the paper.

    Source: He et al., Deep Residual Learning for Image Recognition (2015), section 4.2.
    """

    def __init__(self, n_blocks: int, n_classes: int = 10, width: int = 16):
        super().__init__()
        if width < 1 or n_classes < 2:
            raise InputError(
                f"width={width}, n_classes={n_classes}: expected a width of at least 1 "
                "and at least 2 classes"
            )
        self.conv = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.stage1 = make_stage(n_blocks, width, width, stride=1)
        self.stage2 = make_stage(n_blocks, width, 2 * width, stride=2)
        self.stage3 = make_stage(n_blocks, 2 * width, 4 * width, stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(4 * width, n_classes)
        _draw_convolutions_(self)

    def forward(self, inputs: Tensor) -> Tensor:
        out = self.relu(self.bn(self.conv(inputs)))
        out = self.stage3(self.stage2(self.stage1(out)))
        return self.fc(self.pool(out).flatten(1))


def initialize_(model: nn.Module) -> nn.Module:
    """Give a network new random weights, drawn as those of a new `ResNet`, and return it.

    A network whose layers were made smaller can so be trained from the start.

    >>> model = nn.Sequential(nn.BatchNorm2d(2))
    >>> _ = nn.init.zeros_(model[0].weight)
    >>> initialize_(model)[0].weight.tolist()
    [1.0, 1.0]
    """
    for module in model.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    _draw_convolutions_(model)
    return model


def _draw_convolutions_(model: nn.Module) -> None:
    """Source: He et al., Delving Deep into Rectifiers (2015), section 2.2."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def make_stage(n_blocks: int, n_in: int, n_out: int, stride: int) -> nn.Sequential:
    """Return `n_blocks` blocks, of which the first changes the number of channels and the size."""
    first = Block(n_in, n_out, stride)
    return nn.Sequential(first, *(Block(n_out, n_out, 1) for _ in range(n_blocks - 1)))


def resnet8(n_classes: int = 10, width: int = 16) -> ResNet:
    """Return an untrained ResNet with one block per stage.

    >>> import torch
    >>> resnet8(width=4)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    >>> resnet8(width=4)(torch.zeros(2, 3, 96, 64)).shape
    torch.Size([2, 10])
    """
    return ResNet(1, n_classes, width)


def resnet20(n_classes: int = 10, width: int = 16) -> ResNet:
    """Return an untrained ResNet with three blocks per stage.

    >>> sum(weight.numel() for weight in resnet20().parameters())
    272474
    """
    return ResNet(3, n_classes, width)


def resnet56(n_classes: int = 10, width: int = 16) -> ResNet:
    """Return an untrained ResNet with nine blocks per stage."""
    return ResNet(9, n_classes, width)
