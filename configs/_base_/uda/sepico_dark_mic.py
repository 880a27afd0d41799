# SePiCoDark with masked image consistency.
_base_ = ["sepico_dark.py", "masked_consistency.py"]
model = dict(terms=dict(mic={{_base_.mic_term}}))
