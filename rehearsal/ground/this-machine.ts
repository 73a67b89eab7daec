import { cpus, release, totalmem } from 'node:os';

/** This machine in words: nothing that names it, or leads to it. */
export function describeMachine(): string {
  const processors = cpus();
  const model = (processors[0]?.model ?? '').replaceAll(/\s+/g, ' ').trim();
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB of memory`;
  const kernel = /^[0-9]+(\.[0-9]+)*/.exec(release())?.[0] ?? '';
  return `${processors.length} cores${model === '' || model === 'unknown' ? '' : ` (${model})`}, ${memory}, Linux ${kernel}`;
}
