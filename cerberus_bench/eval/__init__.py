"""Scores: overlap tables of label maps, the metrics on top of them, protocol and intervals.

Every score returns counts or is made of counts, and the ratio comes last, so that scores of
images pool into scores of datasets without loss.
"""

from cerberus_bench.eval.aji import aji, aji_plus
from cerberus_bench.eval.coco import coco_ap
from cerberus_bench.eval.detection import detection_f1
from cerberus_bench.eval.dice import dice, dice2
from cerberus_bench.eval.f1 import f1
from cerberus_bench.eval.froc import froc
from cerberus_bench.eval.glas import object_dice, object_f1
from cerberus_bench.eval.hausdorff import object_hausdorff
from cerberus_bench.eval.multiclass import (
    multiclass_panoptic_quality,
    pannuke_panoptic_quality,
)
from cerberus_bench.eval.official import official_scores
from cerberus_bench.eval.overlap import Overlap, overlap
from cerberus_bench.eval.pq import panoptic_quality

__all__ = [
    "Overlap",
    "aji",
    "aji_plus",
    "coco_ap",
    "detection_f1",
    "dice",
    "dice2",
    "f1",
    "froc",
    "multiclass_panoptic_quality",
    "object_dice",
    "object_f1",
    "object_hausdorff",
    "official_scores",
    "overlap",
    "pannuke_panoptic_quality",
    "panoptic_quality",
]
