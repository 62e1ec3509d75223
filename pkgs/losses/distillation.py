"""Losses of a student against its teachers: probabilities (soft labels), features, standard deviations.

z are the student's logits, q the soft label, T the temperature:

    p^T = softmax(z / T),    q^T = q^(1/T), renormalised over the classes

Soft labels are targets: no gradient flows into them. `seen` leaves pixels out, such as those outside a scan.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pkgs.losses.loss_sum import LossSum, check_equal, summed


def soft_mse_map(logits_BK: Tensor, soft_BK: Tensor, *, temperature: float = 1.0) -> Tensor:
    r"""Return the squared distance of the probabilities per pixel: sum_c (p^T_c - q^T_c)^2, without T^2.

    Args:
        logits_BK: [B, K, *space], before the softmax. Receives the gradient.
        soft_BK: [B, K, *space], sums to 1 over K.
        temperature: T, > 0; 1 compares the plain probabilities.

    Returns:
        [B, *space].

    Raises:
        ValueError: If the shapes differ or T is not positive.

    Source: Noothout et al. 2022, J. Med. Imaging 9(5):052407 (sum over classes of the mean squared distance).
    """
    target = soften(soft_BK, temperature=temperature, like=logits_BK)
    return torch.square(F.softmax(logits_BK / temperature, dim=1) - target).sum(dim=1)


def soft_kl_map(logits_BK: Tensor, soft_BK: Tensor, *, temperature: float = 1.0) -> Tensor:
    r"""Return the divergence of the student from the teacher per pixel.

        T^2 sum_c q^T_c (log q^T_c - log p^T_c)

    T^2 keeps the size of the gradient nearly independent of T. Arguments and errors as `soft_mse_map`.

    Source: Hinton, Vinyals and Dean 2015, arXiv:1503.02531, section 2.
    """
    target = soften(soft_BK, temperature=temperature, like=logits_BK)
    entropy: Tensor = -torch.special.xlogy(target, target).sum(dim=1)
    return soft_cross_entropy_map(logits_BK, soft_BK, temperature=temperature) - temperature**2 * entropy


def soft_cross_entropy_map(logits_BK: Tensor, soft_BK: Tensor, *, temperature: float = 1.0) -> Tensor:
    r"""Return the cross-entropy with soft labels per pixel: T^2 sum_c -q^T_c log p^T_c.

    The same gradient as `soft_kl_map`. Arguments, shapes and errors as `soft_mse_map`.

    Source: Hinton, Vinyals and Dean 2015, arXiv:1503.02531, section 2.
    """
    target = soften(soft_BK, temperature=temperature, like=logits_BK)
    return -(temperature**2) * (target * F.log_softmax(logits_BK / temperature, dim=1)).sum(dim=1)


def soft_mse_sum(
    logits_BK: Tensor, soft_BK: Tensor, *, temperature: float = 1.0, seen: Tensor | None = None
) -> LossSum:
    """Return the sum of `soft_mse_map` and the number of pixels."""
    return _pixels(soft_mse_map(logits_BK, soft_BK, temperature=temperature), seen)


def soft_kl_sum(
    logits_BK: Tensor, soft_BK: Tensor, *, temperature: float = 1.0, seen: Tensor | None = None
) -> LossSum:
    """Return the sum of `soft_kl_map` and the number of pixels."""
    return _pixels(soft_kl_map(logits_BK, soft_BK, temperature=temperature), seen)


def soft_cross_entropy_sum(
    logits_BK: Tensor, soft_BK: Tensor, *, temperature: float = 1.0, seen: Tensor | None = None
) -> LossSum:
    """Return the sum of `soft_cross_entropy_map` and the number of pixels."""
    return _pixels(soft_cross_entropy_map(logits_BK, soft_BK, temperature=temperature), seen)


def feature_mse_sum(student: Tensor, teacher: Tensor) -> LossSum:
    r"""Return the summed squared distance of two feature maps, and the number of their elements.

    Args:
        student: Any shape. Receives the gradient.
        teacher: The same shape; taken as a constant.

    Raises:
        ValueError: If the shapes differ.

    Source: Romero et al. 2015, arXiv:1412.6550, equation 3, without a regressor.
    """
    check_equal(student, teacher, names=("Student's features", "teacher's features"))
    total = (student - teacher.detach()).square().sum()
    return LossSum(total, student.new_tensor(float(student.numel())))


def std_mse_sum(std_logits_BK: Tensor, std_BK: Tensor, *, seen: Tensor | None = None) -> LossSum:
    r"""Return the summed squared distance of predicted standard deviations, and the number of pixels.

        sum_pixels sum_c (softplus(u_c) - s_c)^2

    Args:
        std_logits_BK: u [B, K, *space], any value. Receives the gradient.
        std_BK: s [B, K, *space], standard deviation of the teachers' probabilities, 0 ... 0.5.
        seen: [B, *space], true where a pixel counts; None: everywhere.

    Raises:
        ValueError: If the shapes differ.

    Source: Noothout et al. 2022; softplus, because a deviation is no share.
    """
    check_equal(std_logits_BK, std_BK, names=("Std logits", "standard deviations"))
    return _pixels((F.softplus(std_logits_BK) - std_BK.detach()).square().sum(dim=1), seen)


def two_classes(logits_B1: Tensor) -> Tensor:
    """Return [B, 2, *space] whose softmax is (1 - p, p) with p = sigmoid(logits): for the losses above."""
    return torch.cat([torch.zeros_like(logits_B1), logits_B1], dim=1)


def soften(soft_BK: Tensor, *, temperature: float, like: Tensor) -> Tensor:
    """Return q^T, detached; `like` are the logits that it will meet.

    Raises:
        ValueError: If the shapes differ or T is not positive.
    """
    if not temperature > 0:
        raise ValueError(f"The temperature is {temperature:g}; expected a number above 0.")
    check_equal(like, soft_BK, names=("Logits", "soft labels"))
    target = soft_BK.detach().to(like.dtype)
    if temperature == 1:
        return target
    raised = target.pow(1 / temperature)
    return raised / raised.sum(dim=1, keepdim=True)


def _pixels(each: Tensor, seen: Tensor | None) -> LossSum:
    if seen is None:
        return LossSum(each.sum(), each.new_tensor(float(each.numel())))
    check_equal(each, seen, names=("Losses per pixel", "seen"))
    return summed(each, seen)
