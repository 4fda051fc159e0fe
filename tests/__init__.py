"""The tests compute with the product's kernels, so that their bits can be compared with those of its processes."""

import os

from churn.runtime import KERNELS_OF_V3, SAME_BYTES_ON, platform_name

if platform_name() == SAME_BYTES_ON:
    os.environ.update(KERNELS_OF_V3)  # before a test imports numpy
