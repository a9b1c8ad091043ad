"""Small images in every format and form that Beagle reads, and what Pillow reads in them.

Writes `tests/images/*` and beside each, in `tests/images/expected/*.png`, Pillow's RGB of its
first frame, upright; and `tests/images/resized/*.png`: a photo-like picture resized by Pillow with
each filter. `nearest.json` holds digests of the source positions Pillow's nearest takes.

    pip install numpy pillow
    python images.py
"""

import hashlib
import json
import pathlib

import numpy as np
from PIL import Image, ImageOps, ImageSequence

OUT = pathlib.Path(__file__).parent.parent / "images"
EXPECTED = OUT / "expected"
RESIZED = OUT / "resized"


def picture(width, height, seed=7):
    """Smooth colours with a few hard edges, the same on every machine."""
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    planes = [127 + 120 * np.sin(seed * (a * x + b * y)) for a, b in [(1.0, 0.4), (0.3, 1.1), (0.9, -0.8)]]
    array = np.stack(planes, -1)
    array[height // 4 : height // 2, width // 5 : width // 2] = [250, 30, 60]
    array[(height * 2) // 3 :, (width * 3) // 4 :] = [10, 10, 240]
    return Image.fromarray(array.round().astype(np.uint8))


def ycck(cmyk):
    """An Adobe YCCK file: Pillow writes CMYK as it is, so write YCC and mark it so."""
    path = OUT / "ycck.jpg"
    c, m, y, k = cmyk.split()
    ycc = Image.merge("RGB", (c, m, y)).convert("YCbCr").split()
    Image.merge("CMYK", (*ycc, k)).save(path, quality=95, subsampling=0)
    data = bytearray(path.read_bytes())
    at = data.index(b"Adobe")
    data[at + 11] = 2
    path.write_bytes(data)


def write(photo):
    alpha = Image.fromarray(np.tile(np.linspace(0, 255, photo.width).astype(np.uint8), (photo.height, 1)))
    with_alpha = photo.copy()
    with_alpha.putalpha(alpha)
    grey = photo.convert("L")
    cmyk = photo.convert("CMYK")
    palette = photo.quantize(64, dither=Image.Dither.NONE)
    other = ImageOps.invert(photo)
    deep = (np.asarray(grey, np.uint16) * 257).astype(np.uint16)

    photo.save(OUT / "rgb.jpg", quality=92, subsampling=0)
    photo.save(OUT / "subsampled.jpg", quality=92, subsampling=2)
    photo.save(OUT / "progressive.jpg", quality=92, subsampling=2, progressive=True)
    grey.save(OUT / "grey.jpg", quality=92)
    cmyk.save(OUT / "cmyk.jpg", quality=95, subsampling=0)
    ycck(cmyk)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        photo.save(OUT / f"turned{orientation}.jpg", quality=92, subsampling=0, exif=exif)
    photo.save(OUT / "rgb.png")
    with_alpha.save(OUT / "alpha.png")
    palette.save(OUT / "palette.png")
    palette.save(OUT / "palette_transparent.png", transparency=3)
    grey.save(OUT / "grey.png")
    Image.merge("LA", (grey, alpha)).save(OUT / "grey_alpha.png")
    grey.point(lambda level: 255 * (level > 120)).convert("1").save(OUT / "bits.png")
    Image.fromarray(deep).save(OUT / "grey16.png")
    photo.save(OUT / "animated.png", save_all=True, append_images=[other])
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.save(OUT / "turned6.png", exif=exif)
    photo.save(OUT / "turned6.webp", lossless=True, exif=exif)
    photo.save(OUT / "lossy.webp", quality=90)
    photo.save(OUT / "lossless.webp", lossless=True)
    with_alpha.save(OUT / "alpha.webp", lossless=True, exact=True)
    photo.save(OUT / "animated.webp", lossless=True, save_all=True, append_images=[other])
    palette.save(OUT / "still.gif")
    palette.save(OUT / "animated.gif", save_all=True, append_images=[other.quantize(64)])
    photo.save(OUT / "rgb.bmp")
    palette.save(OUT / "palette.bmp")
    grey.save(OUT / "grey.bmp")
    photo.save(OUT / "rgb.tiff")
    photo.save(OUT / "lzw.tiff", compression="tiff_lzw")
    photo.save(OUT / "deflate.tiff", compression="tiff_adobe_deflate")
    photo.save(OUT / "jpeg.tiff", compression="jpeg", quality=92)
    grey.save(OUT / "grey.tiff")
    cmyk.save(OUT / "cmyk.tiff")
    photo.save(OUT / "pages.tiff", save_all=True, append_images=[other])
    photo.save(OUT / "turned6.tiff", exif=exif)


def expect():
    for path in sorted(OUT.glob("*.*")):
        first = next(ImageSequence.Iterator(Image.open(path)))
        if first.mode.startswith("I;16"):
            # Pillow clips 16 bits at 255; the high byte is what is meant.
            first = Image.fromarray((np.asarray(first) >> 8).astype(np.uint8))
        if path.suffix != ".tiff":
            # Pillow turns TIFF upright by itself when it loads it.
            first = ImageOps.exif_transpose(first)
        first.convert("RGB").save(EXPECTED / f"{path.name}.png", optimize=True)


def resize():
    source = picture(250, 190, seed=60)
    source.save(RESIZED / "source.png", optimize=True)
    for name in ["NEAREST", "BILINEAR", "BICUBIC"]:
        for width, height in [(64, 64), (97, 31), (301, 200)]:
            resized = source.resize((width, height), Image.Resampling[name])
            resized.save(RESIZED / f"{name.lower()}_{width}x{height}.png", optimize=True)
    # torchvision's Resize(72) and CenterCrop(64), by their source.
    size = (int(72 * 250 / 190), 72)
    left, top = round((size[0] - 64) / 2), round((size[1] - 64) / 2)
    centre = source.resize(size, Image.Resampling.BILINEAR).crop((left, top, left + 64, top + 64))
    centre.save(RESIZED / "centre_64x64.png", optimize=True)


def nearest():
    """Every source from 1 to 4096 pixels to 224: one digest over all positions, as u32."""
    digest = hashlib.sha256()
    for source in range(1, 4097):
        row = Image.fromarray(np.arange(source, dtype=np.int32)[None])
        assert row.mode == "I"
        digest.update(np.asarray(row.resize((224, 1), Image.Resampling.NEAREST)).astype("<u4").tobytes())
    (OUT / "nearest.json").write_text(json.dumps({"target": 224, "sha256": digest.hexdigest()}) + "\n")


for folder in (OUT, EXPECTED, RESIZED):
    folder.mkdir(exist_ok=True)
write(picture(48, 34))
expect()
resize()
nearest()
