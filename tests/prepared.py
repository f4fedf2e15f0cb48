"""What a build gives its compiler, prepared as a build does it."""

from lprnet.compression.variants import prepare
from lprnet.model.subnormals import subnormals_as_zero

prepared = subnormals_as_zero()(prepare)
"""`prepare` as `lprnet.build.build` calls it. Quantization and pruning take half a minute of CPU
time, so tests call it through `SharedResults`.
"""
