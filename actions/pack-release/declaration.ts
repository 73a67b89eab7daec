import type { ActionDeclaration } from '../../src/action/declaration.ts';
import { parsers } from '../../src/action/inputs.ts';

export const declaration = {
  name: 'Pack a release',
  description: 'Packs a built app into one deterministic archive, whose SHA-256 is the release.',
  inputs: {
    path: {
      description:
        'The folder that is the app: everything in it goes into the release, except what is named .git. Build into a folder of its own to leave out more.',
      required: false,
      default: '.',
      example: 'build',
      parse: parsers.line,
    },
    archive: {
      description:
        "The archive to write, outside of that folder. By default release.tar.gz in the runner's temporary folder.",
      required: false,
      example: '/tmp/release.tar.gz',
      parse: parsers.line,
    },
    commit: {
      description:
        'The commit that was built. Its time is that of every file: SOURCE_DATE_EPOCH, or what git says of the commit.',
      required: false,
      default: '${{ github.sha }}',
      example: '0123456789abcdef0123456789abcdef01234567',
      parse: parseCommit,
    },
  },
  outputs: {
    archive: { description: 'The archive.' },
    release: { description: 'The id of the release: the SHA-256 of the archive, in hexadecimal.' },
    size: { description: 'The size of the archive in bytes.' },
    files: { description: 'How many files the release holds.' },
  },
} as const satisfies ActionDeclaration;

function parseCommit(text: string): string {
  if (!/^[0-9a-f]{40}$/.test(text)) {
    throw new Error(
      `It must be a full commit id of 40 small hexadecimal digits, not ${JSON.stringify(text)}.`,
    );
  }
  return text;
}
