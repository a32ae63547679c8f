"""The losses against values worked out by hand."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from modeling_ecgscan.losses_ecgscan import (
    all_volumes,
    equal_rows,
    height_loss,
    implied_pairs,
    lead_residuals,
    pairwise_loss,
    reconstruction_loss,
    snr_loss,
    soft_lead_loss,
    volume,
    volume_loss,
)
from processing.leads import LEAD_LAWS, limb_leads_from

ONE = torch.tensor(1.0)


def axes(*indices: int) -> list[torch.Tensor]:
    return [F.one_hot(torch.tensor([index]), 4).float() for index in indices]


def lawful_signal(samples: int = 200) -> torch.Tensor:
    free = np.random.default_rng(0).normal(size=(8, samples)).astype(np.float32)
    return torch.from_numpy(np.concatenate([limb_leads_from(free[0], free[1]), free[2:]]))[None]


def test_the_volume_of_an_orthonormal_triple_is_one():
    assert volume(*axes(0, 1, 2)).item() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_volume_of_a_collinear_triple_is_zero_with_a_finite_gradient(sign):
    first, second, third = (vector.clone().requires_grad_() for vector in axes(0, 0, 0))
    value = volume(sign * first, second, third)
    value.sum().backward()
    assert value.item() == pytest.approx(0.0, abs=1e-6)
    assert all(torch.isfinite(vector.grad).all() for vector in (first, second, third))


def test_the_volume_is_the_area_of_two_times_the_distance_of_the_third():
    # signal and text 60 degrees apart, the image 30 degrees out of their plane: sin 60 * sin 30
    signal = torch.tensor([1.0, 0.0, 0.0])
    text = torch.tensor([0.5, math.sqrt(3) / 2, 0.0])
    image = torch.tensor([math.cos(math.pi / 6), 0.0, 0.5])
    assert volume(image, signal, text).item() == pytest.approx(math.sqrt(3) / 4, abs=1e-4)


def test_all_volumes_are_those_of_every_image_with_every_pair_in_low_precision_too():
    generator = torch.Generator().manual_seed(0)
    image, signal, text = (F.normalize(torch.randn(n, 8, generator=generator), dim=-1) for n in (4, 3, 3))
    expected = volume(image[:, None], signal[None], text[None])
    assert torch.allclose(all_volumes(image, signal, text), expected, atol=1e-5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.allclose(all_volumes(image, signal, text), expected, atol=1e-5)


@pytest.mark.parametrize("size", [2, 5])
def test_contrast_of_zero_embeddings_is_the_logarithm_of_the_batch(size):
    zeros = torch.zeros(size, 8)
    assert pairwise_loss(zeros, zeros, ONE * 10).item() == pytest.approx(math.log(size), abs=1e-6)
    assert volume_loss(zeros, zeros, zeros, ONE * 10).item() == pytest.approx(math.log(size), abs=1e-6)


def test_contrast_of_a_two_by_two_case_is_the_value_on_paper():
    first = torch.eye(2)
    second = torch.tensor([[0.8, 0.6], [0.6, 0.8]])
    # logits 0.8 on the diagonal and 0.6 beside it, both ways
    expected = math.log(1 + math.exp(0.6 - 0.8))
    assert pairwise_loss(first, second, ONE).item() == pytest.approx(expected, abs=1e-6)


def test_excluded_pairs_are_no_negatives():
    vectors = F.normalize(torch.randn(3, 8, generator=torch.Generator().manual_seed(0)), dim=-1)
    others = ~torch.eye(3, dtype=torch.bool)
    for smoothing in (0.0, 0.1):
        assert pairwise_loss(vectors, vectors, ONE * 5, others, smoothing).item() == pytest.approx(0.0, abs=1e-5)


def test_excluding_nothing_changes_nothing():
    first, second = (F.normalize(torch.randn(4, 8), dim=-1) for _ in range(2))
    nothing = torch.zeros(4, 4, dtype=torch.bool)
    for smoothing in (0.0, 0.1):
        plain = pairwise_loss(first, second, ONE * 5, None, smoothing)
        assert torch.allclose(plain, pairwise_loss(first, second, ONE * 5, nothing, smoothing), atol=1e-6)


def test_equal_texts_are_found_as_false_negatives():
    found = equal_rows(torch.tensor([7, 8, 7]))
    assert found.tolist() == [[False, False, True], [False, False, False], [True, False, False]]


def test_a_text_that_is_also_true_of_another_sample_is_no_negative_for_it():
    facts = torch.tensor([[1, 1, 0], [1, 0, 0], [0, 0, 1]], dtype=torch.bool)
    said = torch.tensor([[1, 1, 0], [1, 0, 0], [0, 0, 0]], dtype=torch.bool)
    # text 1 says fact 0, which sample 0 has too; text 0 says more than sample 1 has; text 2 says nothing known
    assert implied_pairs(facts, said).nonzero().tolist() == [[0, 1]]


def test_lead_laws_are_those_of_the_processing_package():
    from modeling_ecgscan.losses_ecgscan import LIMB_LAWS

    assert tuple(LEAD_LAWS.values()) == LIMB_LAWS


def test_a_lawful_recording_has_no_residual():
    signal = lawful_signal()
    residuals, weights = lead_residuals(signal, torch.ones_like(signal))
    assert residuals.abs().max() < 1e-5
    assert weights.min() == 1
    assert soft_lead_loss(signal, torch.ones_like(signal)).item() == pytest.approx(0.0, abs=1e-6)


def test_an_offset_in_one_lead_shows_as_that_offset():
    signal = lawful_signal()
    signal[:, 2] += 0.3  # III takes part in the first law only
    residuals, _ = lead_residuals(signal, torch.ones_like(signal))
    assert residuals.mean(-1)[0].tolist() == pytest.approx([0.3, 0, 0, 0, 0], abs=1e-5)
    # smooth L1 beyond beta: |r| - beta / 2, in one law of five
    expected = (0.3 - 0.05 / 2) / 5
    assert soft_lead_loss(signal, torch.ones_like(signal)).item() == pytest.approx(expected, abs=1e-5)


def test_swapping_two_limb_leads_breaks_a_law():
    signal = lawful_signal()
    signal = signal[:, [0, 1, 2, 3, 5, 4, *range(6, 12)]]
    assert soft_lead_loss(signal, torch.ones_like(signal)) > 0.05


@pytest.mark.parametrize("shown", [[], [0, 4], [6, 7, 8]], ids=["nothing", "no whole law", "chest leads"])
def test_where_no_law_holds_the_loss_and_its_gradient_are_zero(shown):
    signal = torch.randn(1, 12, 50).requires_grad_()
    weight = torch.zeros(1, 12, 50)
    weight[:, shown] = 1
    loss = soft_lead_loss(signal, weight)
    loss.backward()
    assert loss.item() == 0
    assert signal.grad.abs().max() == 0


def test_columns_of_a_page_share_no_moment_so_only_laws_within_a_column_count():
    weight = torch.zeros(1, 12, 100)
    weight[:, :3, :50] = 1  # I, II, III in the first column
    weight[:, 3:6, 50:] = 1  # aVR, aVL, aVF in the second
    _, weights = lead_residuals(torch.zeros(1, 12, 100), weight)
    assert weights.sum(-1).tolist() == [[50, 0, 0, 0, 50]]


def test_a_flat_lead_and_unknown_samples_leave_finite_gradients():
    signal = torch.zeros(1, 12, 50)
    signal[:, :, 40:] = float("nan")
    signal.requires_grad_()
    weight = torch.ones(1, 12, 50)
    weight[:, :, 40:] = 0
    total = soft_lead_loss(signal, weight) + reconstruction_loss(torch.zeros(1, 12, 50), signal, weight)
    total = total + snr_loss(signal[0].nan_to_num(), torch.zeros(12, 50), weight[0])
    total.backward()
    assert torch.isfinite(total)
    assert torch.isfinite(signal.grad).all()


def test_reconstruction_is_smooth_l1_over_what_counts():
    target = torch.zeros(1, 2, 4)
    predicted = torch.full((1, 2, 4), 0.5)
    weight = torch.zeros(1, 2, 4)
    weight[:, 0] = 2
    assert reconstruction_loss(predicted, target, weight).item() == pytest.approx(0.5 - 0.1 / 2)


def test_the_signal_to_noise_loss_is_the_ratio_in_decibels():
    time = torch.linspace(0, 2 * math.pi, 1001)[:-1]
    target = torch.sin(time)[None]
    # error 0.1 rms against 0.5 power: 10 log10(0.01 / 0.5 + 0.001)
    loss = snr_loss(target + 0.1, target, torch.ones_like(target))
    assert loss.item() == pytest.approx(10 * math.log10(0.02 + 1e-3), abs=1e-3)


def test_the_height_loss_of_a_matching_distribution_is_its_entropy():
    bins, height, spread = 41, 20.0, 1.5
    density = torch.softmax(-0.5 * ((torch.arange(bins) - height) / spread) ** 2, dim=0)
    logits = density.log()[None, :, None]
    entropy = -(density * density.log()).sum()
    value = height_loss(logits, torch.full((1, 1), height), torch.ones(1, 1), spread)
    assert value.item() == pytest.approx(entropy.item(), abs=1e-5)


def test_columns_without_truth_do_not_count_in_the_height_loss():
    logits = torch.randn(1, 11, 3)
    height = torch.tensor([[5.0, float("nan"), 2.0]])
    weight = torch.tensor([[1.0, 0.0, 1.0]])
    expected = height_loss(logits[:, :, [0, 2]], height[:, [0, 2]], torch.ones(1, 2))
    assert torch.allclose(height_loss(logits, height, weight), expected)
