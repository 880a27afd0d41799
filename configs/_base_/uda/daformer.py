# DAFormer: DACS with a slower teacher and the feature distance. Its rare class sampling is in the
# data.
_base_ = "dacs.py"
model = dict(
    alpha=0.999,
    terms=dict(
        feature_distance=dict(
            type="FeatureDistance",
            loss_weight=0.005,
            # traffic light and sign, person to bicycle
            classes=(6, 7, 11, 12, 13, 14, 15, 16, 17, 18),
            min_ratio=0.75,
        ),
    ),
)
