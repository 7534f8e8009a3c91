"""Figures: each function takes prepared data and returns a matplotlib Figure."""

from headrank.report.figures.ablation import ablation
from headrank.report.figures.head_scores import head_scores
from headrank.report.figures.homogenisation import homogenisation
from headrank.report.figures.learning_curve import learning_curve
from headrank.report.figures.middle_zone import middle_zone
from headrank.report.figures.ndcg import ndcg_by_depth, ndcg_by_heads
from headrank.report.figures.order_robustness import order_robustness
from headrank.report.figures.quality_latency import quality_latency
from headrank.report.figures.style import save
from headrank.report.figures.training import training

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
