"""What schemathesis cannot know from the document: what an image file looks like."""

import schemathesis
from hypothesis import strategies as st


def picture(level: int) -> bytes:
    """A BMP file of one pixel, of which the tests' model makes the class `level`."""
    header = b"BM\x3a" + bytes(7) + b"\x36\0\0\0" + b"\x28\0\0\0\x01\0\0\0\x01\0\0\0"
    return header + b"\x01\0\x18\0" + bytes(4) + b"\x04" + bytes(19) + bytes([0, 0, level, 0])


IMAGES = st.one_of(
    st.integers(0, 255).map(picture),
    st.integers(0, 57).map(lambda length: picture(7)[:length]),
    st.binary(max_size=200),
)

schemathesis.openapi.media_type(
    "image/bmp",
    IMAGES,
    aliases=[
        "image/jpeg",
        "image/png",
        "image/webp",
        "image/gif",
        "image/tiff",
        "application/octet-stream",
    ],
)
schemathesis.openapi.format("binary", IMAGES)
