const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' };

/**
 * The JSON of what Python's `str()` made of a dict: moto stores the content of a document that a stack brings like
 * that (5.2.5, ssm/models.py), where AWS stores the JSON itself.
 */
export function jsonOfPythonLiteral(text: string): string {
  const tokens = /'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|\b(True|False|None)\b/gs;
  return text.replace(tokens, (_, single?: string, double?: string, word?: string) => {
    if (word !== undefined) return word === 'None' ? 'null' : word.toLowerCase();
    return JSON.stringify(readEscapes(single ?? double ?? ''));
  });
}

function readEscapes(text: string): string {
  const escaped = /\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(.))/gs;
  return text.replace(escaped, (_, x?: string, u?: string, wide?: string, plain = '') => {
    const code = x ?? u ?? wide;
    if (code !== undefined) return String.fromCodePoint(Number.parseInt(code, 16));
    return escapes[plain] ?? plain;
  });
}
