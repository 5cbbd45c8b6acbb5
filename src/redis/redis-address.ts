import { isIPv6 } from 'node:net';

export interface RedisNode {
  readonly host: string;
  readonly port: number;
}

export type RedisNodes = readonly [RedisNode, ...RedisNode[]];

/** What the URL of a server says. */
export interface RedisUrl {
  readonly host: string;
  readonly tls: boolean;
  readonly port?: number;
  readonly username?: string;
  readonly password?: string;
  readonly db?: number;
}

export const MAX_PORT = 65_535;
export const MAX_DATABASE = 9_999;

/** Takes `redis[s]://[user:password@]host[:port][/db]` apart, or says undefined when it is something else. */
export function parseRedisUrl(text: unknown): RedisUrl | undefined {
  const url = typeof text === 'string' && URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !isRedisUrl(url)) return undefined;
  const [username, password] = [decoded(url.username), decoded(url.password)];
  if (username === undefined || password === undefined) return undefined;
  return {
    host: withoutBrackets(url.hostname),
    tls: url.protocol === 'rediss:',
    ...(url.port !== '' && { port: Number(url.port) }),
    ...(username !== '' && { username }),
    ...(password !== '' && { password }),
    ...(url.pathname.length > 1 && { db: Number(url.pathname.slice(1)) }),
  };
}

/** A `#`, `?` or `/` in a password that is not percent-encoded ends the host early: such a URL is refused, not guessed at. */
function isRedisUrl({ protocol, hostname, port, pathname, search, hash }: URL): boolean {
  const isScheme = protocol === 'redis:' || protocol === 'rediss:';
  return (
    isScheme &&
    isHost(withoutBrackets(hostname)) &&
    port !== '0' &&
    /^(\/\d{0,4})?$/.test(pathname) &&
    search + hash === ''
  );
}

/** A list of nodes, each `{ host, port }` or `'host:port'`; undefined when one of them is neither, or there is none. */
export function parseNodes(list: unknown, defaultPort: number): RedisNodes | undefined {
  if (!Array.isArray(list)) return undefined;
  const [first, ...others] = list.map((node) => parseNode(node, defaultPort));
  return first === undefined || others.includes(undefined) ? undefined : [first, ...(others as RedisNode[])];
}

function parseNode(node: unknown, defaultPort: number): RedisNode | undefined {
  const { host, port } = typeof node === 'string' ? splitNode(node, defaultPort) : { ...(node as RedisNode | null) };
  return isHost(host) && isPort(port) ? { host, port } : undefined;
}

/** `host:port` or `host`; an IPv6 address stands in brackets when a port follows. */
function splitNode(text: string, defaultPort: number): Partial<RedisNode> {
  if (isIPv6(text)) return { host: text, port: defaultPort };
  const [, host = '', port = String(defaultPort)] = /^(\[[^\]]+\]|[^:[\]]+)(?::(\d{1,5}))?$/.exec(text) ?? [];
  return { host: withoutBrackets(host), port: Number(port) };
}

/** A name or an address: no scheme, user, port or path. */
export const isHost = (value: unknown): value is string =>
  typeof value === 'string' && (isIPv6(value) || /^[^\s/@?#:[\]]{1,253}$/.test(value));

const isPort = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) > 0 && (value as number) <= MAX_PORT;

const withoutBrackets = (host: string): string => host.replace(/^\[(.*)\]$/, '$1');

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
