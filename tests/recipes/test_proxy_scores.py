import numpy as np

from curricle.recipes.proxy_scores import best_checkpoint, proxy_scores, whole_losses

LOSSES = np.array([[5.0, 4.0, 6.0], [3.0, 3.5, 2.0], [2.0, 3.0, 4.0], [1.0, 4.0, 3.0]])


def test_scores_are_what_their_names_say() -> None:
    found = proxy_scores(LOSSES, best=2)
    np.testing.assert_allclose(found["learnability"], [3.0, 0.5, 3.0])
    np.testing.assert_array_equal(found["final_loss"], LOSSES[3])
    np.testing.assert_array_equal(found["irreducible_loss"], LOSSES[2])
    np.testing.assert_allclose(found["loss_variance"], np.var(LOSSES, axis=0))


def test_the_irreducible_checkpoint_is_best_on_what_it_has_not_seen() -> None:
    assert best_checkpoint(LOSSES, np.array([0])) == 3
    assert best_checkpoint(LOSSES, np.array([1])) == 2


def test_halves_weigh_as_much_as_they_have_tokens() -> None:
    draws = np.random.default_rng(0).normal(size=(4, 6, 7))
    halves = np.stack([draws[..., :3].mean(-1), draws[..., 3:].mean(-1)], axis=1)
    np.testing.assert_allclose(whole_losses(halves, 7), draws.mean(-1))
