# DAFormer with masked image consistency.
_base_ = ["daformer.py", "masked_consistency.py"]
model = dict(terms=dict(mic={{_base_.mic_term}}))
