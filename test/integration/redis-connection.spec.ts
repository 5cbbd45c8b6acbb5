import { defineScript } from '../../src/redis/redis.script.ts';
import { Connections } from '../support/connections.ts';
import { startStandalone, type TestServers } from '../support/servers.ts';
describe('smoke', () => {
  let servers: TestServers;
  const connections = new Connections();
  beforeAll(async () => {
    servers = await startStandalone();
  });
  afterEach(connections.close);
  afterAll(() => servers.stop());
  it('works', async () => {
    const c = await connections.open(servers.port, { logger: console });
    const set = defineScript({ name: 't.set', arity: 1, body: `redis.call('SET', key, arg[1])`, reply: (r) => r });
    expect(await Promise.all([c.run(set, 'a', '1'), c.run(set, 'b', '2')])).toEqual([null, null]);
    expect(await Promise.all([c.get('a'), c.get('b'), c.get('c')])).toEqual([Buffer.from('1'), Buffer.from('2'), null]);
    const keys = [];
    for await (const page of c.scan('*')) keys.push(...page);
    expect(keys.sort()).toEqual(['a', 'b']);
    console.log(c.now() - Date.now(), c);
  });
});
