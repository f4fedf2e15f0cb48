"""Winograd convolutions in float32 (`f32`) and in int16 (`s16`)."""
