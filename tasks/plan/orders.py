"""The orders in which a study's runs read their samples."""

from curricle.core.jobs import SampleStatisticsSpec
from curricle.recipes.ordering import Part
from curricle.recipes.specs.measurements import GivenScores, Statistics
from curricle.recipes.specs.recipe import UNIGRAM_ENTROPY, OrderSpec
from curricle.tasks.dataset import DatasetStep
from curricle.tasks.documents import MeasurementStep
from curricle.tasks.given_scores import GivenScoresStep
from curricle.tasks.order import OrderStep, Pool, RandomOrderStep, SortedOrderStep
from curricle.tasks.plan.preparation import Preparation
from curricle.tasks.sample_scores import DocumentColumnStep, DocumentScoresStep
from curricle.tasks.scores import SampleStatisticsStep
from curricle.tasks.step import Step


class Orders:
    """Random orders of a recipe's samples, and the orders that recipes themselves name."""

    def __init__(self, preparation: Preparation) -> None:
        self.study, self.preparation = preparation.study, preparation

    def random(self, recipe: str, part: Part, count: int, seed: int) -> RandomOrderStep:
        """`count` samples of a part of the recipe's dataset."""
        return RandomOrderStep(self.preparation.datasets[recipe], self.pool(part), count, seed)

    def pool(self, part: Part) -> Pool:
        """A part of a dataset, the same for all runs of the study."""
        length = self.study.tokenizer.sequence_length
        return Pool(part, length, self.study.scoring.holdout, self.study.seed)

    def of_recipe(self, name: str, count: int, seed: int) -> OrderStep:
        """`count` samples of the recipe's whole dataset, in the order that the recipe names."""
        base = self.random(name, "all", count, seed)
        order = self.study.recipes[name].order
        if order is None:
            return base
        return SortedOrderStep(name, order, base, self._scores(order, base.dataset))

    def _scores(self, order: OrderSpec, dataset: DatasetStep) -> Step:
        """The scores that an order is made by."""
        length = self.study.tokenizer.sequence_length
        if order.scores is not None:
            return GivenScoresStep(order.scores, order.column, dataset, length)
        if isinstance(order.by, GivenScores):
            return DocumentColumnStep(order.score, order.by, dataset, length)
        if order.by != UNIGRAM_ENTROPY:
            measured = MeasurementStep(Statistics(names=(order.by,)), dataset.documents)
            return DocumentScoresStep(order.by, order.column, measured, dataset, length)
        size = self.preparation.vocabulary.vocabulary_size
        spec = SampleStatisticsSpec(sequence_length=length, vocabulary_size=size)
        return SampleStatisticsStep(spec, dataset)
