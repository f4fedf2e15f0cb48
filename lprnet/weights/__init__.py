"""The weights that ship: trained on rendered plates only, described in `MODEL_CARD.md`."""

from pathlib import Path

DEFAULT_CHECKPOINT = Path(__file__).with_name("lprnet.safetensors")
"""What every script takes where the user names no checkpoint."""

DISTILLED = Path(__file__).with_name("distilled")
"""Pruned networks that were trained before (`lprnet/compression/distill/result.py`)."""

STRUCTURED_WIDTHS = Path(__file__).with_name("structured_widths.json")
"""Channels that structured pruning keeps (`lprnet/compression/prune/recorded_widths.py`)."""
