"""Compiled loops over the pixels of planes: places, neighbours, blend, one row after another.

To be imported where it is needed, as it loads numba. Places are counted from the source's edge: index + 1/2.
A row's steps are loops of their own over buffers in the first-level cache, for only the taking of neighbours
goes pixel by pixel; all others are vector instructions. A pixel depends on its sample, row and column alone,
so that rows may be shared out in any way.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, misc"
# ruff: noqa: ANN001, ANN201, ANN202, PLR0913, PLR0917 - numba finds types itself, and takes arguments by place
from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, register_jitable

from pkgs.foundation.compiled import Compiled

NEAR = 2**19
"""Bytes that the second-level cache holds along with all else."""
LINE = 64
"""Bytes that memory hands over at once."""
TOGETHER = 4
"""Columns whose pixels are read in one step; buffers of a row are as long as a multiple of it."""


@intrinsic
def take_some(context, plane, at, first, pixels):
    """Read from float32 `plane` the two pixels at each of the next `TOGETHER` numbers, as int64 each.

    One 8-byte word for two pixels and one vector for all, for the writing of each by itself took longest.
    """
    del context

    def generate(context, builder, signature, arguments):
        plane, at, pixels = (
            context.make_array(signature.args[place])(context, builder, arguments[place]).data
            for place in (0, 1, 3)
        )
        number, word = ir.IntType(32), ir.IntType(64)
        words = ir.Constant(ir.VectorType(word, TOGETHER), ir.Undefined)
        for one in range(TOGETHER):
            column = builder.add(arguments[2], ir.Constant(arguments[2].type, one))
            pixel = builder.gep(plane, [builder.zext(builder.load(builder.gep(at, [column])), word)])
            both = builder.load(builder.bitcast(pixel, word.as_pointer()))
            both.align = 4
            words = builder.insert_element(words, both, ir.Constant(number, one))
        place = builder.bitcast(builder.gep(pixels, [arguments[2]]), words.type.as_pointer())
        builder.store(words, place).align = 8
        return context.get_dummy_value()

    return types.void(plane, at, first, pixels), generate


@register_jitable
def places(matrix, offsets, sample, bent, row, x, y):
    """Write where the pixels of a row come from; return whether they are evenly spaced."""
    right, down = np.float32(matrix[0, 0]), np.float32(matrix[1, 0])
    first_x = np.float32(matrix[0, 1] * row + matrix[0, 2])
    first_y = np.float32(matrix[1, 1] * row + matrix[1, 2])
    straight = matrix[2, 0] == 0 and matrix[2, 1] == 0 and matrix[2, 2] == 1
    if straight:
        for c in range(np.int32(len(x))):
            x[c] = first_x + right * np.float32(c)
            y[c] = first_y + down * np.float32(c)
    else:
        for c in range(np.int32(len(x))):
            below = matrix[2, 0] * c + matrix[2, 1] * row + matrix[2, 2]
            x[c] = (matrix[0, 0] * c + matrix[0, 1] * row + matrix[0, 2]) / below
            y[c] = (matrix[1, 0] * c + matrix[1, 1] * row + matrix[1, 2]) / below
    if bent:
        for c in range(offsets.shape[3]):
            x[c] += offsets[sample, 0, row, c]
            y[c] += offsets[sample, 1, row, c]
    return straight and not bent


@register_jitable
def fold(x, side, even):
    """Bring places to within one mirror image of the source, unless their ends show that they are."""
    far, last = np.float32(2 * side), len(x) - 1
    if even and min(x[0], x[last]) >= -side and max(x[0], x[last]) <= 2 * side:
        return
    for c in range(len(x)):
        x[c] -= far * np.floor(x[c] / far)


@register_jitable
def mirrored_cells(x, y, at, height, width, stride):
    """Mirror places at the edges; split them into the number of the cell's first pixel and fractions."""
    right, low = np.int32(max(width - 2, 0)), np.int32(max(height - 2, 0))
    for c in range(len(x)):
        p, q = mirrored(x[c], np.float32(width)), mirrored(y[c], np.float32(height))
        i, j = min(np.int32(p), right), min(np.int32(q), low)
        x[c], y[c], at[c] = p - np.float32(i), q - np.float32(j), j * np.int32(stride) + i


@register_jitable
def mirrored(p, side):
    """Return a place as index of a pixel, 0 .. side - 1; NaN becomes one of these too."""
    p = abs(p)
    p = min(p, side + side - p) - np.float32(0.5)
    p = p if p > np.float32(0) else np.float32(0)
    return min(p, side - np.float32(1))


@register_jitable
def clipped_cells(x, y, cell_x, cell_y, at, height, width, stride):
    """Split places into cell, -1 .. side, and fraction; likewise the number of a first pixel that exists."""
    right, low, zero = np.int32(width - 2), np.int32(height - 2), np.int32(0)
    for c in range(len(x)):
        p, q = clipped(x[c], np.float32(width)), clipped(y[c], np.float32(height))
        i, j = np.int32(np.floor(p)), np.int32(np.floor(q))
        x[c], y[c], cell_x[c], cell_y[c] = p - np.float32(i), q - np.float32(j), i, j
        at[c] = max(min(j, low), zero) * np.int32(stride) + max(min(i, right), zero)


