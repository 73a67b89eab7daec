import type { Answer, Call } from '../call.ts';
import { readBody } from '../call.ts';
import { withBody } from '../forward.ts';
import type { Principal } from '../principals.ts';

/**
 * What this machine signs an address with is where it knows the gateway, which a host knows by another address; AWS has one
 * for all. In a request that a host reads, the addresses are those that it can reach. The signature is nobody's to verify.
 */
export async function toAskersAddresses(answer: Answer, call: Call, caller: Principal): Promise<Answer> {
  const isRequest = call.action === 'GetObject' && /^\/[^/]+\/requests\/.+\.json$/.test(call.path);
  if (!isRequest || caller.instanceId === undefined || answer.status !== 200) return answer;
  const text = Buffer.isBuffer(answer.body) ? answer.body : await readBody(answer.body);
  const told = text
    .toString('utf8')
    .replaceAll(/(?<=")http:\/\/127\.0\.0\.1:\d+(?=\/)/g, `http://${call.headers.host}`);
  const headers = Object.entries(answer.headers).filter(([name]) => !name.startsWith('x-amz-checksum-'));
  return withBody({ ...answer, headers: Object.fromEntries(headers) }, told);
}
