/**
 * The door between the fabric and the cloud: runs inside the fabric's namespace, and hands each connection that a host
 * makes to a Unix socket of the gateway, which crosses namespaces. To door.sock: on gateway.sock there is `/_cloud/` too,
 * where a host could ask for another's credentials.
 *
 *     node rehearsal/fabric/door.ts --listen 198.18.0.1:8000 --to RUN/door.sock
 */
import { connect, createServer, type Socket } from 'node:net';
import { parseArgs } from 'node:util';

function join(outside: Socket, socket: string): void {
  const inside = connect({ path: socket, allowHalfOpen: true });
  outside.pipe(inside).pipe(outside);
  // One end broken breaks the other: a host must see a dead gateway as a closed connection, not as silence.
  outside.on('error', () => inside.destroy());
  inside.on('error', () => outside.destroy());
}

const { values } = parseArgs({ options: { listen: { type: 'string' }, to: { type: 'string' } } });
const { listen, to } = values;
const [address, port] = listen?.split(':') ?? [];
if (address === undefined || port === undefined || to === undefined) {
  throw new Error('usage: node rehearsal/fabric/door.ts --listen ADDRESS:PORT --to SOCKET');
}

const server = createServer({ allowHalfOpen: true }, (outside) => join(outside, to));
server.listen(Number(port), address, () => {
  process.stdout.write(`ready ${JSON.stringify({ listen, to })}\n`);
});
process.on('SIGTERM', () => process.exit(0));
