import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { unpack } from '../src/document/pack.ts';
import { templateFile, templateText } from '../src/document/template.ts';

// Run after a change in host/; a test finds a file that is out of date.
// Two machines may pack the same script differently: what is fresh is left as it is.
const text = templateText();
const known = existsSync(templateFile) ? readFileSync(templateFile, 'utf8') : '';
if (unpack(known) !== unpack(text)) writeFileSync(templateFile, text);
