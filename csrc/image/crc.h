/* crc.h: the CRC-32C of a page in half the time. The instruction takes three cycles and could begin anew in each, so three parts of
 * the page are worked through side by side, and joined: what a part's checksum becomes by n more zero bytes is a product modulo the
 * polynomial. Includers say by CRC_PART how the functions are compiled: one of them is the injected code. */
#ifndef DRVS_IMAGE_CRC_H
#define DRVS_IMAGE_CRC_H
#include <stdint.h>

enum { CRC_PAGE_WORDS = 512, CRC_THIRD = 170 };
#define CRC_POLYNOMIAL UINT32_C(0x82f63b78)
#define CRC_PAST_ONE UINT32_C(0xd6a79573) /* x to the power of the bits of one third, modulo the polynomial */
#define CRC_PAST_TWO UINT32_C(0x4672c7f2) /* of two */

CRC_PART uint64_t crc_word(uint64_t crc, uint64_t word) {
    __asm__("crc32q %1, %0" : "+r"(crc) : "r"(word));
    return crc;
}

/* The product of two polynomials, lowest power in the highest bit. */
CRC_PART uint32_t crc_product(uint32_t one, uint32_t other) {
    uint32_t product = 0;
    for (int bit = 31; bit >= 0; bit--) {
        product ^= other & (0 - (one >> bit & 1));
        other = other >> 1 ^ (CRC_POLYNOMIAL & (0 - (other & 1)));
    }
    return product;
}

/* Continue a checksum (without the inversions at both ends) over a page. */
CRC_PART uint64_t crc_page(uint64_t crc, const uint64_t *word) {
    uint64_t second = 0, third = 0;
    for (const uint64_t *end = word + CRC_THIRD; word < end; word++) {
        crc = crc_word(crc, word[0]);
        second = crc_word(second, word[CRC_THIRD]);
        third = crc_word(third, word[2 * CRC_THIRD]);
    }
    crc = crc_product(CRC_PAST_TWO, (uint32_t)crc) ^ crc_product(CRC_PAST_ONE, (uint32_t)second) ^ third;
    word += 2 * CRC_THIRD;
    return crc_word(crc_word(crc, word[0]), word[1]);
}

#endif
