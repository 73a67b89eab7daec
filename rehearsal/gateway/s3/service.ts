import type { Answer, Call } from '../call.ts';
import { forward } from '../forward.ts';

export async function answerS3(moto: URL, call: Call): Promise<Answer> {
  return await forward(moto, call);
}
