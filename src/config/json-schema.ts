import * as z from 'zod/mini';
import { guidance, schema } from './schema.ts';

/** Where editors find it, from this repository's root. */
export const jsonSchemaFile = 'docs/understudy.schema.json';

/** The schema of understudy.yml for editors: JSON Schema draft-7 of the file as it is written. */
export function jsonSchemaText(): string {
  const jsonSchema = z.toJSONSchema(schema, {
    target: 'draft-7',
    io: 'input',
    // Given as metadata, examples of what is transformed would be left out; ours are of the text as written.
    override: ({ zodSchema, jsonSchema: place }) => {
      Object.assign(place, guidance.get(zodSchema));
    },
  });
  return `${JSON.stringify({ title: 'understudy.yml', ...jsonSchema }, null, 2)}\n`;
}
