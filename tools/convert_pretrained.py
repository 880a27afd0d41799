"""Convert pretrained weights: ``python -m tools.convert_pretrained IN OUT``."""

import argparse
import sys
from pathlib import Path

# If this file is run, Python searches its folder for modules instead of the root of the project.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmseg.utils import InputError
from mmseg.utils.cli import run_main
from tools.common.parser import Parser

EPILOG = """\
IN is recognised by its keys; it may be
  mit_b*.pth of NVlabs                                 -> mit_b0 ... mit_b5
  OpenMMLab's MiT (mit_b5_20220624-658746d9.pth)       -> mit_b0 ... mit_b5
  Hugging Face's SegFormer encoder (nvidia/mit-b5)     -> mit_b0 ... mit_b5
  OpenMMLab's resnet*_v1c, also MMPretrain's           -> ResNetV1c
  timm's resnet50c, resnet101c                         -> ResNetV1c
  DINOv2 and DINOv3 of Meta, Hugging Face and timm     -> TIMMViT; DINOv3-ConvNeXt: TIMMBackbone
  EVA-02 of BAAI and timm                              -> TIMMViT
as .pth, .bin or .safetensors, or a folder with model.safetensors or pytorch_model.bin.

examples:
  python -m tools.convert_pretrained ~/mit-b5 pretrained/mit_b5.pth
  python -m tools.convert_pretrained --from-hub nvidia/mit-b5 pretrained/mit_b5.pth
  python -m tools.convert_pretrained --from-hub facebook/dinov2-base pretrained/dinov2_b.pth
"""


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(
        prog="python -m tools.convert_pretrained",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("input", metavar="IN", nargs="?", help="file or folder of weights; see below")
    add("output", metavar="OUT", help="file to write, for instance pretrained/mit_b5.pth")
    add("--from-hub", metavar="NAME", help="download NAME from the Hugging Face hub instead of IN")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Convert the weights, and print what was recognised, converted and left out."""
    args = parse_args(argv)
    if bool(args.input) == bool(args.from_hub):
        raise InputError("name what to convert: either IN and OUT, or --from-hub NAME and OUT")
    # Late: --help and usage errors are fast.
    from tools.conversion.pretrained_files import convert_file, download

    done = convert_file(download(args.from_hub) if args.from_hub else args.input, args.output)
    conversion = done.conversion
    print(f"recognised: {conversion.title}")
    print(
        f"converted:  {done.backbone}: {done.num_parameters / 1e6:.2f} M parameters, "
        f"{len(conversion.weights)} entries"
    )
    if conversion.dropped:
        parts = ", ".join(conversion.dropped_parts)
        print(f"left out:   {len(conversion.dropped)} entries of {parts}")
    print(f"wrote {done.path}")


if __name__ == "__main__":
    run_main(main)
