import { findServer } from './find-server.mjs';

/** Every spec that starts a server reads its program from this variable; without one the whole run fails here. */
export default function globalSetup() {
  process.env.KEEP_TEST_SERVER_BIN = findServer();
}
