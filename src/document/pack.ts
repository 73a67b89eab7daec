import { gunzipSync, gzipSync } from 'node:zlib';

const lineLength = 100;
const before = `# What follows is packed, for a document has 64 KB: base64 --decode | gzip --decompress shows it.
source <(
  base64 --decode <<'packed' | gzip --decompress --stdout
`;
const after = `packed
)
`;
const body =
  /# What follows is packed[^\n]*\n *source <\(\n[^\n]*<<'packed'[^\n]*\n([A-Za-z0-9+/=\s]+?)\n *packed\n *\)\n/g;
const header = /^#!\/bin\/bash\nset -euo pipefail\n(?:[a-z_]+='[^'\n]*'\n)*/;

/**
 * The same script in less: the parameters as they were, and the rest compressed. It runs as the one it was made of,
 * also by a copy of its file.
 *
 * @param script as `compose` makes it
 */
export function pack(script: string): string {
  const [parameters = ''] = header.exec(script) ?? [];
  const packed = gzipSync(script.slice(parameters.length), { level: 9 }).toString('base64');
  const lines = packed.match(new RegExp(`.{1,${lineLength}}`, 'g')) ?? [];
  return `${parameters}${before}${lines.join('\n')}\n${after}`;
}

/** A text with each packed script in it as it was, indented or not: what compression makes of it may differ between machines. */
export function unpack(text: string): string {
  return text.replaceAll(body, (_, packed: string) =>
    gunzipSync(Buffer.from(packed, 'base64')).toString('utf8'),
  );
}
