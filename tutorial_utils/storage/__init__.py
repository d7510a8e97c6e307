"""Files that outlive a run: whole or not there, and what was written or refused."""

from tutorial_utils.storage.files import cache_dir, replacing
from tutorial_utils.storage.packed import (
    integer_weights,
    load_packed,
    pack_bits,
    save_packed,
    stored_tensors,
    unpack_bits,
)
from tutorial_utils.storage.tensors import (
    cached_tensors,
    read_tensors,
    tensor_bytes,
    write_tensors,
)
