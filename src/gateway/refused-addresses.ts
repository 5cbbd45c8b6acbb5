import { lookup as lookUp, type LookupAddress, type LookupOptions } from 'node:dns';
import { AddressList, parseAddress } from '../common/ip-address.ts';

/** Addresses of this host and of its hoster's metadata service, and those that name no host at all. */
const REFUSED_V4 = [
  ...['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/4', '255.255.255.255/32'],
  ...['100.100.100.200/32', '168.63.129.16/32', '192.0.0.192/32'],
];
const REFUSED_V6 = ['fe80::/10', 'fec0::/10', 'ff00::/8', 'fd00:ec2::254/128', 'fd20:ce::254/128'];

/** The same IPv4 addresses written as IPv6: compatible, translated, by NAT64, by 6to4. Mapped ones are read as what they are. */
function asIpv6(range: string): string[] {
  const [address = '', prefix] = range.split('/');
  const bytes = address.split('.').map((byte) => Number(byte).toString(16).padStart(2, '0'));
  const bits = 96 + Number(prefix);
  return [
    `::${address}/${bits}`,
    `::ffff:0:${address}/${bits}`,
    `64:ff9b::${address}/${bits}`,
    `64:ff9b:1::${address}/${bits}`,
    `2002:${bytes.join('').replace(/^.{4}/, '$&:')}::/${bits - 80}`,
  ];
}

const REFUSED = new AddressList([...REFUSED_V4, ...REFUSED_V4.flatMap(asIpv6), ...REFUSED_V6]);

/** Whether no upstream may be at this address; false for names, which are looked at when they are looked up. */
export const isRefused = (host: string): boolean => REFUSED.has(parseAddress(host));

/** The upstream is, or resolves to, an address that it may not have. */
export class RefusedAddressError extends Error {
  readonly code = 'KEEP_REFUSED_ADDRESS';

  constructor() {
    super('The address is refused: allowPrivate is off');
  }
}

type Found = (error: Error | null, address: string | LookupAddress[], family?: number) => void;

/**
 * Looks a name up for a socket, which then connects to what was found here and nowhere else: whoever answers for the
 * name cannot say one address to a check and another one to the connection.
 */
export function lookUpAllowed(hostname: string, options: LookupOptions, found: Found): void {
  lookUp(hostname, { ...options, all: true }, (error, addresses) => {
    if (error !== null) {
      found(error, '');
      return;
    }
    const allowed = addresses.filter(({ address }) => !isRefused(address));
    const [first] = allowed;
    if (first === undefined) found(new RefusedAddressError(), '');
    else if (options.all === true) found(null, allowed);
    else found(null, first.address, first.family);
  });
}
