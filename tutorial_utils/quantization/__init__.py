"""Fewer bits for each number: the affine quantizer from scratch, and PT2E for whole networks.

`quantize`, `fake_quantize` and the like work on tensors. `quantize_ptq` quantizes a trained network
from some example inputs, and `best_ptq` does so with all care, for less than 8 bits. `prepare_qat`
and `finish_qat` stand before and after a training that takes the rounding into account.
"""

from tutorial_utils.quantization.affine import (
    affine_params,
    dequantize,
    fake_quantize,
    int_range,
    quantize,
)
from tutorial_utils.quantization.equalizing import equalize_, rescale_channels_
from tutorial_utils.quantization.exporting import export_graph, export_program
from tutorial_utils.quantization.half import Bfloat16, why_no_bf16
from tutorial_utils.quantization.learned import first_scale, learned_fake_quantize
from tutorial_utils.quantization.mixed import choose_bits, output_errors
from tutorial_utils.quantization.ptq import (
    best_ptq,
    count_quantized,
    float_layers,
    per_tensor_layers,
    quantize_ptq,
    quantized_layers,
)
from tutorial_utils.quantization.qat import (
    finish_qat,
    freeze_batch_norm_,
    freeze_late_,
    freeze_observers_,
    prepare_qat,
)
from tutorial_utils.quantization.quantizers import (
    default_backend,
    default_quantizer,
    why_no_int8_kernels,
)
from tutorial_utils.quantization.ranges import (
    histogram_range,
    least_squares_range,
    minmax_range,
    percentile_range,
)
from tutorial_utils.quantization.rounding import gptq
from tutorial_utils.quantization.stages import pt2e_stages
from tutorial_utils.quantization.weights import quantize_weights
from tutorial_utils.storage import load_packed, pack_bits, save_packed, unpack_bits
