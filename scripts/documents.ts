import { writeFileSync } from 'node:fs';
import { templateFile, templateText } from '../src/document/template.ts';

// Run after a change in host/; a test finds a file that is out of date.
writeFileSync(templateFile, templateText());
