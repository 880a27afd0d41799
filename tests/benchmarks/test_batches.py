import torch

from benchmarks.step import synthetic_batch


def test_images_and_labels():
    batch = synthetic_batch(19, 40, 3, ("target", "target_day"), seed=1)
    assert list(batch) == ["source", "target", "target_day"]
    for name, width in (("source", 40), ("target", 80), ("target_day", 80)):
        images = batch[name]["inputs"]
        assert len(images) == len(batch[name]["data_samples"]) == 3
        assert {(image.shape, image.dtype) for image in images} == {((3, 40, width), torch.uint8)}
    for sample in batch["source"]["data_samples"]:
        label = sample.gt_sem_seg.data
        assert label.shape == (1, 40, 40) and label.dtype == torch.uint8
        assert label.unique().tolist() == list(range(19))
        blocks = label[0].unfold(0, 5, 5).unfold(1, 5, 5).flatten(2)
        assert (blocks == blocks[..., :1]).all()
    assert not any("gt_sem_seg" in sample for sample in batch["target"]["data_samples"])


def test_seed():
    first, same, other = (synthetic_batch(5, 32, 1, seed=seed) for seed in (0, 0, 1))
    image = first["target"]["inputs"][0]
    assert torch.equal(image, same["target"]["inputs"][0])
    assert not torch.equal(image, other["target"]["inputs"][0])
