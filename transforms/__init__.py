"""Work: what the stages do, one folder a stage; only a stage's `transform.py` imports Beam."""
