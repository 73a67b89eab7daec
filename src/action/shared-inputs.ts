import { parsers } from './inputs.ts';

// Inputs that several actions have: declared once, so that they are read alike everywhere.

export const config = {
  description: 'Where understudy.yml is.',
  required: false,
  default: 'understudy.yml',
  example: 'understudy.yml',
  parse: parsers.line,
} as const;

/** @param shown what the app said, as the summary may show it */
export const excerpts = (shown: string) =>
  ({
    description: `Whether the summary may show ${shown}: on, off, or auto, which is off where the repository is public.`,
    required: false,
    default: 'auto',
    example: 'auto',
    parse: parsers.oneOf('auto', 'on', 'off'),
  }) as const;

/** @param description what it is for, with the permissions that this needs */
export const githubToken = (description: string) =>
  ({
    description,
    required: false,
    default: '${{ github.token }}',
    example: '${{ github.token }}',
    parse: parsers.line,
  }) as const;
