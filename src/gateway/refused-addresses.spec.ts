import dns, { type LookupAddress, type LookupOptions } from 'node:dns';
import { resolveGatewayOptions } from './gateway.options.ts';
import { isRefused, lookUpAllowed, RefusedAddressError } from './refused-addresses.ts';

describe('addresses that no upstream may have', () => {
  it.each([
    ['of this host', ['127.0.0.1', '127.255.255.254', '::1', '0:0:0:0:0:0:0:1', '[::1]']],
    ['that name no host', ['0.0.0.0', '0.1.2.3', '::', '255.255.255.255', '224.0.0.1', '239.1.1.1', 'ff02::1']],
    ['of this link', ['169.254.0.1', 'fe80::1', 'FEBF::1', 'fec0::1', 'fe80::1%eth0', 'fe80::1%25en0', '[fe80::1%1]']],
    ['of metadata', ['169.254.169.254', '100.100.100.200', '168.63.129.16', '192.0.0.192', 'fd00:ec2::254']],
    ['of metadata by another name', ['fd00:0ec2:0:0::254', 'fd20:ce::254']],
    ['mapped', ['::ffff:127.0.0.1', '::ffff:7f00:1', '0:0:0:0:0:FFFF:127.0.0.1', '::ffff:a9fe:a9fe', '::ffff:0.0.0.0']],
    ['compatible, translated', ['::127.0.0.1', '::7f00:1', '::169.254.169.254', '::ffff:0:127.0.0.1']],
    ['by NAT64 and 6to4', ['64:ff9b::7f00:1', '64:ff9b:1::127.0.0.1', '2002:7f00:1::', '2002:a9fe:a9fe:1::1']],
  ])('are those %s', (_, addresses) => {
    expect(addresses.filter((address) => !isRefused(address))).toEqual([]);
  });

  it('are no others', () => {
    const others = ['10.0.0.1', '172.16.0.1', '192.168.1.1', '8.8.8.8', '128.0.0.1', '169.253.0.1', '170.254.0.1'];
    const others6 = [
      '2001:db8::1',
      'fc00::1',
      'fd00::1',
      'fd00:ec2::253',
      '::ffff:10.0.0.1',
      '64:ff9b::a00:1',
      'fe00::1',
    ];
    expect([...others, ...others6].filter(isRefused)).toEqual([]);
  });

  it.each([
    ...['2130706433', '0x7f000001', '0177.0.0.1', '0x7f.1', '127.1', '127.0.0.1.', '0', '①②⑦.0.0.1'],
    ...['[::ffff:7f00:1]', '[0::1]', '%31%32%37.0.0.1', '0xA9FEA9FE', '2852039166', '0251.0376.0251.0376'],
  ])('are known however they are written in an origin: %s', (host) => {
    const { upstreams } = resolveGatewayOptions({ upstreams: { any: { origin: `http://${host}` } } });
    expect(isRefused(new URL(upstreams.get('any')!.origin).hostname)).toBe(true);
  });

  it('are no names: those are looked at when they are looked up', () => {
    expect(['localhost', 'metadata.google.internal', '', '127.0.0.1.nip.io'].filter(isRefused)).toEqual([]);
  });
});

describe('a lookup for a socket', () => {
  let answers: LookupAddress[] | Error;
  beforeEach(() => {
    jest.spyOn(dns, 'lookup').mockImplementation(((
      _host: string,
      options: LookupOptions,
      done: (error: Error | null, found?: LookupAddress[]) => void,
    ) => {
      expect(options.all).toBe(true);
      process.nextTick(() => (answers instanceof Error ? done(answers) : done(null, answers)));
    }) as typeof dns.lookup);
  });
  afterEach(() => jest.restoreAllMocks());
  const found = (options: LookupOptions): Promise<unknown[]> =>
    new Promise((resolve) => lookUpAllowed('any.example', options, (...said) => resolve(said)));
  const [inside, outside, outside6]: LookupAddress[] = [
    { address: '127.0.0.1', family: 4 },
    { address: '192.0.2.7', family: 4 },
    { address: '2001:db8::7', family: 6 },
  ];

  it('hands on what is allowed of a mixed answer, and nothing else', async () => {
    answers = [
      inside!,
      { address: 'fe80::1%2', family: 6 },
      outside6!,
      { address: '::ffff:7f00:1', family: 6 },
      outside!,
    ];
    expect(await found({ all: true })).toEqual([null, [outside6, outside]]);
    expect(await found({})).toEqual([null, '2001:db8::7', 6]);
  });

  it.each([[[]], [[inside!]], [[inside!, { address: '::1', family: 6 }]]])(
    'fails when nothing is allowed: %j',
    async (given) => {
      answers = given;
      for (const options of [{}, { all: true }])
        expect(await found(options)).toEqual([expect.any(RefusedAddressError), '']);
    },
  );

  it('fails as the lookup fails', async () => {
    answers = new Error('ENOTFOUND');
    expect(await found({})).toEqual([answers, '']);
  });
});
