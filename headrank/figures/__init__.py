"""Figures: each function takes prepared data and returns a matplotlib Figure."""

from headrank.figures.ablation import ablation
from headrank.figures.head_scores import head_scores
from headrank.figures.homogenisation import homogenisation
from headrank.figures.learning_curve import learning_curve
from headrank.figures.middle_zone import middle_zone
from headrank.figures.ndcg import ndcg_by_depth, ndcg_by_heads
from headrank.figures.order_robustness import order_robustness
from headrank.figures.quality_latency import quality_latency
from headrank.figures.style import save
from headrank.figures.training import training

__all__ = [
    "ablation",
    "head_scores",
    "homogenisation",
    "learning_curve",
    "middle_zone",
    "ndcg_by_depth",
    "ndcg_by_heads",
    "order_robustness",
    "quality_latency",
    "save",
    "training",
]
