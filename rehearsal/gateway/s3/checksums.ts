import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';

/** Takes bytes piece by piece and gives their checksum in base64, as S3's headers write it. */
export interface Checksum {
  update(bytes: Buffer): void;
  digest(): string;
}

/** The checksum of an algorithm as it ends a header's name: `x-amz-checksum-<algorithm>`. */
export function startChecksum(algorithm: string): Checksum | undefined {
  switch (algorithm) {
    case 'sha256':
    case 'sha1':
    case 'md5':
      return hashing(algorithm);
    case 'crc32':
      return crc32Checksum();
    case 'crc32c':
      return crc32cChecksum();
    case 'crc64nvme':
      return crc64nvmeChecksum();
    default:
      return undefined;
  }
}

function hashing(algorithm: string): Checksum {
  const hash = createHash(algorithm);
  return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest('base64') };
}

function crc32Checksum(): Checksum {
  let sum = 0;
  return {
    update: (bytes) => {
      sum = crc32(bytes, sum);
    },
    digest: () => words(sum),
  };
}

// Castagnoli's polynomial, reflected.
const castagnoli = table32(0x82f63b78);

function crc32cChecksum(): Checksum {
  let sum = 0xffffffff;
  return {
    update: (bytes) => {
      for (const byte of bytes) sum = (castagnoli[(sum ^ byte) & 0xff] as number) ^ (sum >>> 8);
    },
    digest: () => words(sum ^ 0xffffffff),
  };
}

// NVM Express's CRC-64, reflected: 0x9a6c9329ac4bc9b5. In two halves, for BigInt is far too slow.
const [nvmeHigh, nvmeLow] = table64(0x9a6c9329, 0xac4bc9b5);

function crc64nvmeChecksum(): Checksum {
  let high = 0xffffffff;
  let low = 0xffffffff;
  return {
    update: (bytes) => {
      for (const byte of bytes) {
        const at = (low ^ byte) & 0xff;
        low = ((low >>> 8) | (high << 24)) ^ (nvmeLow[at] as number);
        high = (high >>> 8) ^ (nvmeHigh[at] as number);
      }
    },
    digest: () => words(high ^ 0xffffffff, low ^ 0xffffffff),
  };
}

function table32(polynomial: number): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, byte) => {
    let value = byte;
    for (let bit = 0; bit < 8; bit += 1) value = (value & 1) === 1 ? (value >>> 1) ^ polynomial : value >>> 1;
    return value;
  });
}

function table64(polynomialHigh: number, polynomialLow: number): [Uint32Array, Uint32Array] {
  const highs = new Uint32Array(256);
  const lows = new Uint32Array(256);
  for (let byte = 0; byte < 256; byte += 1) {
    let high = 0;
    let low = byte;
    for (let bit = 0; bit < 8; bit += 1) {
      const carry = (low & 1) === 1;
      low = (low >>> 1) | (high << 31);
      high >>>= 1;
      if (carry) {
        low ^= polynomialLow;
        high ^= polynomialHigh;
      }
    }
    highs[byte] = high;
    lows[byte] = low;
  }
  return [highs, lows];
}

/** Numbers as big-endian 32-bit words, in base64. */
function words(...numbers: number[]): string {
  const bytes = Buffer.alloc(numbers.length * 4);
  numbers.forEach((number, at) => {
    bytes.writeUInt32BE(number >>> 0, at * 4);
  });
  return bytes.toString('base64');
}
