"""Refusing images that a network cannot take, before a layer deep inside does so in its own words."""

from __future__ import annotations

from torch import Tensor


def check_image(  # noqa: PLR0913 - all by name
    image: Tensor, *, name: str, channels: int, dims: int = 2, divisor: int = 1, least: int = 1
) -> None:
    """Refuse an image of wrong shape.

    Args:
        image: [B, channels, *space].
        name: The network's, for the message.
        channels: How many it was built for.
        dims: Axes of space.
        divisor: What each side must be divisible by.
        least: The smallest side.

    Raises:
        ValueError: Names the shape, and the nearest valid sides.
    """
    if image.ndim != dims + 2:
        raise ValueError(
            f"{name} takes images [B, C, {', '.join('DHW'[-dims:])}], got {image.ndim} axes: "
            f"{tuple(image.shape)}."
        )
    if image.shape[1] != channels:
        raise ValueError(
            f"{name} was built for {channels} channels, the image has {image.shape[1]}. Build it with "
            f"in_channels={image.shape[1]}, or convert the images."
        )
    sides = tuple(int(side) for side in image.shape[2:])
    if any(side % divisor or side < least for side in sides):
        nearest = " x ".join(str(nearest_side(side, divisor=divisor, least=least)) for side in sides)
        rules = [f"divisible by {divisor}"] * (divisor > 1) + [f"at least {least}"] * (least > 1)
        raise ValueError(
            f"{name}: sides must be {' and '.join(rules)}, got {' x '.join(map(str, sides))}. "
            f"Nearest: {nearest}."
        )


def nearest_side(side: int, *, divisor: int, least: int = 1) -> int:
    """Return the valid side nearest to `side`; the larger one if two are."""
    smallest = -(-least // divisor) * divisor
    return max((side + divisor // 2) // divisor * divisor, smallest)
