"""--resize, --scale, --mean and --std: how an image becomes numbers, for every command that explains one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xaicore.errors import InputError

if TYPE_CHECKING:
    import argparse

    from xaicore.cli.inputs import Pixels


def add_pixels(parser: Any) -> None:
    """Adds the four to a parser or a group of one."""
    parser.add_argument("--resize", action="store_true", help="scale the image to the size that the model takes")
    parser.add_argument("--scale", metavar="LOW,HIGH", help="what black and white become (default: what the model says, else 0,1)")
    parser.add_argument("--mean", metavar="M,...", help="subtracted after that, one number for each channel")
    parser.add_argument("--std", metavar="S,...", help="divided by after that")


def pixels_of(args: argparse.Namespace) -> Pixels:
    """What the four say. InputError for text that holds no numbers."""
    from xaicore.cli.inputs import Pixels

    return Pixels(args.resize, pair(args.scale), numbers(args.mean, "--mean"), numbers(args.std, "--std"))


def numbers(text: str | None, option: str) -> tuple[float, ...]:
    """Numbers with commas between them; none for None."""
    if text is None:
        return ()
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"{option} {text!r} cannot be read; give numbers with commas between them, such as 0.485,0.456,0.406") from None


def pair(text: str | None) -> tuple[float, float] | None:
    """What black and what white becomes, from --scale."""
    if text is None:
        return None
    given = numbers(text, "--scale")
    if len(given) != 2:
        raise InputError(f"--scale {text!r}: two numbers are expected, what black and what white becomes, such as 0,1 or -1,1")
    return given[0], given[1]
