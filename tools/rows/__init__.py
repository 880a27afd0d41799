"""Parts of the rows of `experiments.py`: their types, and networks on foundation models."""
