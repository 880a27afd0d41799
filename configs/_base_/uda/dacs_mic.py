# DACS with masked image consistency.
_base_ = ["dacs.py", "masked_consistency.py"]
model = dict(terms=dict(mic={{_base_.mic_term}}))
