"""Files that outlive a run: whole or not there, and what was written or refused."""

from tutorial_utils.storage.files import cache_dir, replacing
from tutorial_utils.storage.tensors import cached_tensors, read_tensors, write_tensors
