"""Fewer numbers: single weights, or whole channels, and what is gained when they are gone.

A mask sets single weights to zero (`make_masks`, `prune_gradually`); a sparse format or
`deep_compression` turns the zeros into saved bytes. Removing channels makes the layers themselves
smaller: by hand from a chain of two (`remove_channels`), or from a whole network, where layers
share channels (`prune_channels`, `prune_to_macs`).
"""

from tutorial_utils.pruning.batch_norm import reestimate_batch_norm_
from tutorial_utils.pruning.channels import (
    channel_scores,
    mask_channels,
    remove_channels,
    taylor_scores,
)
from tutorial_utils.pruning.coded_weights import CodedWeight, coded_weights
from tutorial_utils.pruning.deep_compression import (
    fixed_bytes,
    pack,
    share_weights,
    share_weights_,
    simplify_batch_norm_,
    unpack_,
)
from tutorial_utils.pruning.huffman import (
    Stream,
    code_words,
    huffman_decode,
    huffman_encode,
    huffman_lengths,
    positions,
    zero_runs,
)
from tutorial_utils.pruning.masks import (
    Masks,
    apply_masks_,
    magnitude_scores,
    make_masks,
    mask_from_scores,
    masks_from_scores,
    prunable_layers,
    random_scores,
    scan_sensitivity,
    sparsity_of,
)
from tutorial_utils.pruning.networks import (
    coupled_layers,
    layers_of_channels,
    prune_channels,
    prune_to_macs,
)
from tutorial_utils.pruning.patterns import mask_2_of_4, masks_2_of_4
from tutorial_utils.pruning.schedules import (
    cubic_sparsity,
    keep_masked,
    prune_gradually,
)
from tutorial_utils.pruning.sparse_formats import (
    Bitmask,
    bitmask_decode,
    bitmask_encode,
    storage_bytes,
    to_csr,
)
from tutorial_utils.pruning.wanda import wanda_scores
from tutorial_utils.pruning.widths import prune_by_cost
