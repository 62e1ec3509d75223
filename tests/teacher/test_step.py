"""One batch can be learned by heart."""

from __future__ import annotations

import torch

from pkgs.errormap.compat import CompatConfig
from pkgs.errormap.loss import MixedLoss, TeacherLossConfig
from pkgs.models.error_teacher import START_SHARE, build_error_teacher


def one_batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(4, 1, 32, 32, generator=generator)
    label = torch.zeros(4, 32, 32, dtype=torch.uint8)
    label[:, 8:20, 8:20] = 1
    mask = label.float().unsqueeze(1).clone()
    mask[0, :, 8:14] = 0  # a half is missed
    mask[1, :, 20:30, 20:30] = 1  # one is invented
    mask[2] = 0.8 * mask[2] + 0.1  # soft
    return image, mask, label


def test_one_batch_is_learned_by_heart() -> None:
    image, mask, label = one_batch()
    teacher = build_error_teacher("vit_error_map_light", seed=1, size_px=32, share=START_SHARE)
    loss = MixedLoss(teacher, TeacherLossConfig(), CompatConfig())
    optimiser = torch.optim.RAdam(teacher.parameters(), lr=1e-2)
    for _ in range(100):
        optimiser.zero_grad()
        sums = loss(image, mask, label)
        (sums.total / sums.weight).sum().backward()
        optimiser.step()
    told = teacher(image, mask)
    wrong = (mask[:, 0] >= 0.5) != (label == 1)
    share = told.share_B1HW[:, 0]
    assert share[wrong].mean() > 0.8
    assert share[:2][~wrong[:2]].mean() < 0.05
    means = torch.sigmoid(told.image_logits_B)
    assert means[:2].min() > means[3]
