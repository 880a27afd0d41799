"""A segmentor that also projects its features for contrast (SePiCo)."""

from collections.abc import Sequence

from torch import Tensor, nn

from mmseg.registry import MODELS
from mmseg.utils.setting_types import InitConfig, PartConfig

from ..decode_heads import BaseDecodeHead, ProjHead
from .encoder_decoder import EncoderDecoder, NoSettings, TestSettings


@MODELS.register_module()
class EncoderDecoderProjector(EncoderDecoder):
    """An :class:`EncoderDecoder` whose auxiliary head is a :class:`ProjHead`.

    Args:
        backbone: config of the backbone.
        decode_head: config of the head that predicts.
        auxiliary_head: config of the projection head.
        data_preprocessor: see :class:`EncoderDecoder` for this and the other arguments.
    """

    auxiliary_head: ProjHead

    def __init__(
        self,
        backbone: PartConfig,
        decode_head: PartConfig,
        auxiliary_head: PartConfig,
        data_preprocessor: PartConfig | nn.Module | None = None,
        train_cfg: NoSettings | None = None,
        test_cfg: TestSettings | None = None,
        init_cfg: InitConfig | None = None,
    ) -> None:
        super().__init__(
            backbone,
            decode_head,
            auxiliary_head,
            data_preprocessor,
            train_cfg,
            test_cfg,
            init_cfg,
        )

    def project(self, feats: Sequence[Tensor]) -> Tensor | list[Tensor]:
        """Project maps to features (B, A, h, w) of unit norm, in a list if there are several."""
        return self.auxiliary_head(feats)

    def supervised_heads(self) -> dict[str, BaseDecodeHead]:
        """Return only the decode head; the adaptation method trains the projection."""
        return {"decode": self.decode_head}
