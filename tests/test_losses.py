"""Likelihoods, divergences and grouped posteriors against the reference's values."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from disentangle.losses import (
    LikelihoodType,
    LossResult,
    kl_divergence_diag_gaussian,
    log_likelihood,
    total_correlation,
)
from disentangle.models._dip import covariance, distance
from disentangle.models._group import adaptive, averaged, labelled, multiplied, regroup
from disentangle.models.annealed_vae import capacity

GOLDEN = Path(__file__).parent / "golden"


def test_bernoulli_meets_the_reference(golden_losses):
    g = golden_losses
    each = log_likelihood(g["x"], g["logits"], "bernoulli")
    torch.testing.assert_close(-each.flatten(1).sum(1), g["bernoulli_per_sample"], rtol=1e-5, atol=1e-4)


def test_kl_meets_the_reference(golden_losses):
    g = golden_losses
    kl = kl_divergence_diag_gaussian(g["z_mean"], g["z_logvar"]).mean()
    torch.testing.assert_close(kl, g["kl"].reshape(()), rtol=1e-5, atol=1e-5)
    pair = kl_divergence_diag_gaussian(
        g["z_mean"], g["z_logvar"], g["z_mean_2"], g["z_logvar_2"], reduce_sum=False
    )
    # The reference's helper leaves the factor 1/2 out, which its threshold does not notice.
    torch.testing.assert_close(2 * pair, g["kl_per_point"], rtol=1e-4, atol=1e-5)


def group(mu1, mu2, log_var1, log_var2, common=averaged, label=None):
    """The grouped means and log-variances of the two posteriors."""
    four = (mu1, mu2, log_var1, log_var2)
    shared = adaptive(*four) if label is None else labelled(label, mu1.shape[1])
    (a, c), (b, d) = regroup(shared, common(*four), (mu1, log_var1), (mu2, log_var2))
    return (a, b), (c, d)


def near(ours, golden):
    torch.testing.assert_close(ours, golden, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("common", "name"), [(averaged, "gvae"), (multiplied, "mlvae")], ids=["average", "product"]
)
def test_grouped_posteriors_meet_the_reference(golden_losses, common, name):
    g = golden_losses
    four = (g["z_mean"], g["z_mean_2"], g["z_logvar"], g["z_logvar_2"])
    for ours, part in zip(common(*four), ("mean", "logvar"), strict=True):
        near(ours, g[f"{name}_{part}"])
    means, log_vars = group(*four, common)
    for i in (0, 1):
        near(means[i], g[f"ada_{name}_mean_{i + 1}"])
        near(log_vars[i], g[f"ada_{name}_logvar_{i + 1}"])
    assert torch.equal(~adaptive(*four), g["ada_kept_mask"].bool())
    kl = sum(kl_divergence_diag_gaussian(*one).mean() / 2 for one in zip(means, log_vars, strict=True))
    if name == "gvae":
        near(kl, g["ada_gvae_kl_loss"].reshape(()))


def test_labelled_posteriors_meet_the_reference(golden_losses):
    g = golden_losses
    label = g["label_index"][:, 0].long()
    four = (g["z_mean"], g["z_mean_2"], g["z_logvar"], g["z_logvar_2"])
    means, log_vars = group(*four, label=label)
    near(means[0], g["gvae_labels_mean_1"])
    near(log_vars[0], g["gvae_labels_logvar_1"])


def test_the_2019_regularisers_meet_the_reference(golden_losses):
    g = golden_losses
    mu, log_var = g["z_mean"], g["z_logvar"]
    tc = total_correlation(g["z_sampled"], mu, log_var)
    kl = kl_divergence_diag_gaussian(mu, log_var).mean()
    near(tc, g["tc"].reshape(()))
    near(kl + 5 * tc, g["betatc_reg_beta6"].reshape(()))
    cov = covariance(mu)
    near(cov, g["cov_z_mean"])
    near(kl + distance(cov, 5.0, 50.0), g["dip_i_reg_lod5_f10"].reshape(()))
    second = cov + torch.diag(log_var.exp().mean(0))
    near(kl + distance(second, 5.0, 5.0), g["dip_ii_reg_lod5_f1"].reshape(()))
    for step in (30_000, 200_000):
        near(capacity(25.0, torch.tensor(float(step)), 100_000), g[f"anneal_c25_step{step}"].reshape(()))


@given(st.integers(0, 2**31), st.integers(2, 20), st.integers(1, 6))
def test_total_correlation_is_that_of_its_definition(seed, n, dims):
    rng = torch.Generator().manual_seed(seed)
    z, mu, log_var = (torch.randn(n, dims, generator=rng, dtype=torch.float64) for _ in range(3))
    density = torch.distributions.Normal(mu, (log_var / 2).exp())
    each = torch.stack([density.log_prob(one).exp() for one in z])  # (of z, of the posterior, D)
    expected = (each.prod(2).sum(1).log() - each.sum(1).log().sum(1)).mean()
    torch.testing.assert_close(total_correlation(z, mu, log_var), expected)


numbers = st.floats(-200, 80, width=32)


@given(
    st.lists(st.tuples(numbers, numbers), min_size=2, max_size=6),
    st.floats(0, 100, width=32),
    st.sampled_from([averaged, multiplied]),
)
def test_grouping_is_finite_and_so_are_its_gradients(log_vars, shift, common):
    log_var1, log_var2 = (torch.tensor([v], requires_grad=True) for v in zip(*log_vars, strict=True))
    mu1 = torch.zeros(1, len(log_vars), requires_grad=True)
    mu2 = torch.full((1, len(log_vars)), float(shift), requires_grad=True)
    (a, b), (c, d) = group(mu1, mu2, log_var1, log_var2, common)
    total = (a + b + c + d).sum()
    total.backward()
    assert torch.isfinite(total)
    assert all(torch.isfinite(t.grad).all() for t in (mu1, mu2, log_var1, log_var2))


def test_grouping_at_log_var_minus_120_where_variances_underflow():
    log_var = torch.full((1, 3), -120.0, requires_grad=True)
    mu = torch.zeros(1, 3)
    (_, _), (shared, _) = group(mu, mu, log_var, log_var * 1)
    shared.sum().backward()
    torch.testing.assert_close(shared, torch.full((1, 3), -120.0))
    torch.testing.assert_close(log_var.grad, torch.ones(1, 3))


def test_equal_divergences_share_everything_and_one_change_is_kept():
    zeros = torch.zeros(2, 4)
    moved = zeros.clone()
    moved[1, 2] = 3.0
    mask = adaptive(zeros, moved, zeros, zeros)
    assert mask.tolist() == [[True] * 4, [True, True, False, True]]


def test_gaussian_has_unit_variance_and_no_constant():
    value = log_likelihood(torch.tensor([1.0]), torch.tensor([3.0]))
    assert value.item() == -2.0


@pytest.mark.parametrize("name", ["gaussian", "GAUSSIAN", "Gaussian", LikelihoodType.GAUSSIAN])
def test_likelihood_names_in_any_case(name):
    assert LikelihoodType(name) is LikelihoodType.GAUSSIAN


@pytest.mark.parametrize("name", ["poisson", "", 3, None])
def test_unknown_likelihood_is_refused_with_its_name(name):
    with pytest.raises(ValueError, match="expected 'gaussian' or 'bernoulli'"):
        log_likelihood(torch.zeros(1), torch.zeros(1), name)


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"x \(2, 3\) and x_hat \(3, 2\)"):
        log_likelihood(torch.zeros(2, 3), torch.zeros(3, 2))
    with pytest.raises(ValueError, match=r"log_var_q must have the shape of mu_q \(2, 3\), got \(2, 2\)"):
        kl_divergence_diag_gaussian(torch.zeros(2, 3), torch.zeros(2, 2))


@given(st.integers(1, 5), st.integers(0, 2**31))
def test_kl_is_zero_on_itself_and_never_negative(dims, seed):
    rng = torch.Generator().manual_seed(seed)
    mu, log_var, other = (torch.randn(3, dims, generator=rng, dtype=torch.float64) for _ in range(3))
    assert torch.allclose(
        kl_divergence_diag_gaussian(mu, log_var, mu, log_var), torch.zeros(3, dtype=torch.float64)
    )
    assert (kl_divergence_diag_gaussian(mu, log_var, other, log_var * 0.5) >= 0).all()


def test_a_missing_half_of_p_is_the_standard_normal():
    mu, log_var = torch.randn(2, 3), torch.randn(2, 3)
    zero = torch.zeros(2, 3)
    full = kl_divergence_diag_gaussian(mu, log_var, zero, zero)
    torch.testing.assert_close(kl_divergence_diag_gaussian(mu, log_var, mu_p=zero), full)
    torch.testing.assert_close(kl_divergence_diag_gaussian(mu, log_var, log_var_p=zero), full)


def test_results_print_shapes_not_values():
    result = LossResult(torch.ones(()), {"elbo": torch.ones(())})
    assert repr(result) == (
        "LossResult(objective=Tensor(shape=(), dtype=torch.float32), "
        "diagnostics={'elbo': Tensor(shape=(), dtype=torch.float32)})"
    )


@pytest.fixture(scope="module")
def golden_losses():
    with np.load(GOLDEN / "tf_losses.npz") as archive:
        return {name: torch.from_numpy(np.asarray(archive[name])) for name in archive.files}
