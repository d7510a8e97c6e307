"""Knowledge distillation: a small student learns from what a larger teacher says.

`soft_target_loss` and the like compare tensors; `kd_loss` and the like make from them a
``loss(model, inputs, labels)`` for `training.fit`.
"""

from tutorial_utils.distillation.losses import (
    attention_loss,
    attention_map,
    distillation_loss,
    feature_loss,
    soft_target_loss,
)
from tutorial_utils.distillation.stored import find_labels, numbered_views, stored_kd_loss
from tutorial_utils.distillation.teaching import (
    Hinted,
    Remembering,
    ask,
    attention_transfer_loss,
    capture_features,
    hint_loss,
    kd_loss,
)
