"""The weights that ship: trained on rendered plates only, described in `MODEL_CARD.md`."""

from pathlib import Path

DEFAULT_CHECKPOINT = Path(__file__).with_name("lprnet.safetensors")
"""What every script takes where the user names no checkpoint."""
