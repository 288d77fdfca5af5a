"""`python -m benchmarks`: every benchmark, each with its baseline on the same input in one run."""

from benchmarks import phantom, scores
from benchmarks.timing import show

if __name__ == "__main__":
    show("Scores against plain baselines", scores.rows())
    show("Phantom", phantom.rows())