@register_jitable
def clipped(p, side):
    """Return a place as index of a pixel; what touches none is at `side`, where no neighbour exists."""
    p -= np.float32(0.5)
    return p if p > np.float32(-1) and p < side else side


@register_jitable
def take(plane, at, pixels):
    """Read the two pixels at each number."""
    for first in range(0, len(at), TOGETHER):
        take_some(plane, at, first, pixels)


@register_jitable
def blend(above, below, x, y, out):
    """Interpolate between the four pixels of each cell."""
    for c in range(len(out)):
        left, right = above[2 * c], above[2 * c + 1]
        upper = left + x[c] * (right - left)
        left, right = below[2 * c], below[2 * c + 1]
        lower = left + x[c] * (right - left)
        out[c] = upper + y[c] * (lower - upper)


@register_jitable
def blend_into(above, below, x, y, out, cell_x, cell_y, last_x, last_y, outside):
    """Interpolate likewise where pixels beyond the border have the value `outside`.

    A cell at the border has been read a pixel further inside: what is its right may have come as its left.
    """
    for c in range(len(out)):
        i, j = cell_x[c], cell_y[c]
        left, right = above[2 * c], above[2 * c + 1]
        first, second = right if i == last_x else left, left if i < 0 else right
        first, second = outside if i < 0 or i > last_x else first, outside if i >= last_x else second
        upper = first + x[c] * (second - first)
        left, right = below[2 * c], below[2 * c + 1]
        first, second = right if i == last_x else left, left if i < 0 else right
        first, second = outside if i < 0 or i > last_x else first, outside if i >= last_x else second
        lower = first + x[c] * (second - first)
        first, second = lower if j == last_y else upper, upper if j < 0 else lower
        first, second = outside if j < 0 or j > last_y else first, outside if j >= last_y else second
        out[c] = first + y[c] * (second - first)


@register_jitable
def touch(planes):
    """Read a small source in the order in which memory is fast: its rows are read askew afterwards.

    The sum must be put to some use, or the compiler leaves the reading out.
    """
    total = np.uint8(0)
    if planes.nbytes <= NEAR:
        codes = planes.reshape(-1).view(np.uint8)
        for byte in range(0, len(codes), LINE):
            total |= codes[byte]
    return total


@register_jitable
def number_inside(x, y, at, height, width):
    """Write the number of the pixel in which each place lies, -1 outside."""
    zero, right, low, wide = np.float32(0), np.float32(width), np.float32(height), np.int32(width)
    for c in range(len(x)):
        inside = (x[c] >= zero) & (x[c] < right) & (y[c] >= zero) & (y[c] < low)
        at[c] = np.int32(y[c]) * wide + np.int32(x[c]) if inside else np.int32(-1)


@register_jitable
def pick(plane, at, outside, out):
    for c in range(len(out)):
        out[c] = plane[np.uint32(at[c])] if at[c] >= 0 else outside


@Compiled
def warp(
    images,
    labels,
    sides,
    matrix,
    offsets,
    bent,
    which,
    reflect,
    outside,
    outside_label,
    new_images,
    new_labels,
    start,
    stop,
):
    """Fill rows `start` .. `stop - 1`, counted through the samples `which`, of images and their labels.

    images: [B, C, pixels], float32, of at least 2 x 2 pixels, or no channel.
    sides: height and width, and pixels from row to row.
    labels: [B, pixels] of any whole type, which is that of `outside_label`, or no sample.
    new_images, new_labels: [B, C, rows, columns], [B, rows, columns].
    """
    height, width, stride = sides
    channels, rows, columns = new_images.shape[1:]
    padded = -(-columns // TOGETHER) * TOGETHER
    numbers, cells = np.zeros((2, columns), np.float32), np.zeros((4, padded), np.int32)
    pixels = np.zeros((2, padded), np.int64)
    x, y = numbers[0], numbers[1]
    cell_x, cell_y, at, label_at = cells[0], cells[1], cells[2], cells[3]
    above, below = pixels[0].view(np.float32), pixels[1].view(np.float32)
    touched = np.uint8(0)
    for number in range(start, stop):
        sample, row = which[number // rows], number % rows
        if number == start or row == 0:
            touched |= touch(images[sample])
        even = places(matrix[sample], offsets, sample, bent[sample], row, x, y)
        if len(labels):
            if number == start or row == 0:
                touched |= touch(labels[sample])
            number_inside(x, y, label_at, height, width)
            pick(labels[sample], label_at, outside_label, new_labels[sample, row])
        if reflect:
            fold(x, width, even)
            fold(y, height, even)
            mirrored_cells(x, y, at, height, width, stride)
        else:
            clipped_cells(x, y, cell_x, cell_y, at, height, width, stride)
        for channel in range(channels):
            plane, row_of = images[sample, channel], new_images[sample, channel, row]
            take(plane, at, pixels[0])
            take(plane[stride:], at, pixels[1])
            if reflect:
                blend(above, below, x, y, row_of)
            else:
                blend_into(above, below, x, y, row_of, cell_x, cell_y, width - 1, height - 1, outside)
    return touched
