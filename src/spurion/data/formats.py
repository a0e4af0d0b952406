"""What a file holds: told by its first bytes, and by its suffix where they do not tell.

Read are the formats whose decoders work on bytes in memory, of bounded size, and call no other program.
Unread are images of all other formats, camera raws, videos, archives and arrays: a training set may be
hidden in them, so they are never passed over without a word. What is neither is no image.
"""

__all__ = ["FORMS", "HEAD", "READ_SUFFIXES", "form_of", "is_unread"]

import re

from PIL import features

FORMS = "PNG, JPEG, WebP, AVIF, JPEG 2000, GIF, BMP, TIFF, PNM, TGA, QOI, PCX, SGI"
"""The formats that are read, in words."""

HEAD = 512
"""Bytes at the start of a file that tell what it holds."""


def _suffixes(endings: str) -> frozenset[str]:
    return frozenset(f".{ending}" for ending in endings.split())


READ_SUFFIXES = _suffixes(
    "png apng jpg jpeg jpe jfif jfi jif pjpeg pjp webp avif jp2 j2k j2c jpc jpf jpx gif bmp dib tif tiff "
    "pbm pgm ppm pnm tga icb vda vst qoi pcx sgi bw"
)
"""Suffixes of files that must be images, or are damaged."""

_SIGNATURES = {
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "JPEG": rb"\xff\xd8\xff",
    "WEBP": rb"RIFF.{4}WEBP",
    "AVIF": rb".{4}ftyp(?:avi[fs]|(?:mif1|msf1).{4}(?:.{4}){0,7}avi[fs])",
    "JPEG2000": rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51",
    "GIF": rb"GIF8[79]a",
    "BMP": rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0",
    "DIB": rb"[\x28\x34\x38\x40\x6c\x7c]\0\0\0.{8}\x01\0[\x01\x04\x08\x10\x18\x20]\0",
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "PPM": rb"P[1-6]\s+(?:#[^\n]*\n\s*)*[0-9]+[\s#]",
    "QOI": rb"qoif",
    "PCX": rb"\x0a[\0\x02-\x05]\x01[\x01\x02\x04\x08]",
    "SGI": rb"\x01\xda[\0\x01][\x01\x02]",
}
_FORM_OF = [(form, re.compile(pattern, re.DOTALL)) for form, pattern in _SIGNATURES.items()]
_NEEDS = {"AVIF": "avif", "WEBP": "webp", "JPEG2000": "jpg_2000"}
_MISSING = {form for form, feature in _NEEDS.items() if feature not in features.get_supported()}

_TARGA = {".tga", ".icb", ".vda", ".vst"}
"""Suffixes of the one format that no bytes tell."""

_RAW_SUFFIXES = _suffixes(
    "3fr arw cr2 cr3 crw dcr dng erf fff gpr iiq kdc mef mos mrw nef nrw orf pef raf raw rw2 rwl sr2 srf "
    "srw x3f"
)
"""Of cameras: many look like a TIFF that holds a preview."""

_UNREAD_SUFFIXES = _RAW_SUFFIXES | _suffixes(
    "heic heif hif jxl jxr wdp hdp exr hdr pfm pam psd psb xcf kra svg svgz eps ps ai wmf emf ico cur icns "
    "dds ktx ktx2 blp ftex ras sun rgb rgba xbm xpm im msp pcd fit fits fts dcm nii nrrd mha mhd flif bpg "
    "djvu fli flc mp4 m4v mov avi mkv webm mpg mpeg wmv flv ogv 3gp mts m2ts gifv zip tar gz tgz bz2 tbz2 "
    "xz txz zst lz4 lzma 7z rar cbz cbr npz npy pt pth pkl pickle h5 hdf5 mat parquet arrow feather "
    "tfrecord tfrecords lmdb mdb rec beton"
)

_UNREAD = re.compile(
    rb".{4}ftyp|\xff\x0a|\0\0\0\x0cJXL |v/1\x01|8BPS|gimp xcf|P7\n|P[fF]\s+[0-9]|#\?RADIANCE|DDS |icns|FLIF"
    rb"|BPG\xfb|\0\0[\x01\x02]\0[^\0]\0|\xc5\xd0\xd3\xc6|%!PS|II\xbc\x01|\x59\xa6\x6a\x95|SIMPLE  =|NRRD"
    rb"|.{128}DICM|\x1aE\xdf\xa3|RIFF.{4}AVI |FLV\x01|OggS|\0\0\x01[\xb3\xba]|\x30\x26\xb2\x75"
    rb"|PK\x03\x04|\x1f\x8b|BZh[1-9]|\xfd7zXZ\0|7z\xbc\xaf\x27\x1c|Rar!\x1a\x07|\x28\xb5\x2f\xfd|.{257}ustar"
    rb"|\x93NUMPY|\x89HDF\r\n|PAR1|ARROW1|MATLAB 5\.0",
    re.DOTALL,
)


def form_of(head: bytes, suffix: str = "") -> str | None:
    """The format to decode a file by, in the words of the decoder; None if it is not one that is read.

    Arguments:
        head: The first `HEAD` bytes of the file.
        suffix: The suffix of its name, in lower case.
    """
    form = next((form for form, pattern in _FORM_OF if pattern.match(head)), None)
    if form is None and suffix in _TARGA:
        return "TGA"
    return None if form in _MISSING or suffix in _RAW_SUFFIXES else form


def is_unread(head: bytes, suffix: str = "") -> bool:
    """Whether a file of no format that is read may hold images all the same; arguments as in `form_of`."""
    return suffix in _UNREAD_SUFFIXES or form_of(head) is not None or _UNREAD.match(head) is not None
