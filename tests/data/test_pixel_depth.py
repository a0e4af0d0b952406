"""Every depth and polarity of every format: each level is where it belongs, or the image is refused."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from data.deep_color import shallow_png
from data.encoded import encode, random_levels
from data.gray_tiff import gray_tiff, pages
from spurion.data.decode import decode_image

ORDERS = {"<": "little-endian", ">": "big-endian"}


def x_of(data, suffix=""):
    """The pixels of an image file as numbers in [-1, 1]."""
    pixels = decode_image(data, "file", suffix=suffix).pixels
    return pixels / 127.5 - 1 if pixels.dtype == np.uint8 else pixels


def ramp(bits, height=6, width=7):
    """Numbers of so many bits, the smallest and the largest among them."""
    levels = np.random.default_rng(bits).integers(0, 2**bits, (height, width))
    levels[0, 0], levels[-1, -1] = 0, 2**bits - 1
    return levels


@pytest.mark.parametrize("layout", [{}, {"strips": 3}, {"packed": True}, {"strips": 2, "packed": True}])
@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 12, 16])
def test_gray_tiff_of_any_depth_and_polarity(bits, order, photometric, layout):
    levels = ramp(bits)
    share = levels / (2**bits - 1)
    wanted = 2 * (share if photometric else 1 - share) - 1
    data = gray_tiff(levels, bits, photometric=photometric, order=order, **layout)
    assert abs(x_of(data)[..., 0] - wanted).max() < 1e-6


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("bits", [3, 5, 6, 7, 9, 10, 11, 13, 14, 15])
def test_depths_that_no_decoder_knows_are_named(bits, order):
    with pytest.raises(ValueError, match=rf"cannot be read as an image \(TIFF of {bits} bits a sample and"):
        decode_image(gray_tiff(ramp(bits), bits, order=order), "file")


@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("bits", "extra", "said"),
    [
        (16, {339: (3, [3])}, r"SampleFormat 3 \(floats\)\)"),
        (12, {339: (3, [3])}, r"SampleFormat 3 \(floats\)"),
        (10, {339: (3, [2])}, r"SampleFormat 2 \(numbers with a sign\)"),
        (10, {339: (3, [7])}, r"SampleFormat 7\)"),
        (12, {266: (3, [2])}, r"FillOrder 2 \(other than highest bit first\)\)"),
    ],
)
def test_what_no_decoder_takes_is_named(bits, order, photometric, extra, said):
    data = gray_tiff(ramp(bits), bits, order=order, photometric=photometric, extra=extra)
    with pytest.raises(ValueError, match=rf"cannot be read as an image \(TIFF of {bits} bits .*{said}"):
        decode_image(data, "file")


@pytest.mark.parametrize("order", ORDERS)
def test_levels_with_a_sign_and_of_32_bits_are_refused(order):
    for bits, form, said in (
        (8, 2, "has levels with a sign"),
        (16, 2, "has the pixel format I"),
        (32, 1, "has the pixel format I|TIFF of 32 bits"),
        (32, 3, "has the pixel format F"),
    ):
        for photometric in (0, 1):
            data = gray_tiff(ramp(bits), bits, order=order, photometric=photometric, extra={339: (3, [form])})
            with pytest.raises(ValueError, match=f"{said}|TIFF of {bits} bits a sample"):
                decode_image(data, "file")


@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("bits", [12, 16])
def test_polarity_in_tiles_behind_a_predictor_and_with_an_orientation(bits, order, photometric):
    def shown(**options):
        return x_of(gray_tiff(bits=bits, order=order, photometric=photometric, **options))

    levels = ramp(bits, 16, 32)
    sign = 1 if photometric else -1
    wanted = sign * (2 * levels[..., None] / (2**bits - 1) - 1)
    sides = np.vstack([levels[:, :16], levels[:, 16:]])
    size = 32 * bits
    extra = {256: (4, [32]), 257: (4, [16]), 322: (4, [16]), 323: (4, [16]), 324: (4, [8, 8 + size])}
    extra |= {325: (4, [size, size])} | dict.fromkeys((273, 278, 279))
    assert abs(shown(levels=sides, extra=extra) - wanted).max() < 1e-6
    if bits == 16:
        steps = np.diff(levels, axis=1, prepend=0) % 2**bits
        assert abs(shown(levels=steps, packed=True, extra={317: (3, [2])}) - wanted).max() < 1e-6
    assert abs(shown(levels=levels, extra={274: (3, [3])}) - wanted[::-1, ::-1]).max() < 1e-6


def test_a_tiff_without_polarity_is_refused():
    with pytest.raises(ValueError, match="does not say whether 0 is black or white; convert it"):
        decode_image(gray_tiff(ramp(8), 8, extra={262: None}), "file")


def test_white_is_zero_of_16_bits_in_a_bigtiff_is_refused():
    buffer = io.BytesIO()
    image = Image.fromarray(ramp(16).astype(np.uint16))
    image.save(buffer, "TIFF", big_tiff=True)
    data = buffer.getvalue()
    assert abs(x_of(data)[..., 0] - (ramp(16) / 32767.5 - 1)).max() < 1e-6
    entry = struct.pack("<HHQ", 262, 3, 1)
    inverted = data.replace(entry + struct.pack("<H", 1), entry + struct.pack("<H", 0))
    with pytest.raises(ValueError, match="has 0 for white in a BigTIFF; convert it"):
        decode_image(inverted, "file")


@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_bits_that_are_filled_from_below_are_right_or_refused(bits, photometric):
    reverse = bytes(int(f"{i:08b}"[::-1], 2) for i in range(256))
    plain = gray_tiff(ramp(bits), bits, photometric=photometric)
    size = 6 * -(-7 * bits // 8)
    data = gray_tiff(ramp(bits), bits, photometric=photometric, extra={266: (3, [2])})
    data = data[:8] + data[8 : 8 + size].translate(reverse) + data[8 + size :]
    try:
        assert np.array_equal(x_of(data), x_of(plain))
    except ValueError as error:
        assert str(error).startswith("file cannot be read as an image (")  # noqa: PT017


@pytest.mark.parametrize("planes", [1, 2])
def test_color_tiff_in_both_planar_configurations(planes):
    color = random_levels(1, 6, 7, 3)[0]
    data = color if planes == 1 else color.transpose(2, 0, 1)
    strips = 1 if planes == 1 else 3
    extra = {
        257: (4, [6]),
        258: (3, [8] * 3),
        262: (3, [2]),
        277: (3, [3]),
        278: (4, [6]),
        284: (3, [planes]),
    }
    extra[256] = (4, [7])
    extra |= {339: (3, [1] * 3), 273: (4, [8 + 42 * i for i in range(strips)])}
    extra[279] = (4, [126 // strips] * strips)
    assert np.array_equal(decode_image(gray_tiff(data.reshape(-1, 1), 8, extra=extra), "file").pixels, color)


@pytest.mark.parametrize("count", [1, 2, 50_000])
def test_any_number_of_pages_is_refused_at_once(count):
    if count == 1:
        assert decode_image(pages(1), "file").pixels.shape == (4, 4, 1)
        return
    with pytest.raises(ValueError, match="holds more than one frame; store every frame as an image"):
        decode_image(pages(count), "file")


@pytest.mark.parametrize("white", [1, 3, 15, 100, 200, 255, 256, 1023, 4095, 65535])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("plain", [False, True])
def test_pnm_of_any_white(white, channels, plain):
    levels = np.random.default_rng(0).integers(0, white + 1, (5, 4, channels))
    levels[0, 0], levels[-1, -1] = 0, white
    magic = {(1, False): 5, (3, False): 6, (1, True): 2, (3, True): 3}[channels, plain]
    text = " ".join(map(str, levels.flatten())).encode()
    body = text if plain else levels.astype(">u2" if white > 255 else "u1").tobytes()
    data = f"P{magic}\n# a remark\n4 5\n{white}\n".encode() + body
    assert abs(x_of(data) - (2 * levels / white - 1)).max() < 1e-6


def test_plain_pnm_with_remarks_and_any_white_space():
    data = b"P2\n3 2\n200\n0 100#50\n200\r\n# 7 8\n\t40\v\f60 80 # the end"
    assert np.allclose(x_of(data).flatten(), [-1, 0, 1, -0.6, -0.4, -0.2], atol=1e-6)
    assert x_of(b"P1\n2 2\n1 0\n01\n").flatten().tolist() == [-1, 1, 1, -1]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"1 2 3", "3 numbers for 4 levels"),
        (b"", "0 numbers for 4 levels"),
        (b"1 2 3 # 4", "3 numbers for 4 levels"),
        (b"1 2 3 201", "must be between 0 and 200, got 1 to 201"),
        (b"1 2 3 -4", "must be between 0 and 200, got -4 to 3"),
        (b"1 2 3 18446744073709551617", "must be between 0 and 200, got 1 to"),
        (b"1 2 x 4", ""),
        (b"1 2.5 3 4", ""),
    ],
)
@pytest.mark.parametrize("magic", [b"P2 2 2", b"P3 4 1"])
def test_damaged_plain_pnm(body, said, magic):
    if magic == b"P3 4 1":
        body, said = b"0 " * 8 + body, said.replace("got 1", "got 0").replace("for 4", "for 12")
        said = said.replace("3 numbers", "11 numbers").replace("0 numbers", "8 numbers")
    with pytest.raises(ValueError, match=rf"file cannot be read as an image \(.*{said}"):
        decode_image(magic + b"\n200\n" + body, "file")


def test_pnm_above_its_white_is_white_and_a_short_one_is_damaged():
    assert x_of(b"P5 2 1 100\n\x64\xff").flatten().tolist() == [1, 1]
    with pytest.raises(ValueError, match="file cannot be read as an image"):
        decode_image(b"P5 2 2 100\n\x64\xff", "file")


@pytest.mark.parametrize("kind", ["gray", "palette"])
@pytest.mark.parametrize("bits", [1, 2, 4])
def test_png_of_few_bits(bits, kind):
    levels, white = ramp(bits), 2**bits - 1
    palette = bytes(255 * i // white for i in range(white + 1) for _ in range(3))
    data = shallow_png(levels, bits, palette if kind == "palette" else None)
    assert np.array_equal(decode_image(data, "file").pixels[..., 0], 255 // white * levels)


def test_jpeg_2000_keeps_8_and_16_bits_and_refuses_others():
    levels = ramp(16).astype(np.uint16)
    deep = encode(levels, "JPEG2000")
    assert abs(x_of(deep)[..., 0] - (levels / 32767.5 - 1)).max() < 1e-6
    color = random_levels(1, 6, 7, 3)[0]
    shallow = encode(color, "JPEG2000", no_jp2=True)
    assert np.array_equal(decode_image(shallow, "file").pixels, color)
    for data, depth, said in (
        (deep, 11, "12 bits"),
        (shallow, 3, "4 bits, 8 bits"),
        (shallow, 0x87, "8 bits, 8 bits with a sign"),
    ):
        at = data.index(b"\xff\x4f\xff\x51") + 42
        with pytest.raises(ValueError, match=f"has {said} a channel; convert it"):
            decode_image(data[:at] + bytes([depth]) + data[at + 1 :], "file")


def test_cmyk_of_a_jpeg_is_read_only_if_its_polarity_is_known():
    color = np.full((8, 8, 3), (200, 120, 40), np.uint8)
    data = encode(color, "JPEG", mode="CMYK", quality=100)
    assert abs(decode_image(data, "file").pixels.astype(int) - color).max() <= 3
    marker = data.index(b"\xff\xee")
    length = int.from_bytes(data[marker + 2 : marker + 4], "big")
    with pytest.raises(ValueError, match="is CMYK that does not say whether it is inverted; convert"):
        decode_image(data[:marker] + data[marker + 2 + length :], "file")


def test_sgi_of_16_bits_is_refused():
    for compression in (0, 1):
        header = struct.pack(">HBBHHHH", 474, compression, 2, 2, 2, 1, 1).ljust(512, b"\0")
        with pytest.raises(ValueError, match=r"has 16 bits a channel in an unusual layout"):
            decode_image(header + bytes(4), "file")


@pytest.mark.parametrize("form", ["PNG", "GIF", "BMP", "PPM", "TGA"])
def test_an_image_without_pixels_is_refused(form):
    data = bytearray(encode(random_levels(1, 4, 4)[0], form))
    at, size = {"PNG": (16, 4), "GIF": (6, 2), "BMP": (18, 4), "TGA": (12, 2), "PPM": (3, 1)}[form]
    data[at : at + size] = b"0" if form == "PPM" else bytes(size)
    try:
        assert decode_image(bytes(data), "file", suffix=".tga").pixels.size > 0
        assert form == "GIF"  # whose frame has a size of its own
    except ValueError as error:
        assert str(error).startswith("file ")  # noqa: PT017
        assert str(error).endswith(".")  # noqa: PT017
