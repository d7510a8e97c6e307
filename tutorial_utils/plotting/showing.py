"""Putting a figure below a cell, with a text for those who cannot see it."""

import io
from base64 import b64encode

from PIL import Image

from tutorial_utils.errors import InputError, requires_extra

with requires_extra("plots"):
    import matplotlib.pyplot as plt
    from matplotlib.figure import Figure

_SHARPNESS = 2  # pixels of the stored picture for each pixel of the page


def show(figure: Figure, alt: str) -> None:
    """Show a figure below the cell, and close it.

    The picture is stored with its alternative text in the metadata of the output, where
    `IPython.display.Image` puts it; the pages of the book take it from there.

    Args:
        figure: drawn and labelled.
        alt: what the figure shows, in one or two sentences, for those who do not see it. Say what
            is to be noticed ("accuracy falls below 4 bits"), not what is drawn ("a blue line").

    Raises:
        InputError: when there is no text, or hardly any.
    """
    if len(alt.split()) < 4:
        raise InputError(f"alt={alt!r}: expected a sentence that says what the figure shows")
    with requires_extra("notebooks"):
        from IPython.display import display
    picture = encode_png(figure)
    width, _ = Image.open(io.BytesIO(picture)).size
    plt.close(figure)  # else the notebook would show it once more
    metadata = {"alt": alt, "width": width // _SHARPNESS}
    if has_photographs(figure):
        metadata["photograph"] = True
    data = {"image/png": b64encode(picture).decode() + "\n", "text/plain": alt}
    display(data, metadata={"image/png": metadata}, raw=True)


def has_photographs(figure: Figure) -> bool:
    """Tell whether colours of a figure mean themselves, so that no page may change them."""
    return any(ax.images for ax in figure.axes)


def encode_png(figure: Figure) -> bytes:
    """Return a figure as a sharp PNG file; without photographs it has at most 256 colours."""
    buffer = io.BytesIO()
    dpi = _SHARPNESS * figure.dpi
    figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", pad_inches=0.05)
    picture = Image.open(buffer).convert("RGB")
    if not has_photographs(figure):
        picture = picture.quantize(256, dither=Image.Dither.NONE)
    smaller = io.BytesIO()
    picture.save(smaller, "png", optimize=True)
    return smaller.getvalue()
