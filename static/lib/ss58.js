/*
 * Public keys, however they are written. Pure.
 */
const DIGITS = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const ADDRESS = /^[1-9A-HJ-NP-Za-km-z]{45,50}$/;
const HEX = /^0x[0-9a-f]{64}$/i;
const KEY_SIZE = 1n << 256n;

/**
 * The key of an address (SS58, with the prefix of any chain) or of 0x and 64 hexadecimal digits, as those; "" for other
 * texts. The checksum of an address is not looked at.
 */
export function keyOf(text) {
  if (!text) return "";
  if (HEX.test(text)) return text.toLowerCase();
  if (!ADDRESS.test(text)) return "";
  let value = 0n;
  for (const digit of text) value = value * 58n + BigInt(DIGITS.indexOf(digit));
  // Before the key is a prefix of 1 or 2 bytes, after it a checksum of 2.
  return `0x${((value >> 16n) % KEY_SIZE).toString(16).padStart(64, "0")}`;
}
