import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import { createGithub } from './server.ts';

/** Serves the part of GitHub's REST API that our actions use. */
function main(): void {
  const { values } = parseArgs({ options: { listen: { type: 'string', default: '127.0.0.1:0' } } });
  const [host = '127.0.0.1', port] = values.listen.split(':');
  const server = createGithub();
  server.listen(Number(port), host, () => {
    const url = `http://${host}:${(server.address() as AddressInfo).port}`;
    process.stdout.write(`ready ${JSON.stringify({ url })}\n`);
  });
  process.on('SIGTERM', () => process.exit(0));
}

if (import.meta.main) main();
