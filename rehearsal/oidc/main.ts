import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import { createTokenServer } from './server.ts';

/** Serves the tokens that GitHub gives to a job with `id-token: write`. */
function main(): void {
  const { values } = parseArgs({ options: { listen: { type: 'string', default: '127.0.0.1:0' } } });
  const [host = '127.0.0.1', port] = values.listen.split(':');
  const server = createTokenServer();
  server.listen(Number(port), host, () => {
    const url = `http://${host}:${(server.address() as AddressInfo).port}`;
    process.stdout.write(`ready ${JSON.stringify({ url })}\n`);
  });
  process.on('SIGTERM', () => process.exit(0));
}

if (import.meta.main) main();
