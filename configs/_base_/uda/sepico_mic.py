# SePiCo with masked image consistency.
_base_ = ["sepico.py", "masked_consistency.py"]
model = dict(terms=dict(mic={{_base_.mic_term}}))
