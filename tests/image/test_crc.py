"""The checksum of images is CRC-32C, however many bytes are given at a time."""

from hypothesis import given, settings
from hypothesis import strategies as st

from drvs.core._core import image_crc32c

POLYNOMIAL = 0x82F63B78


def slowly(data: bytes) -> int:
    """Bit by bit."""
    crc = 2**32 - 1
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (POLYNOMIAL if crc & 1 else 0)
    return crc ^ 2**32 - 1


def test_the_check_value_of_the_catalogues() -> None:
    assert image_crc32c(b"123456789") == 0xE3069283


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 9000), st.integers(0, 2**32), st.integers(0, 9000))
def test_it_is_the_same_bit_by_bit_and_in_parts(nbytes: int, seed: int, cut: int) -> None:
    data = bytes((seed + at * at * 7) >> (at % 5) & 255 for at in range(nbytes))
    assert image_crc32c(data) == slowly(data)
    assert image_crc32c(data[cut:], image_crc32c(data[:cut])) == slowly(data)
