import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';

const root = path.join(import.meta.dirname, '..', '..');

test(
  'a small billed chat makes no more system calls, flushes and garbage than its limits allow',
  { skip: process.platform === 'linux' ? false : 'counted on Linux only' },
  () => {
    const words = [path.join(root, 'tools', 'bench.ts'), '--gates', '--of', 'request'];
    const { status, stdout, stderr } = spawnSync(process.execPath, words, {
      encoding: 'utf8',
      timeout: 180_000,
    });
    assert.equal(status, 0, `${stdout}${stderr}`);
  },
);
