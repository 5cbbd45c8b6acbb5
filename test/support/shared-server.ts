import { startStandalone, type TestServers } from './servers.ts';

/** Anything that holds connections, such as an application. */
interface Closing {
  close(): Promise<unknown>;
}

/**
 * One server for all tests of a file, and a list for what they open on it: that is closed after each test, and the
 * server is emptied. Call it at the top of the file.
 */
export function shareServer(): { readonly server: () => TestServers; readonly open: Closing[] } {
  let server: TestServers;
  const open: Closing[] = [];
  beforeAll(async () => {
    server = await startStandalone();
  });
  afterEach(async () => {
    await Promise.all(open.splice(0).map((each) => each.close()));
    await server.ask('FLUSHALL');
  });
  afterAll(() => server.stop());
  return { server: () => server, open };
}
