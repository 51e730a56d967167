/** A start on a machine of its own: a checkout in a temporary folder, and an npm that only takes notes. */

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { after, test } from 'node:test';
import { root } from './run.ts';
import { completeLock } from './complete-lock.ts';

const folders: string[] = [];
after(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

/** Stands in for npm: notes each call, leaves the mark of an installation, fails when told to. */
const npm = `
const fs = require('node:fs');
const path = require('node:path');
const words = process.argv.slice(2);
const prefix = words[words.indexOf('--prefix') + 1];
fs.appendFileSync(process.env.NOTES, words.join(' ') + ' cache=' + (process.env.npm_config_cache ?? '') + '\\n');
if (process.env.NPM_SAYS) { console.error(process.env.NPM_SAYS); process.exit(1); }
fs.mkdirSync(path.join(prefix, 'node_modules'), { recursive: true });
setTimeout(() => {}, Number(process.env.NPM_TAKES_MS ?? 0));
`;

const program = `
if (process.argv[2] === 'fail') process.exit(7);
console.log(JSON.stringify({ words: process.argv.slice(2), file: process.argv[1], path: process.env.PATH, folder: process.cwd() }));
`;

type Machine = {
  readonly folder: string;
  readonly notes: string;
  readonly environment: NodeJS.ProcessEnv;
};

function machine(): Machine {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'manifold-bootstrap-'));
  folders.push(folder);
  for (const name of ['src', 'tools', 'npm', 'home']) mkdirSync(path.join(folder, name));
  for (const name of ['bootstrap.mjs', 'install.mjs']) {
    cpSync(path.join(root, 'tools', name), path.join(folder, 'tools', name));
  }
  writeFileSync(path.join(folder, 'src', 'main.ts'), program);
  writeFileSync(path.join(folder, 'tools', 'hello.ts'), program);
  const packages = {
    '': {},
    'node_modules/a': { version: '1.0.0' },
    'node_modules/b': { version: '2.0.0', dev: true },
  };
  writeFileSync(path.join(folder, 'package-lock.json'), JSON.stringify({ packages }));
  const npmFile = path.join(folder, 'npm', 'npm-cli.js');
  writeFileSync(npmFile, npm);
  const notes = path.join(folder, 'notes');
  writeFileSync(notes, '');
  const environment = { npm_execpath: npmFile, NOTES: notes, HOME: path.join(folder, 'home') };
  return { folder, notes, environment };
}

function start(on: Machine, words: readonly string[], extra: NodeJS.ProcessEnv = {}) {
  const file = path.join(on.folder, 'tools', 'bootstrap.mjs');
  const options = {
    encoding: 'utf8',
    env: { ...on.environment, ...extra },
    cwd: on.folder,
  } as const;
  return spawnSync(process.execPath, [file, ...words], options);
}

const calls = (on: Machine): string[] =>
  readFileSync(on.notes, 'utf8').trimEnd().split('\n').filter(Boolean);

test('a first start installs without development tools, a second one does not start npm', () => {
  const on = machine();
  const first = start(on, ['serve', '--port', '0']);
  assert.equal(first.status, 0, first.stderr);
  assert.deepEqual(JSON.parse(first.stdout).words, ['serve', '--port', '0']);
  assert.match(first.stderr, /installing the dependencies/);
  const second = start(on, ['key', 'create']);
  assert.equal(second.stderr, '');
  assert.deepEqual(JSON.parse(second.stdout).words, ['key', 'create']);
  assert.equal(calls(on).length, 1);
  assert.match(calls(on)[0] ?? '', /^ci --omit=dev .*--ignore-scripts/);
});

test('a changed lock file and a tools script install again', () => {
  const on = machine();
  start(on, ['serve']);
  writeFileSync(
    path.join(on.folder, 'package-lock.json'),
    '{ "packages": { "node_modules/c": { "version": "1.0.0" } } }',
  );
  start(on, ['serve']);
  const tool = start(on, ['--run', 'hello', 'x']);
  assert.deepEqual(JSON.parse(tool.stdout).words, ['x']);
  assert.ok(JSON.parse(tool.stdout).path.includes(path.join('node_modules', '.bin')));
  assert.deepEqual(
    calls(on).map((call) => call.split(' ')[1]),
    ['--omit=dev', '--omit=dev', '--include=dev'],
  );
});

test('what someone installed by hand is taken as it is', () => {
  const on = machine();
  mkdirSync(path.join(on.folder, 'node_modules'));
  const hidden = { packages: { 'node_modules/a': { version: '1.0.0' } } };
  writeFileSync(path.join(on.folder, 'node_modules', '.package-lock.json'), JSON.stringify(hidden));
  assert.equal(start(on, ['serve']).status, 0);
  assert.deepEqual(calls(on), []);
  start(on, ['--run', 'hello']);
  assert.equal(calls(on).length, 1, 'the development tools were not there');
});

