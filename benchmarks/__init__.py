"""What measures speed against peers and plain baselines: `make bench`. The tests never time."""
