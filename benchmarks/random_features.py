"""The theory's own case: rankings at any learning rate where the tuned optimum is in closed form.

Linear regression on random ReLU features. A recipe is a distribution of data: a mixture of domains
that differ in how far their labels stray from the teacher that validation asks for, in noise, and,
in some kinds of world, in the scales of their inputs. Labels stray in one of two ways: a share of
the teacher is *replaced* by a stray teacher, or the stray teacher is *added* to all of it. Every
domain is a finite population, so that a recipe's loss is the exact quadratic
L_i(theta) = theta' H_i theta / 2 - b_i' theta + c_i and gradient descent from theta = 0 at rate e
has the closed form theta_T = sum over eigenvectors of H_i of (1 - (1 - e l)^T) / l (v' b_i) v.

To first order in e the validation loss falls by e T (gradient of the recipe's loss . gradient of
the validation loss): the alignment, which is what a tiny rate ranks by. Targets are wider, and each
recipe's target has its own tuned rate.

    python benchmarks/random_features.py     # the tables of docs/results/random-features.md

Shape suffixes: R recipes, E learning rates, P features, N samples, K domains.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

Floats = npt.NDArray[np.float64]

DIMENSIONS, DOMAINS, POPULATION, RECIPES = 16, 6, 1500, 23
STRAY = (0.0, 0.2, 0.0, 0.5, 1.0, 0.3)
"""How much of a stray teacher is in each domain's labels."""
NOISE = (0.1, 0.1, 0.5, 0.2, 0.1, 1.0)
BATCH = 8
COLUMNS = (
    "exact: rho to alignment",
    "exact: rho to target",
    "SGD: rho to target",
    "SGD: between seeds",
    "SGD: regret@1 / sd",
    "fall of the loss",
)
VALIDATION = (0.5, 0.3, 0.2, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class World:
    """Inputs (K, N, D) and labels (K, N) of every domain, held-out ones, and the recipes' weights.

    `weights` (R, K) are mixtures drawn from a Dirichlet distribution.
    """

    inputs: Floats
    labels: Floats
    held_inputs: Floats
    held_labels: Floats
    weights: Floats


@dataclass(frozen=True)
class Quadratic:
    """A mean squared error / 2 over a mixture: theta' H theta / 2 - b' theta + c."""

    hessian: Floats
    linear: Floats
    constant: float

    def loss(self, theta_EP: Floats) -> Floats:
        """The loss of every row."""
        bent = ((theta_EP @ self.hessian) * theta_EP).sum(axis=1)
        return np.asarray(bent / 2 - theta_EP @ self.linear + self.constant)

    def gradient(self, theta: Floats) -> Floats:
        """The gradient at one point."""
        return np.asarray(self.hessian @ theta - self.linear)


@dataclass(frozen=True)
class Kind:
    """What tells a kind of world: whether stray labels replace the teacher, and the spread of the
    logarithms of the inputs' scales over domains.
    """

    replaces: bool
    input_spread: float


KINDS = {
    "labels replaced, inputs alike": Kind(replaces=True, input_spread=0.0),
    "labels replaced, inputs differ": Kind(replaces=True, input_spread=0.5),
    "stray labels added, inputs alike": Kind(replaces=False, input_spread=0.0),
    "stray labels added, inputs differ": Kind(replaces=False, input_spread=0.5),
}


def make_world(seed: int, kind: Kind) -> World:
    """A smooth teacher and a stray one per domain; tanh of a projection, each."""
    random = np.random.default_rng([7, seed])
    scales = np.exp(kind.input_spread * random.normal(size=(DOMAINS, 1, DIMENSIONS)))
    teachers = random.normal(0, 1, (DOMAINS + 1, DIMENSIONS)) / np.sqrt(DIMENSIONS)

    def labelled(noise: Floats) -> tuple[Floats, Floats]:
        inputs = random.normal(size=(DOMAINS, POPULATION, DIMENSIONS)) * scales
        projected = np.tanh(np.einsum("knd,td->tkn", inputs, teachers))
        stray = np.array([projected[1 + k, k] for k in range(DOMAINS)])
        share = np.array(STRAY)[:, None]
        labels = (1 - share if kind.replaces else 1.0) * projected[0] + share * stray
        return inputs, labels + noise[:, None] * random.normal(size=labels.shape)

    inputs, labels = labelled(np.array(NOISE))
    held_inputs, held_labels = labelled(np.zeros(DOMAINS))
    weights = random.dirichlet(np.full(DOMAINS, 0.7), RECIPES)
    return World(inputs, labels, held_inputs, held_labels, weights)


def features(inputs: Floats, width: int, seed: int) -> Floats:
    """Random ReLU features (..., P), scaled so that the Hessian's size doesn't grow with P."""
    directions = np.random.default_rng([11, seed]).normal(size=(inputs.shape[-1], width))
    return np.asarray(np.maximum(inputs @ directions, 0.0) / np.sqrt(width))


def quadratics(inputs_KNP: Floats, labels_KN: Floats, weights_RK: Floats) -> list[Quadratic]:
    """Each mixture's exact loss over the populations."""
    count = labels_KN.shape[1]
    second = np.einsum("knp,knq->kpq", inputs_KNP, inputs_KNP, optimize=True) / count
    first = np.einsum("knp,kn->kp", inputs_KNP, labels_KN) / count
    square = (labels_KN**2).mean(axis=1) / 2
    return [
        Quadratic(np.einsum("k,kpq->pq", weights, second), weights @ first, float(weights @ square))
        for weights in weights_RK
    ]


def descend(loss: Quadratic, rates_E: Floats, steps: int) -> Floats:
    """Where gradient descent from 0 stands after `steps` steps, (E, P), in closed form."""
    values, vectors = np.linalg.eigh(loss.hessian)
    values = np.maximum(values, 1e-12)
    shrunk = 1 - (1 - np.outer(rates_E, values)) ** steps
    return np.asarray((shrunk / values * (vectors.T @ loss.linear)) @ vectors.T)


def alignment(recipe: Quadratic, validation: Quadratic) -> float:
    """The inner product of the two gradients at the start."""
    start = np.zeros(len(recipe.linear))
    return float(recipe.gradient(start) @ validation.gradient(start))


def tuned_targets(world: World, width: int, seed: int, steps: int) -> Floats:
    """Validation loss (R,) of each recipe's target at its own best rate."""
    recipes, validation = losses(world, width, seed)
    rates = np.geomspace(1e-4, 1.0, 60) / _largest(recipes)
    found = [validation.loss(descend(recipe, rates, steps)).min() for recipe in recipes]
    return np.array(found)


def losses(world: World, width: int, seed: int) -> tuple[list[Quadratic], Quadratic]:
    """The recipes' losses and the validation loss on the features of one width and seed."""
    recipes = quadratics(features(world.inputs, width, seed), world.labels, world.weights)
    held = features(world.held_inputs, width, seed)
    (validation,) = quadratics(held, world.held_labels, np.array([VALIDATION]))
    return recipes, validation


def sgd_losses(
    world: World, width: int, seed: int, rates_E: Floats, samples: int, batch: int
) -> Floats:
    """Validation loss (R, E) after one epoch over `samples` drawn from each recipe."""
    mapped = features(world.inputs, width, seed)
    _, validation = losses(world, width, seed)
    found = []
    for place, weights in enumerate(world.weights):
        random = np.random.default_rng([13, seed, place])
        domain = random.choice(DOMAINS, samples, p=weights)
        row = random.integers(0, POPULATION, samples)
        inputs, labels = mapped[domain, row], world.labels[domain, row]
        theta = np.zeros((len(rates_E), width))
        for start in range(0, samples, batch):
            x, y = inputs[start : start + batch], labels[start : start + batch]
            theta -= rates_E[:, None] * ((theta @ x.T - y) @ x) / batch
        found.append(validation.loss(theta))
    return np.array(found)


def spearman(first: Floats, second: Floats) -> float:
    """Spearman's rank correlation of two vectors without ties."""
    one, other = (values.argsort().argsort().astype(float) for values in (first, second))
    return float(np.corrcoef(one, other)[0, 1])


def _largest(recipes: list[Quadratic]) -> float:
    return max(float(np.linalg.eigvalsh(recipe.hessian)[-1]) for recipe in recipes)


def _seed_agreement(losses_SRE: Floats, place: int) -> float:
    pairs = [
        spearman(losses_SRE[i, :, place], losses_SRE[j, :, place])
        for i in range(len(losses_SRE))
        for j in range(i)
    ]
    return float(np.mean(pairs))


def world_rows(seed: int, kind: Kind, rates: Floats, options: argparse.Namespace) -> Floats:
    """Of one world, a row per rate with the columns of `COLUMNS`."""
    world = make_world(seed, kind)
    target = tuned_targets(world, options.target_width, seed, options.steps)
    recipes, validation = losses(world, options.width, 100 + seed)
    scaled = rates / _largest(recipes)
    exact = np.array([validation.loss(descend(item, scaled, options.steps)) for item in recipes])
    seeds = [200 + 10 * seed + s for s in range(options.seeds)]
    noisy = np.array(
        [sgd_losses(world, options.width, s, scaled, options.samples, BATCH) for s in seeds]
    )
    mean = noisy.mean(axis=0)
    aligned = np.array([alignment(item, validation) for item in recipes])
    best = [target[mean[:, e].argmin()] for e in range(len(rates))]
    columns = (
        [spearman(exact[:, e], -aligned) for e in range(len(rates))],
        [spearman(exact[:, e], target) for e in range(len(rates))],
        [spearman(mean[:, e], target) for e in range(len(rates))],
        [_seed_agreement(noisy, e) for e in range(len(rates))],
        (np.array(best) - target.min()) / target.std(),
        1 - np.median(exact, axis=0) / validation.constant,
    )
    return np.array(columns).T


def main(arguments: Sequence[str] | None = None) -> None:
    """Print rank agreement with the tuned targets along the learning rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--width", type=int, default=48)
    parser.add_argument("--target-width", type=int, default=256)
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--samples", type=int, default=1000)
    options = parser.parse_args(arguments)
    rates = 10.0 ** np.arange(-4, 0.1, 0.5)
    critical = student.ppf(0.975, options.worlds - 1) / np.sqrt(options.worlds)
    for name, kind in KINDS.items():
        found = [world_rows(seed, kind, rates, options) for seed in range(options.worlds)]
        mean, half = np.mean(found, axis=0), critical * np.std(found, axis=0, ddof=1)
        print(f"\n{name} ({options.worlds} worlds; mean ± half of a 95 % interval)\n")
        print("| rate x lambda_max | " + " | ".join(COLUMNS) + " |")
        print("|" + "---|" * (len(COLUMNS) + 1))
        for place, rate in enumerate(rates):
            cells = [f"{m:.2f} ± {e:.2f}" for m, e in zip(mean[place], half[place], strict=True)]
            print(f"| {rate:.1e} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
