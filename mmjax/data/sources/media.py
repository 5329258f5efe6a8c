"""Which files are media, by ending, and how a source names those of a sample."""

PICTURES = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff")
SOUNDS = ("flac", "wav", "mp3", "ogg", "opus")
CLIPS = ("mp4", "m4v", "mov", "webm", "mkv")
MEDIA = frozenset((*PICTURES, *SOUNDS, *CLIPS, "npy"))
SIGNATURES = (
    (0, b"\xff\xd8\xff", "jpg"),
    (0, b"\x89PNG", "png"),
    (0, b"GIF8", "gif"),
    (8, b"WEBP", "webp"),
    (8, b"WAVE", "wav"),
    (0, b"fLaC", "flac"),
    (0, b"OggS", "ogg"),
    (0, b"ID3", "mp3"),
    (0, b"\xff\xfb", "mp3"),
    (4, b"ftyp", "mp4"),
    (0, b"\x1aE\xdf\xa3", "webm"),
    (0, b"BM", "bmp"),
    (0, b"II*\0", "tif"),
    (0, b"MM\0*", "tif"),
    (0, b"\x93NUMPY", "npy"),
)


def ending(path: str) -> str:
    """What follows the last dot of a path's or address's last part, in lower case; "" if there is none."""
    name = (path.split("?")[0] if "://" in path else path).rsplit("/", 1)[-1]
    return name.rpartition(".")[2].lower() if "." in name else ""


def is_media(path: str) -> bool:
    """Whether this names a picture, recording, clip or array."""
    return ending(path) in MEDIA


def sniff(data: bytes) -> str:
    """The ending that suits the first bytes of a medium; "" if none is known."""
    return next((kind for at, sign, kind in SIGNATURES if data.startswith(sign, at)), "")


def member_name(column: str, kind: str, sole: bool) -> str:
    """The name of a table's medium: its ending, and before it the column where there are several such columns."""
    return kind if sole else f"{column}.{kind}"
