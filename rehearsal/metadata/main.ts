import { parseArgs } from 'node:util';
import { createMetadata, throughGateway } from './server.ts';

/** Serves instance metadata to the hosts of one fabric, e.g. on 169.254.169.254:80 inside its namespace. */
function main(): void {
  const { values } = parseArgs({
    options: {
      listen: { type: 'string', default: '169.254.169.254:80' },
      gateway: { type: 'string' },
      region: { type: 'string', default: 'us-east-2' },
      account: { type: 'string', default: '123456789012' },
    },
  });
  if (values.gateway === undefined)
    throw new Error("--gateway is missing: the path of the gateway's Unix socket");
  const [host, port] = values.listen.split(':');
  const server = createMetadata(throughGateway(values.gateway, values.region, values.account));
  server.listen(Number(port), host, () => {
    process.stdout.write(`ready ${JSON.stringify({ url: `http://${values.listen}` })}\n`);
  });
  process.on('SIGTERM', () => process.exit(0));
}

if (import.meta.main) main();
