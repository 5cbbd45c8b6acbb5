import { BlockList, isIP, isIPv4, isIPv6, SocketAddress } from 'node:net';

/**
 * The address in one form, or undefined when it is none: without port, brackets or zone; an IPv4 address written as
 * IPv6 (`::ffff:192.0.2.1`) as IPv4; an IPv6 address in its canonical form (RFC 5952).
 */
export function parseAddress(text: unknown): string | undefined {
  if (typeof text !== 'string') return undefined;
  const bare = withoutPort(text.trim()).replace(/%.*$/, '');
  if (isIPv4(bare)) return bare;
  if (!isIPv6(bare)) return undefined;
  const canonical = new SocketAddress({ address: bare, family: 'ipv6' }).address;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(canonical)?.[1];
  return mapped ?? canonical;
}

/** `192.0.2.1:443`, `[2001:db8::1]:443`, `[2001:db8::1]`. */
function withoutPort(text: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d+)?$/.exec(text)?.[1];
  return bracketed ?? text.replace(/^(\d+\.\d+\.\d+\.\d+):\d+$/, '$1');
}

/** The network that an address belongs to: one subscriber has a whole IPv6 network and may use any address of it. */
export function networkOf(address: string, ipv6Prefix: number): string {
  if (!isIPv6(address) || ipv6Prefix === 128) return address;
  const bits = groupsOf(address).map((group, at) => group & maskOf(ipv6Prefix - at * 16));
  const network = new SocketAddress({ address: bits.map((group) => group.toString(16)).join(':'), family: 'ipv6' });
  return `${network.address}/${ipv6Prefix}`;
}

/** The sixteen bits of a mask, of which `bits` are kept; more than sixteen are all, fewer than none are none. */
const maskOf = (bits: number): number => (0xffff << (16 - Math.min(16, Math.max(0, bits)))) & 0xffff;

/** Eight groups of sixteen bits. */
function groupsOf(address: string): number[] {
  const plain = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...bytes: string[]) => {
    const [a = 0, b = 0, c = 0, d = 0] = bytes.map(Number);
    return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
  });
  const [head = '', tail] = plain.split('::');
  const groupsIn = (part: string) => (part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16)));
  const [first, last] = [groupsIn(head), groupsIn(tail ?? '')];
  return [...first, ...new Array<number>(8 - first.length - last.length).fill(0), ...last];
}

interface AddressRange {
  readonly address: string;
  readonly prefix: number;
}

/** `10.0.0.7`, `10.0.0.0/8`; undefined for anything else. */
export function parseAddressRange(text: unknown): AddressRange | undefined {
  if (typeof text !== 'string') return undefined;
  const [address = '', prefix, ...rest] = text.split('/');
  const bits = isIP(address) === 4 ? 32 : 128;
  const length = prefix === undefined ? bits : /^\d{1,3}$/.test(prefix) ? Number(prefix) : Infinity;
  return isIP(address) === 0 || length > bits || rest.length > 0 ? undefined : { address, prefix: length };
}

/** Addresses and networks, as options list them. */
export class AddressList {
  readonly #list = new BlockList();
  readonly isEmpty: boolean;

  constructor(ranges: readonly string[]) {
    this.isEmpty = ranges.length === 0;
    for (const range of ranges) {
      const { address, prefix } = parseAddressRange(range) ?? {};
      if (address !== undefined && prefix !== undefined) this.#list.addSubnet(address, prefix, familyOf(address));
    }
  }

  has(address: string | undefined): boolean {
    return !this.isEmpty && address !== undefined && this.#list.check(address, familyOf(address));
  }
}

const familyOf = (address: string): 'ipv4' | 'ipv6' => (isIPv6(address) ? 'ipv6' : 'ipv4');
