import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Answer, Call } from '../call.ts';
import { forward } from '../forward.ts';
import type { Principal } from '../principals.ts';
import { toAskersAddresses } from './addresses.ts';
import { Integrity } from './integrity.ts';
import type { Ranges } from './ranges.ts';
import { refuseReaders } from './write-only.ts';

/** S3 is moto's, but for what moto believes unseen: that a body is what its checksums say. */
export async function answerS3(moto: URL, ranges: Ranges, call: Call, caller: Principal): Promise<Answer> {
  refuseReaders(call, caller);
  if (call.method !== 'PUT' && call.method !== 'POST') {
    const answer = (await ranges.answer(call)) ?? (await forward(moto, call));
    return await toAskersAddresses(answer, call, caller);
  }
  // The checksums of CompleteMultipartUpload are those of the object, whose parts were judged one by one.
  const integrity = new Integrity(call.headers, call.action === 'CompleteMultipartUpload');
  // Nothing may reach moto before the last byte was judged: the body waits in a file.
  const folder = await mkdtemp(join(tmpdir(), 'understudy-gateway-'));
  try {
    const file = join(folder, 'body');
    let size = 0;
    await pipeline(
      call.stream,
      async function* (chunks: AsyncIterable<Buffer>) {
        for await (const chunk of chunks) {
          integrity.update(chunk);
          size += chunk.length;
          yield chunk;
        }
      },
      createWriteStream(file),
    );
    integrity.check();
    return await forward(moto, call, { stream: createReadStream(file), size });
  } finally {
    await rm(folder, { recursive: true });
  }
}
