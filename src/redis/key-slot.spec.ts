import { CLUSTER_PLACES, placeWithin, slotOf } from './key-slot.ts';

describe('the slot of a key', () => {
  // As CLUSTER KEYSLOT of Redis 7.0.15 answers.
  it.each([
    ['', 0],
    ['foo', 12_182],
    ['123456789', 12_739],
    ['{user1000}.following', 3_443],
    ['{user1000}.followers', 3_443],
    ['foo{}{bar}', 8_363],
    ['foo{{bar}}zap', 4_015],
    ['foo{bar}{zap}', 5_061],
  ])('%j is %i', (key, slot) => {
    expect(slotOf(key)).toBe(slot);
  });
});

describe('the places', () => {
  it('are spread over all slots, so that each primary has one of its own', () => {
    expect(new Set(CLUSTER_PLACES).size).toBe(64);
    CLUSTER_PLACES.forEach((place, index) => expect(Math.floor(slotOf(place) / 256)).toBe(index));
  });

  it('of a primary is within its slots, or next to them when they are too few', () => {
    const place = placeWithin((slot) => slot > 10_922, 10_923);
    expect(slotOf(place)).toBeGreaterThan(10_922);
    expect(Math.floor(slotOf(placeWithin((slot) => slot === 5_461, 5_461)) / 256)).toBe(21);
  });
});
