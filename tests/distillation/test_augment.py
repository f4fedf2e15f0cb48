"""Augmentation on tensors: the generator decides, plates stay readable, pixels stay in range."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lprnet.distillation.augment import augment


@settings(max_examples=20)
@given(
    st.integers(0, 2**31),
    st.integers(1, 4),
    st.sampled_from([1, 3]),
    st.integers(3, 40),
    st.integers(3, 99),
)
def test_shape_and_range_stay(
    seed: int, count: int, channels: int, height: int, width: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, channels, height, width, generator=generator) * 2 - 1
    views = augment(images, torch.Generator().manual_seed(seed))
    assert views.shape == images.shape
    assert views.dtype == torch.float32
    assert views.abs().max() <= 1
    torch.testing.assert_close(
        augment(images, torch.Generator().manual_seed(seed)), views, rtol=0, atol=0
    )


def test_each_image_gets_a_view_of_its_own() -> None:
    image = torch.linspace(-1, 1, 94).expand(1, 3, 24, 94)
    views = augment(image.repeat(8, 1, 1, 1), torch.Generator().manual_seed(1))
    assert len({view.numpy().tobytes() for view in views}) == 8


def test_what_is_in_the_middle_stays_near_it() -> None:
    """A bright bar moves by less than an eighth of the width, and stays the brightest place."""
    images = torch.full((64, 3, 24, 96), -0.5)
    images[..., 46:50] = 1.0
    views = augment(images, torch.Generator().manual_seed(2))
    columns = views.mean(dim=(1, 2)).argmax(1)
    assert int((columns - 48).abs().max()) < 12
    assert len(set(columns.tolist())) > 3
