/** A cluster spreads its keys over so many slots. */
export const SLOTS = 16_384;

const CRC = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit += 1) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
  return crc;
});

/** The slot of a key in a cluster: CRC16 (XMODEM) of its hash tag, or of the whole key (Redis Cluster specification). */
export function slotOf(key: string): number {
  let crc = 0;
  for (const byte of Buffer.from(hashTag(key))) crc = ((crc << 8) & 0xffff) ^ (CRC[(crc >> 8) ^ byte] ?? 0);
  return crc % SLOTS;
}

/** What stands between the first `{` and the next `}`, unless that is nothing. */
function hashTag(key: string): string {
  const start = key.indexOf('{');
  const end = start === -1 ? -1 : key.indexOf('}', start);
  return end > start + 1 ? key.slice(start + 1, end) : key;
}

const PLACES = 64;

/**
 * Hash tags that lead to 64 places, spread evenly over the slots: what has to be where certain keys are, too, has a
 * copy at each of them. A primary with 256 slots in a row has at least one of its own.
 */
export const CLUSTER_PLACES: readonly string[] = findPlaces();

function findPlaces(): string[] {
  const places: string[] = [];
  let found = 0;
  for (let tag = 0; found < PLACES; tag += 1) {
    const index = placeIndex(slotOf(String(tag)));
    if (places[index] !== undefined) continue;
    places[index] = `{${tag}}`;
    found += 1;
  }
  return places;
}

function placeIndex(slot: number): number {
  return Math.floor((slot * PLACES) / SLOTS);
}

/** The first place within these slots; the nearest one when there is none. */
export function placeWithin(owns: (slot: number) => boolean, aSlot: number): string {
  const within = CLUSTER_PLACES.find((place) => owns(slotOf(place)));
  return within ?? CLUSTER_PLACES[placeIndex(aSlot)] ?? '';
}
