"""2:4 masks against a search through all choices, on the axis that the hardware groups."""

from itertools import combinations

import pytest
import torch
from torch import nn

from tutorial_utils.errors import InputError
from tutorial_utils.models import resnet8
from tutorial_utils.pruning import mask_2_of_4, masks_2_of_4, sparsity_of


def best_of_all_choices(weight):
    """Try all six ways to keep two of four input channels, at each place of the kernel."""
    mask = torch.zeros_like(weight, dtype=torch.bool)
    n_out, n_in, *kernel = weight.shape
    flat, out = weight.reshape(n_out, n_in, -1), mask.view(n_out, n_in, -1)
    for o in range(n_out):
        for place in range(flat.shape[2]):
            for first in range(0, n_in, 4):
                group = flat[o, first : first + 4, place].abs()
                kept = max(combinations(range(4), 2), key=lambda pair: group[list(pair)].sum())
                out[o, [first + i for i in kept], place] = True
    return mask


@pytest.mark.parametrize("shape", [(3, 8), (5, 4, 1, 1), (3, 8, 3, 3), (2, 12, 1, 5), (2, 4, 3)])
def test_mask_keeps_as_much_as_the_best_of_all_choices(shape):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(mask_2_of_4(weight), best_of_all_choices(weight))


def test_groups_are_four_channels_at_one_place_of_the_kernel():
    weight = torch.ones(1, 4, 1, 2)
    weight[0, :, 0, 0] = torch.tensor([1.0, -4.0, 3.0, 2.0])
    weight[0, :, 0, 1] = torch.tensor([9.0, 8.0, 7.0, -6.0])
    mask = mask_2_of_4(weight)
    assert mask[0, :, 0, 0].tolist() == [False, True, True, False]
    assert mask[0, :, 0, 1].tolist() == [True, True, False, False]


def test_it_is_the_pattern_of_the_product_over_channels_last_columns():
    """As a GPU computes it: rows of (kernel row, kernel column, channel), two of each four zero."""
    conv = nn.Conv2d(8, 6, 3, padding=1)
    rows = mask_2_of_4(conv.weight.to(memory_format=torch.channels_last))
    groups = rows.permute(0, 2, 3, 1).reshape(-1, 4)
    assert (groups.sum(1) == 2).all()
    assert not (rows.reshape(-1, 4).sum(1) == 2).all()  # along the kernel it is none


def test_memory_format_does_not_matter():
    weight = torch.randn(4, 8, 3, 3, generator=torch.Generator().manual_seed(1))
    last = weight.to(memory_format=torch.channels_last)
    assert torch.equal(mask_2_of_4(weight), mask_2_of_4(last))


def test_of_equal_weights_the_first_go():
    assert mask_2_of_4(torch.ones(1, 4)).tolist() == [[False, False, True, True]]


def test_layers_without_four_inputs_stay_dense():
    model = resnet8(width=4)
    masks = masks_2_of_4(model, skip=["fc"])
    dense = {"conv", "fc"}
    assert (
        set(masks)
        == {name for name, module in model.named_modules() if isinstance(module, nn.Conv2d)} - dense
    )
    assert sparsity_of(masks) == 0.5


def test_what_has_no_groups_of_four_is_refused():
    with pytest.raises(InputError, match=r"\(16, 3, 3, 3\).*multiple of 4.*dense"):
        mask_2_of_4(torch.randn(16, 3, 3, 3))
    with pytest.raises(InputError, match=r"\(2, 6, 2, 2\)"):  # 24 inputs, of 6 channels
        mask_2_of_4(torch.randn(2, 6, 2, 2))
    with pytest.raises(InputError, match=r"\(8,\)"):
        mask_2_of_4(torch.randn(8))
    with pytest.raises(InputError, match="NaN"):
        mask_2_of_4(torch.tensor([[1.0, 2.0, 3.0, float("nan")]]))
    with pytest.raises(InputError, match="Conv2d: no layer has a multiple of 4"):
        masks_2_of_4(nn.Conv2d(8, 8, 3, groups=8))
