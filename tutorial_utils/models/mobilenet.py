"""A small mobile network: inverted residuals with depthwise convolutions, in plain PyTorch."""

from torch import Tensor, nn

from tutorial_utils.errors import InputError


class InvertedResidual(nn.Module):
    """Widen by a 1x1 convolution, filter each channel by itself, narrow again, without a ReLU.

    Args:
        n_in, n_out: channels of the input and the output.
        stride: of the depthwise convolution. With stride 1 and `n_in == n_out` there is a shortcut.
        expansion: how many times wider the middle is than the input.
    """

    def __init__(self, n_in: int, n_out: int, stride: int, expansion: int = 4):
        super().__init__()
        n_mid = expansion * n_in
        self.expand = nn.Conv2d(n_in, n_mid, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_mid)
        self.relu1 = nn.ReLU()
        self.depthwise = nn.Conv2d(
            n_mid, n_mid, 3, stride=stride, padding=1, groups=n_mid, bias=False
        )
        self.bn2 = nn.BatchNorm2d(n_mid)
        self.relu2 = nn.ReLU()
        self.project = nn.Conv2d(n_mid, n_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(n_out)
        self.has_shortcut = stride == 1 and n_in == n_out

    def forward(self, inputs: Tensor) -> Tensor:
        out = self.relu1(self.bn1(self.expand(inputs)))
        out = self.relu2(self.bn2(self.depthwise(out)))
        out = self.bn3(self.project(out))
        return inputs + out if self.has_shortcut else out


class MobileNet(nn.Module):
    """A MobileNetV2 for small images: a stem, three stages of two blocks, one linear layer.

    The stem and the second and third stages halve the resolution.

    Args:
        n_classes: outputs.
        width: channels of the first stage; the others have 2 and 4 times as many.

    Source: Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks (2018), table 2,
    shortened, and with ReLU where they have ReLU6: it lets the factors of `equalize_` pass.
    """

    def __init__(self, n_classes: int = 10, width: int = 16):
        super().__init__()
        if width < 1 or n_classes < 2:
            raise InputError(
                f"width={width}, n_classes={n_classes}: expected a width of at least 1 "
                "and at least 2 classes"
            )
        self.conv = nn.Conv2d(3, width, 3, stride=2, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.stage1 = make_mobile_stage(width, width, stride=1)
        self.stage2 = make_mobile_stage(width, 2 * width, stride=2)
        self.stage3 = make_mobile_stage(2 * width, 4 * width, stride=2)
        self.head = nn.Conv2d(4 * width, 8 * width, 1, bias=False)
        self.bn_head = nn.BatchNorm2d(8 * width)
        self.relu_head = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8 * width, n_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, inputs: Tensor) -> Tensor:
        out = self.relu(self.bn(self.conv(inputs)))
        out = self.stage3(self.stage2(self.stage1(out)))
        out = self.relu_head(self.bn_head(self.head(out)))
        return self.fc(self.pool(out).flatten(1))


def make_mobile_stage(n_in: int, n_out: int, stride: int) -> nn.Sequential:
    """Return two blocks, of which the first changes the number of channels and the size."""
    return nn.Sequential(InvertedResidual(n_in, n_out, stride), InvertedResidual(n_out, n_out, 1))


def mobilenet(n_classes: int = 10, width: int = 16) -> MobileNet:
    """Return an untrained `MobileNet`.

    >>> sum(weight.numel() for weight in mobilenet().parameters())
    80218
    >>> import torch
    >>> mobilenet(width=4)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """
    return MobileNet(n_classes, width)
