"""What a compressed model costs, what it is worth, and what the figures prove.

The model may be a plain module, a pruned one, an eager quantized one or an exported int8 graph.
Everything is counted from what would be saved (its state dict) or observed while it runs.
"""

from tutorial_utils.measuring.by_type import time_by_type
from tutorial_utils.measuring.clustered import accuracy_interval, paired_accuracy
from tutorial_utils.measuring.counts import (
    compressed_bytes,
    count_by_layer,
    count_macs,
    count_nonzero,
    count_params,
    size_bytes,
)
from tutorial_utils.measuring.machine import describe_machine
from tutorial_utils.measuring.measurement import Measurement, measure, measure_in_turns
from tutorial_utils.measuring.peak import peak_bytes
from tutorial_utils.measuring.prediction import correct_answers, evaluate, predict
from tutorial_utils.measuring.roofline import (
    LayerSpeed,
    Roofline,
    measure_layers,
    measure_roofline,
)
from tutorial_utils.measuring.statistics import (
    Difference,
    agreement,
    calibration_error,
    paired_difference,
    pareto_front,
    wilson_interval,
)
from tutorial_utils.measuring.tables import comparison_table, seeds_table, table
from tutorial_utils.measuring.timing import (
    Latency,
    SpeedUp,
    Timer,
    fastest_ms,
    measure_latency,
    speed_up,
    time_in_turns,
)
