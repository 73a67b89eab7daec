import { writeFileSync } from 'node:fs';
import { jsonSchemaFile, jsonSchemaText } from '../src/config/json-schema.ts';

// Run after a change of src/config/schema.ts; a test finds a file that is out of date.
writeFileSync(jsonSchemaFile, jsonSchemaText());
