/**
 * `npm run lock`: completes package-lock.json. npm leaves an optional package out of the lock file
 * when the registry in use does not carry it, and `npm ci` then refuses on every machine. The entries
 * added here carry no hash; npm reads them only on the platform that they are for.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { root } from './run.ts';
import { completeLock } from './complete-lock.ts';

const file = path.join(root, 'package-lock.json');
const { text, added } = completeLock(readFileSync(file, 'utf8'));
if (added > 0) writeFileSync(file, text);
console.log(`${added} entries added to package-lock.json`);