test('the program is started from a bundle, made anew when a source has changed', () => {
  const on = machine();
  assert.equal(startedFile(on), path.join(on.folder, 'src', 'main.ts'), 'there is no bundler yet');
  addBundler(on);
  const first = startedFile(on);
  assert.equal(path.basename(first), 'main.cjs');
  assert.equal(startedFile(on), first);
  appendFileSync(path.join(on.folder, 'src', 'main.ts'), 'void import("./later.ts");');
  writeFileSync(path.join(on.folder, 'src', 'later.ts'), 'console.log(import.meta.url);');
  const second = start(on, ['serve']).stdout.split('\n');
  assert.notEqual(JSON.parse(second[0] ?? '').file, first);
  assert.equal(second[1], pathToFileURL(path.join(on.folder, 'src', 'later.ts')).href);
  writeFileSync(path.join(on.folder, 'src', 'later.ts'), 'no TypeScript');
  assert.equal(
    startedFile(on),
    path.join(on.folder, 'src', 'main.ts'),
    'and Node says what is wrong',
  );
});

test('compiled code is kept for the next start, and made anew when it cannot be used', () => {
  const on = machineWithBundler();
  const code = path.join(path.dirname(startedFile(on)), 'serve.code');
  const kept = readFileSync(code);
  assert.ok(kept.length > 0);
  startedFile(on);
  assert.deepEqual(readFileSync(code), kept, 'it was used');
  for (const broken of ['', 'no code', kept.subarray(0, kept.length / 2)]) {
    writeFileSync(code, broken);
    startedFile(on);
    assert.ok(readFileSync(code).length > broken.length, 'it was made anew');
  }
  assert.equal(start(on, ['fail']).status, 7);
  const names = readdirSync(path.dirname(code)).sort();
  assert.deepEqual(names, ['command.code', 'main.cjs', 'program.cjs', 'serve.code']);
});

function machineWithBundler(): Machine {
  const on = machine();
  start(on, ['serve']);
  addBundler(on);
  return on;
}

function addBundler(on: Machine): void {
  for (const name of ['bundle.mjs', 'loader.cjs'])
    cpSync(path.join(root, 'tools', name), path.join(on.folder, 'tools', name));
  for (const name of ['esbuild', '@esbuild'])
    symlinkSync(path.join(root, 'node_modules', name), path.join(on.folder, 'node_modules', name));
}

function startedFile(on: Machine): string {
  return JSON.parse(start(on, ['serve']).stdout.split('\n')[0] ?? '').file;
}

test('exit codes pass through', () => {
  assert.equal(start(machine(), ['fail']).status, 7);
});

test('without a network the person is told so, and the next start tries again', () => {
  const on = machine();
  const offline = start(on, ['serve'], { NPM_SAYS: 'npm error code ENOTFOUND' });
  assert.equal(offline.status, 1);
  assert.match(offline.stderr, /registry cannot be reached/);
  assert.equal(start(on, ['serve']).status, 0);
  assert.ok(!existsSync(path.join(on.folder, '.cache', 'install.lock')));
});

test('a home folder that is not there gives npm a cache in the checkout', () => {
  const on = machine();
  start(on, ['serve'], { HOME: '/nonexistent-home' });
  assert.ok(calls(on)[0]?.endsWith(`cache=${path.join(on.folder, '.cache', 'npm')}`));
});

test('a checkout that may not be written says what to do', () => {
  const on = machine();
  writeFileSync(path.join(on.folder, '.cache'), 'a file where the folder should be');
  const denied = start(on, ['serve']);
  assert.equal(denied.status, 1);
  assert.match(denied.stderr, /--prepare/);
});

test('of three starts at once one installs and all of them run', async () => {
  const on = machine();
  const file = path.join(on.folder, 'tools', 'bootstrap.mjs');
  const env = { ...on.environment, NPM_TAKES_MS: '300' };
  const codes = await Promise.all(
    [1, 2, 3].map(
      () =>
        new Promise((resolve) => {
          const child = spawn(process.execPath, [file, 'serve'], { env, stdio: 'ignore' });
          child.once('close', resolve);
        }),
    ),
  );
  assert.deepEqual(codes, [0, 0, 0]);
  assert.equal(calls(on).length, 1);
});

test('the lock of a process that died is replaced', () => {
  const on = machine();
  mkdirSync(path.join(on.folder, '.cache'));
  const dead = spawnSync(process.execPath, ['-e', '']).pid;
  writeFileSync(path.join(on.folder, '.cache', 'install.lock'), String(dead));
  assert.equal(start(on, ['serve']).status, 0);
});

test('a lock file is completed with the packages of other platforms, once', () => {
  const optionalDependencies = { '@a/binding-linux-arm64-musl': '1.2.3' };
  const lock = {
    packages: { 'node_modules/a': { version: '1.2.3', dev: true, optionalDependencies } },
  };
  const { text, added } = completeLock(JSON.stringify(lock));
  assert.equal(added, 1);
  assert.deepEqual(JSON.parse(text).packages['node_modules/@a/binding-linux-arm64-musl'], {
    version: '1.2.3',
    cpu: ['arm64'],
    dev: true,
    libc: ['musl'],
    optional: true,
    os: ['linux'],
  });
  assert.equal(completeLock(text).added, 0);
});
