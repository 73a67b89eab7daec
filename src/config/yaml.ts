import { type Document, isMap, isNode, isScalar, LineCounter, parseDocument } from 'yaml';
import { ConfigurationError } from '../action/errors.ts';

/** A YAML text that was read, and the way from its values back to their lines. */
export interface ReadYaml {
  readonly value: unknown;
  /** `line:column` of what `path` leads to, or of the nearest thing around it. */
  place(path: readonly PropertyKey[]): string;
  /** `line:column` of a key itself. */
  placeOfKey(path: readonly PropertyKey[], key: string): string;
}

const largestText = 64 * 1024;
/** Aliases may be used to say a thing twice, not to make gigabytes of a kilobyte. */
const mostAliases = 50;

/** Reads one YAML document strictly: no duplicate keys, unknown tags, second document or bomb of aliases. */
export function readYaml(text: string, file: string): ReadYaml {
  if (Buffer.byteLength(text) > largestText) {
    throw unreadable(
      file,
      `is larger than ${largestText / 1024} KiB.`,
      'Keep it to what understudy.yml describes.',
    );
  }
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    uniqueKeys: true,
    stringKeys: true,
    prettyErrors: false,
  });
  const [problem] = [...document.errors, ...document.warnings].sort((a, b) => a.pos[0] - b.pos[0]);
  if (problem) {
    const { line, col } = lines.linePos(problem.pos[0]);
    const { what, how } = inOurWords[problem.code] ?? {
      what: `is not YAML: ${sentence(problem.message)}`,
      how: layout,
    };
    throw unreadable(`${file}:${line}:${col}`, what, how);
  }
  const value = toValue(document, file);
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${line}:${col}`;
  };
  return {
    value,
    place: (path) => at(offsetOf(document, path)),
    placeOfKey: (path, key) => at(offsetOfKey(document, path, key) ?? offsetOf(document, path)),
  };
}

function toValue(document: Document.Parsed, file: string): unknown {
  try {
    return document.toJS({ maxAliasCount: mostAliases });
  } catch (cause) {
    throw unreadable(
      file,
      'uses YAML aliases without bounds.',
      'Write the values out instead of using * and &.',
      cause,
    );
  }
}

function unreadable(where: string, what: string, how: string, cause?: unknown): ConfigurationError {
  return new ConfigurationError({ where, what, how, reason: 'bad-config', cause });
}

function sentence(message: string): string {
  const [first = ''] = message.split('\n');
  return /[.!?]$/.test(first) ? first : `${first}.`;
}

const layout = 'Two spaces indent a level, and "key: value" needs the space.';

/** What the parser's own words would not tell somebody who never met it. */
const inOurWords: Record<string, { what: string; how: string } | undefined> = {
  DUPLICATE_KEY: { what: 'this key stands here for the second time.', how: 'Keep one of the two.' },
  MULTIPLE_DOCS: { what: 'a second document begins.', how: 'Keep one: remove the line "---".' },
  NON_STRING_KEY: { what: 'a key is not a string.', how: 'Write it in quotes if it is meant so.' },
  TAG_RESOLVE_FAILED: { what: 'a tag (!…) is not understood.', how: 'Write the value without it.' },
  RESOURCE_EXHAUSTION: { what: 'is nested too deeply.', how: layout },
};

function offsetOf(document: Document.Parsed, path: readonly PropertyKey[]): number {
  for (let length = path.length; length >= 0; length -= 1) {
    const node = length === 0 ? document.contents : document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) {
      return node.range[0];
    }
  }
  return 0;
}

function offsetOfKey(
  document: Document.Parsed,
  path: readonly PropertyKey[],
  key: string,
): number | undefined {
  const map = path.length === 0 ? document.contents : document.getIn(path, true);
  const pair = isMap(map)
    ? map.items.find((item) => isScalar(item.key) && item.key.value === key)
    : undefined;
  return isScalar(pair?.key) ? pair.key.range?.[0] : undefined;
}
